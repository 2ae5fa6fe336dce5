"""Orders that operators make themselves: checked, and written down for preparation to send, as its own ones."""

from sqlalchemy import Engine
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common.families import BUCKETS
from refsys.services.common.messages import utc_now
from refsys.services.execution.places import MISSIONS
from refsys.services.jobs.errors import RefusedError
from refsys.services.preparation import ledger
from refsys.services.production.order import Order
from refsys.services.production.states import Generation, State
from refsys.services.production.tables import Job


def submit(engine: Engine, order: Order, operator: str) -> None:
    """Have an order done.

    Raises:
        RefusedError: it can't be done, or there is a job of that id.
    """
    _check(order)
    now = utc_now()
    values = {
        "id": order.job_id,
        "trigger": f"submitted as {order.job_id}",
        "facts": {},
        "start_time": order.start_time or now,
        "stop_time": order.stop_time or now,
        "t0_pdgs": order.t0_pdgs_date,
        "state": State.DISPATCHING,
        "generation": Generation.READY,
        "reason": f"is submitted by {operator}",
        "order": order.model_dump(mode="json", by_alias=True),
        "attempt": order.attempt,
    }
    names = ("chain", "task_table", "mission", "satellite", "timeliness", "priority")
    values |= {name: getattr(order, name) for name in names}
    with engine.begin() as connection:
        made = connection.execute(insert(Job).values(values).on_conflict_do_nothing().returning(Job.id))
        if made.scalar_one_or_none() is None:
            raise RefusedError(f"there is a job {order.job_id} already; leave jobId away, or choose another one")
        ledger.notify(connection)


def _check(order: Order) -> None:
    """Refuse what would only fail later, and what reads where no products are."""
    if order.mission not in MISSIONS:
        raise RefusedError(f"mission {order.mission!r} is none of {', '.join(MISSIONS)}")
    buckets = set(BUCKETS.values())
    for given in [*order.inputs, *(order.bench.reference if order.bench else ())]:
        if given.bucket not in buckets:
            raise RefusedError(f"input {given.name} is in bucket {given.bucket}, where no products are")
    for output in order.outputs:
        if output.family not in BUCKETS:
            raise RefusedError(f"output {output.product_type} has the unknown family {output.family}")

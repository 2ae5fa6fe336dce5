"""From `error-warning` to the table: each failure has its effect once, whatever is delivered twice."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Connection, Engine, delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from refsys.services.common import logs
from refsys.services.common.messages import ERROR_WARNING, FailedProcessing
from refsys.services.dead_letters.letters import again, uid_of
from refsys.services.dead_letters.rules import Action, Rule, choose
from refsys.services.dead_letters.tables import PARKED, RESTARTED, RESTARTING, SENDING, failed_processing, failure

DELAY_BASE_SECONDS = 10.0
DELAY_MAX_SECONDS = 3600.0
TEXT_LIMIT = 100_000

LETTERS = Counter("refsys_dead_letters_total", "Failed messages, by topic and what the rules say", ["topic", "action"])

log = logs.get_logger()


def delay(retry_counter: int, base: float = DELAY_BASE_SECONDS) -> timedelta:
    """How long a restart waits: twice as long each time, up to an hour."""
    return timedelta(seconds=min(DELAY_MAX_SECONDS, base * 2 ** min(retry_counter, 20)))


def take(engine: Engine, rules: Sequence[Rule], failed: FailedProcessing, base: float = DELAY_BASE_SECONDS) -> None:
    """Restart, drop or park a failed message; the same failure again changes nothing."""
    uid = uid_of(failed.message)
    with (
        logs.task(
            "DlqManagement", chain="DLQ", mission=failed.mission_id, follows=uid, topic=failed.topic, product=failed.key
        ) as task,
        engine.begin() as connection,
    ):
        if not _is_new(connection, failed, uid):
            task.output = {"action": "seen before"}
            return
        retries = _retries(connection, failed, uid)
        rule, action = _decide(rules, failed, retries)
        if action is Action.DROP:
            _drop(connection, failed.topic, uid)
        else:
            values = _values(failed, uid, rule, retries)
            if action is Action.RESTART and rule is not None:
                values |= {
                    "state": RESTARTING,
                    "due": func.now() + delay(retries, base),
                    "target_topic": rule.target_topic or failed.topic,
                    "outgoing": _clean(again(failed.message, retries)),
                }
            _save(connection, values, failed.failure_date)
        task.output = {"action": str(action), "rule": rule.error_title if rule else ""}
    LETTERS.labels(failed.topic, action).inc()


def forget_old(engine: Engine, keep: timedelta) -> int:
    """Remove what has not changed for `keep`; what is on its way again stays. Returns how many messages."""
    with engine.begin() as connection:
        old = failed_processing.c.updated < func.now() - keep
        idle = failed_processing.c.state.in_((PARKED, RESTARTED))
        removed = connection.execute(delete(failed_processing).where(old, idle)).rowcount
        connection.execute(delete(failure).where(failure.c.seen < func.now() - keep))
    if removed:
        log.warning("failed messages aged out", count=removed, days=keep.days)
    return removed


def _is_new(connection: Connection, failed: FailedProcessing, uid: str) -> bool:
    values = {"topic": failed.topic, "partition": failed.partition, "record_offset": failed.offset, "uid": uid}
    added = insert(failure).values(values).on_conflict_do_nothing().returning(failure.c.uid)
    return connection.execute(added).first() is not None


def _retries(connection: Connection, failed: FailedProcessing, uid: str) -> int:
    """How often the message was restarted, by itself or, if it cannot be read, by its row."""
    known: int | None = connection.execute(
        select(failed_processing.c.retry_counter).where(*_is(failed.topic, uid)).with_for_update()
    ).scalar_one_or_none()
    if failed.retry_counter or known is None or again(failed.message, 0) != failed.message:
        return failed.retry_counter
    return known + 1


def _decide(rules: Sequence[Rule], failed: FailedProcessing, retries: int) -> tuple[Rule | None, Action]:
    rule = choose(rules, failed.failure_message)
    # A dead letter that failed itself never goes round again.
    if rule is None or failed.topic == ERROR_WARNING:
        return rule, Action.NO_ACTION
    if rule.action_type is Action.RESTART and retries >= rule.max_retry:
        return rule, Action.NO_ACTION
    return rule, rule.action_type


def _values(failed: FailedProcessing, uid: str, rule: Rule | None, retries: int) -> dict[str, Any]:
    return {
        "id": failed.id,
        "topic": failed.topic,
        "uid": uid,
        "key": _clean(failed.key),
        "mission_id": _clean(failed.mission_id),
        "error_level": failed.error_level,
        "failure_date": failed.failure_date,
        "failure_message": _clean(failed.failure_message)[:TEXT_LIMIT],
        "stacktrace": _clean(failed.stacktrace)[:TEXT_LIMIT],
        "message": _clean(failed.message),
        "retry_counter": retries,
        "rule": rule.error_title if rule else "",
        "state": PARKED,
        "due": None,
        "target_topic": "",
        "outgoing": "",
    }


def _save(connection: Connection, values: dict[str, Any], moment: datetime) -> None:
    """One row a message: the latest failure with the number of all.

    While a message is on its way again, a duplicate of it is only counted; the failure of the restart itself,
    known by its higher retryCounter, replaces what the row says.
    """
    statement = insert(failed_processing).values(**values, first_failure_date=moment)
    changes = {name: statement.excluded[name] for name in values if name not in ("id", "topic", "uid")}
    on_its_way = failed_processing.c.state.in_((RESTARTING, SENDING))
    saved = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[failed_processing.c.topic, failed_processing.c.uid],
            set_={**changes, "occurrences": failed_processing.c.occurrences + 1, "updated": func.now()},
            where=or_(~on_its_way, statement.excluded.retry_counter > failed_processing.c.retry_counter),
        ).returning(failed_processing.c.uid)
    ).first()
    if saved is None:
        counted = update(failed_processing).where(*_is(values["topic"], values["uid"]))
        connection.execute(counted.values(occurrences=failed_processing.c.occurrences + 1, updated=func.now()))


def _drop(connection: Connection, topic: str, uid: str) -> None:
    connection.execute(
        delete(failed_processing).where(*_is(topic, uid), failed_processing.c.state.not_in((RESTARTING, SENDING)))
    )


def _is(topic: str, uid: str) -> tuple[Any, Any]:
    return failed_processing.c.topic == topic, failed_processing.c.uid == uid


def _clean(text: str) -> str:
    """Text that PostgreSQL takes."""
    return text.replace("\0", "\ufffd")

"""The nodes of an environment, as its config wants them and as the cluster has them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from rich.table import Table

from refsys.infra.cli.moments import age
from refsys.infra.environment import Environment
from refsys.infra.nodes.members import Members, is_ready
from refsys.platform.components.names import PRODUCTION

NO_POOL = "-"


@dataclass(frozen=True)
class Row:
    """A node."""

    name: str
    pool: str
    """`-`: of none that the config has."""
    state: str
    address: str = ""
    joined: str = ""
    """When it came into the cluster, UTC."""
    pods: int = 0
    jobs: int = 0
    """Production jobs among them."""
    volumes: tuple[str, ...] = ()
    """Claims of the volumes that lie on it and nowhere else."""


def rows(environment: Environment) -> list[Row]:
    """Every node that the config wants or the cluster has.

    Raises:
        UserError: the cluster can't be asked.
    """
    pools = {node: pool.name for pool in environment.settings.pools() for node in pool.names}
    with Members(environment.name) as members:
        known = members.nodes()
        names = [*pools, *sorted(known.keys() - pools.keys())]
        return [_row(name, pools.get(name, NO_POOL), known.get(name), members) for name in names]


def table(found: list[Row], now: datetime) -> Table:
    """The nodes for people."""
    shown = Table()
    for heading in ("node", "pool", "state", "address", "since", "pods", "jobs", "volumes"):
        shown.add_column(heading, overflow="fold")
    for row in found:
        colour = "green" if row.state == "ready" else "yellow" if row.state.startswith("ready") else "red"
        since = age((now - datetime.fromisoformat(row.joined)).total_seconds()) if row.joined else ""
        counts = (str(row.pods), str(row.jobs)) if row.joined else ("", "")
        shown.add_row(
            row.name, row.pool, f"[{colour}]{row.state}[/]", row.address, since, *counts, ", ".join(row.volumes)
        )
    return shown


def documents(found: list[Row]) -> list[dict[str, Any]]:
    """The nodes for programs."""
    return [asdict(row) for row in found]


def _row(name: str, pool: str, node: Mapping[str, Any] | None, members: Members) -> Row:
    if node is None:
        return Row(name, pool, "not in the cluster")
    state = "ready" if is_ready(dict(node)) else "not ready"
    if node["spec"].get("unschedulable"):
        state += ", cordoned"
    pods = [pod for pod in members.pods(name) if pod["status"].get("phase") in {"Pending", "Running"}]
    jobs = sum(pod["metadata"]["namespace"] in PRODUCTION.values() for pod in pods)
    addresses = {each["type"]: each["address"] for each in node["status"].get("addresses") or []}
    joined, volumes = node["metadata"]["creationTimestamp"], tuple(members.claims(name))
    return Row(name, pool, state, addresses.get("InternalIP", ""), joined, len(pods), jobs, volumes)

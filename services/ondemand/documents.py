"""Orders and their results as OGC API - Processes shows them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from sqlalchemy import Connection, RowMapping, select

from refsys.services.common.messages import iso
from refsys.services.compression.rules import SUFFIXES
from refsys.services.distribution.model import product
from refsys.services.execution.tables import Execution
from refsys.services.ondemand.processes import OUTPUT
from refsys.services.ondemand.states import GOOD, Status, standing
from refsys.services.production.tables import Job

RESULTS = "http://www.opengis.net/def/rel/ogc/1.0/results"
JSON = "application/json"
ARCHIVES = ("", *dict.fromkeys(SUFFIXES.values()))
"""What follows a product's name on the PRIP, where users get its archive."""


@dataclass(frozen=True)
class Addresses:
    """Where users find things: the root of this API, and the PRIP."""

    root: str
    prip: str


def status_info(row: RowMapping, addresses: Addresses) -> dict[str, Any]:
    """The state of an order (`statusInfo`)."""
    found, address = standing(row), f"{addresses.root}/jobs/{row['id']}"
    links = [_link(address, "self", "This order")]
    links.append(_link(f"{addresses.root}/processes/{row['process']}", "process", row["process"]))
    if found.status is Status.SUCCESSFUL:
        links.append(_link(f"{address}/results", RESULTS, "Products"))
    times = {"created": found.created, "started": found.started, "finished": found.finished, "updated": found.updated}
    return {
        "processID": row["process"],
        "type": "process",
        "jobID": str(row["id"]),
        "status": found.status,
        "message": found.message,
        "progress": found.progress,
        **{name: iso(moment) for name, moment in times.items() if moment},
        "links": links,
    }


def job_list(connection: Connection, request: UUID, addresses: Addresses) -> list[dict[str, Any]]:
    """The production jobs of an order, each with what it has made."""
    columns = (Job.id, Job.facts, Job.state, Job.outcome, Job.reason, Execution.products)
    statement = select(*columns).join_from(Job, Execution, Execution.job_id == Job.id, isouter=True)
    rows = connection.execute(statement.where(Job.request_id == request).order_by(Job.start_time, Job.id)).mappings()
    jobs = rows.all()
    published = _published(connection, [name for job in jobs for name in _made(job)])
    return [
        {
            "productionJob": str(job["id"]),
            "product": job["facts"]["name"],
            "state": job["state"],
            "outcome": job["outcome"],
            "reason": job["reason"],
            OUTPUT: [_product(name, published, addresses) for name in _made(job)],
        }
        for job in jobs
    ]


def results(jobs: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The results document of an order, made of its jobs."""
    return {OUTPUT: [link for job in jobs for link in job[OUTPUT]]}


def all_published(document: Mapping[str, Any]) -> bool:
    """Whether all products of a results document can be downloaded."""
    return all("/odata/v1/Products(" in link["href"] for link in document[OUTPUT])


def _made(job: RowMapping) -> Sequence[str]:
    return (job["products"] or ()) if job["outcome"] in GOOD else ()


def _published(connection: Connection, names: Sequence[str]) -> dict[str, RowMapping]:
    """Of products that were made, those on the PRIP, by the name they were made with."""
    of_archives = {name + suffix: name for name in names for suffix in ARCHIVES}
    if not of_archives:
        return {}
    statement = select(product.c.id, product.c.name, product.c.content_type).where(product.c.name.in_(of_archives))
    return {of_archives[row["name"]]: row for row in connection.execute(statement).mappings()}


def _product(name: str, published: Mapping[str, RowMapping], addresses: Addresses) -> dict[str, str]:
    """A link to a product; one that the PRIP does not have yet is to be looked for there."""
    root = f"{addresses.prip}/odata/v1/Products"
    if (row := published.get(name)) is not None:
        return {"href": f"{root}({row['id']})/$value", "type": row["content_type"], "title": row["name"]}
    wanted = quote(f"startswith(Name,'{name}')")
    return {"href": f"{root}?$filter={wanted}", "type": JSON, "title": f"{name}, not published yet"}


def _link(href: str, rel: str, title: str) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": JSON, "title": title}

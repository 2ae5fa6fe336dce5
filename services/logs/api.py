"""REST of the operators over logs and alerts, under `/operations/v1`."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from refsys.services.common.messages import iso, utc_now
from refsys.services.logs.store import Document, LogStore, hits
from refsys.services.logs.templates import ALERTS, LOGS
from refsys.services.operations.answers import Moment, not_found

SEVERITIES = ("debug", "info", "notice", "warning", "err", "crit", "alert", "emerg")
LEVELS = ("informational", "low", "medium", "high", "critical")
RECENT = timedelta(hours=1)
LIMIT = 1000
WORD = r"^[^\x00]*$"

router = APIRouter(prefix="/operations/v1")

Word = Annotated[str | None, Query(max_length=255, pattern=WORD)]
Size = Annotated[int, Query(ge=1, le=LIMIT)]


def store_of(request: Request) -> LogStore:
    """Return the log store of the application."""
    store: LogStore = request.app.state.log_store
    return store


Store = Annotated[LogStore, Depends(store_of)]


def selection(  # noqa: PLR0917  # query options
    since: Moment | None = None,
    until: Moment | None = None,
    kind: Literal["processing", "security", "system"] | None = None,
    host: Word = None,
    source: Word = None,
    program: Word = None,
    mission: Word = None,
    product: Word = None,
    trace: Word = None,
    severity: Literal[SEVERITIES] | None = None,  # type: ignore[valid-type]
    text: Word = None,
) -> tuple[str, list[Document]]:
    """Return the indices and the conditions of a query; without a time, that of the last hour."""
    exact = {"host": host, "source": source, "program": program}
    exact |= {"event.header.mission": mission, "event.custom.trace_id_string": trace}
    filters = [_between(since or (until or utc_now()) - RECENT, until)]
    filters += [{"term": {field: value}} for field, value in exact.items() if value is not None]
    if severity:
        filters.append({"terms": {"severity": list(SEVERITIES[SEVERITIES.index(severity) :])}})
    if product:
        named = [{"term": {"products": product}}, {"match_phrase": {"message": product}}]
        filters.append({"bool": {"should": named, "minimum_should_match": 1}})
    if text:
        filters.append({"simple_query_string": {"query": text, "fields": ["message"], "default_operator": "and"}})
    return (f"logs-{kind}-*" if kind else ",".join(f"{topic}-*" for topic in LOGS)), filters


@router.get("/logs")
def logs(
    store: Store, selected: Annotated[tuple[str, list[Document]], Depends(selection)], size: Size = 100
) -> dict[str, Any]:
    """Return the newest records that match, the newest first, and how many there are."""
    pattern, filters = selected
    return _page(store, pattern, filters, size)


@router.get("/alerts")
def alerts(  # noqa: PLR0917  # query options
    store: Store,
    since: Moment | None = None,
    until: Moment | None = None,
    level: Literal[LEVELS] | None = None,  # type: ignore[valid-type]
    host: Word = None,
    size: Size = 100,
) -> dict[str, Any]:
    """Return alerts, the newest first; `level` and all that are worse."""
    filters = [_between(since or (until or utc_now()) - timedelta(days=7), until)]
    if level:
        filters.append({"terms": {"level": list(LEVELS[LEVELS.index(level) :])}})
    if host:
        filters.append({"term": {"host": host}})
    return _page(store, ALERTS, filters, size)


@router.get("/alerts/{identifier}")
def alert(identifier: str, store: Store) -> dict[str, Any]:
    """Return one alert with its evidence."""
    answer = store.search(ALERTS, {"size": 1, "query": {"ids": {"values": [identifier]}}})
    for document in hits(answer):
        return _shown(document)
    raise not_found(f"there is no alert {identifier!r}")


def _page(store: LogStore, pattern: str, filters: list[Document], size: int) -> dict[str, Any]:
    body = {
        "size": size,
        "track_total_hits": True,
        "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
        "query": {"bool": {"filter": filters}},
    }
    answer = store.search(pattern, body)
    return {"count": answer["hits"]["total"]["value"], "value": [_shown(document) for document in hits(answer)]}


def _between(since: datetime, until: datetime | None) -> Document:
    end = {"lt": iso(until)} if until else {}
    return {"range": {"@timestamp": {"gte": iso(since), **end}}}


def _shown(document: Document) -> Document:
    return {"id": document["_id"], **{key: value for key, value in document.items() if key != "_id"}}

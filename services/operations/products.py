"""From a product's name to all that is known of it: `/operations/v1/products/{name}`, and its trace."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Path
from pydantic import ValidationError
from sqlalchemy import Engine, RowMapping, select

from refsys.services.catalogue.tables import Product
from refsys.services.common.families import Family
from refsys.services.common.messages import iso, product_trace
from refsys.services.common.names import InvalidNameError
from refsys.services.common.tracing import HANDLING
from refsys.services.dead_letters.tables import failed_processing
from refsys.services.distribution.model import product as published
from refsys.services.ingestion.intake import object_key
from refsys.services.ingestion.source import SessionFile
from refsys.services.ingestion.tables import InboxEntry
from refsys.services.lifecycle.record import product_name
from refsys.services.lifecycle.tables import Storage
from refsys.services.logs.api import Store
from refsys.services.logs.store import Document, LogStore, hits
from refsys.services.operations.answers import engine_of, not_found, shown
from refsys.services.operations.traces import spans_of, trace_document

ROOT = "/operations/v1"
LOGS = "logs-processing-*"
NEWEST = 10
ROWS = 100
MARGIN = timedelta(minutes=5)
AGAIN = "RETRANSFER/"

router = APIRouter(prefix=f"{ROOT}/products")
Database = Annotated[Engine, Depends(engine_of)]
Name = Annotated[str, Path(min_length=1, max_length=255, pattern=r"^[^\x00]*$")]
Row = dict[str, Any]


@router.get("/{name:path}/trace")
def trace(name: Name, database: Database, store: Store) -> Document:
    """Return the steps of a product in their order, and where some are missing."""
    found = Known(database, name)
    spans, count = spans_of(store, found.trace)
    if not spans:
        raise not_found(f"no trace of product {name!r}: its name is wrong, or its steps are older than 60 days")
    return {"product": name, **trace_document(found.trace, spans, count)}


@router.get("/{name:path}")
def product(name: Name, database: Database, store: Store) -> Document:
    """Return all that is known of a product: trace in short, rows, failed jobs, logs, and how its processes were."""
    known = Known(database, name)
    spans, count = spans_of(store, known.trace)
    if not spans and known.nothing:
        raise not_found(f"nothing is known of product {name!r}")
    return {
        "product": name,
        "trace": _trace_in_short(name, known.trace, spans, count),
        "inbox": known.inbox,
        "catalogue": known.catalogue,
        "published": known.published,
        "deadLetters": known.letters,
        "logs": _logs(store, name, known.trace, spans),
        "metrics": _metrics(spans),
    }


class Known:
    """What the database knows of a name."""

    def __init__(self, engine: Engine, name: str) -> None:
        """Look everywhere; a session's file may be named without its session."""
        columns, failed = Product.__table__.columns, failed_processing.c
        with engine.connect() as connection:
            entries = select(InboxEntry.__table__).where(InboxEntry.name == PurePosixPath(name).name)
            inbox = connection.execute(entries.order_by(InboxEntry.seen).limit(ROWS)).mappings().all()
            of_sessions = sorted(key for row in inbox if (key := _catalogue_name(row)))
            # The PRIP has archives of what the catalogue has as folders.
            names = {name, product_name(name, Storage.COMPRESSED), *of_sessions}
            rows = select(Product.__table__).where(columns.name.in_(names)).order_by(columns.name != name, columns.name)
            catalogued = connection.execute(rows).mappings().first()
            row = connection.execute(select(published).where(published.c.name == name)).mappings().first()
            letters = select(failed_processing).where(failed.key.in_({each.removeprefix(AGAIN) for each in names}))
            parked = connection.execute(letters.order_by(failed.failure_date.desc()).limit(ROWS)).mappings().all()
        self.inbox = [_inbox(each) for each in inbox]
        self.catalogue = _catalogue(catalogued) if catalogued else None
        self.published = _published(row) if row else None
        self.letters = [_letter(each) for each in parked]
        told = (row and row["trace"].get("traceId")) or (catalogued and catalogued["trace"].get("trace_id"))
        own = catalogued["name"] if catalogued else of_sessions[0] if of_sessions else name
        self.trace: str = told or product_trace(own)

    @property
    def nothing(self) -> bool:
        """Whether the name is nowhere."""
        return not (self.inbox or self.catalogue or self.published or self.letters)


def _catalogue_name(entry: RowMapping) -> str | None:
    if not entry["session"]:
        return None
    try:
        key = object_key(entry["name"], SessionFile.model_validate(entry["session"]))
    except (InvalidNameError, ValidationError):  # it was refused for that
        return None
    return f"{AGAIN}{key}" if entry["family"] == Family.SESSION_RETRANSFER else key


def _inbox(row: RowMapping) -> Row:
    return {
        "station": row["station"],
        "state": row["state"],
        "reason": row["reason"],
        "attempts": row["attempts"],
        "publicationDate": shown(row["publication_date"]),
        "seen": shown(row["seen"]),
        "updated": shown(row["updated"]),
        "retryAt": shown(row["retry_at"]),
    }


def _catalogue(row: RowMapping) -> Row:
    return {
        "id": str(row["id"]),
        "name": row["name"],
        "state": row["state"],
        "reason": row["reason"],
        "family": row["family"],
        "mission": row["mission"],
        "station": row["station"],
        "size": row["size"],
        "storagePath": f"s3://{row['bucket']}/{row['key']}",
        "created": shown(row["created"]),
    }


def _published(row: RowMapping) -> Row:
    return {
        "id": str(row["id"]),
        "online": row["online"],
        "size": row["content_length"],
        "publicationDate": shown(row["publication_date"]),
        "evictionDate": shown(row["eviction_date"]),
        "timeline": row["trace"],
    }


def _letter(row: RowMapping) -> Row:
    return {
        "id": str(row["id"]),
        "topic": row["topic"],
        "state": row["state"],
        "failureDate": shown(row["failure_date"]),
        "failureMessage": row["failure_message"],
        "occurrences": row["occurrences"],
        "href": f"/api/v1/failedProcessings/{row['id']}",
    }


def _trace_in_short(name: str, trace: str, spans: Sequence[Document], count: int) -> Document:
    short: Document = {"id": trace, "href": f"{ROOT}/products/{quote(name)}/trace"}
    if not spans:
        return short | {"state": "unknown", "count": 0, "gaps": []}
    whole = trace_document(trace, spans, count)
    return short | {key: whole[key] for key in ("state", "start", "end", "seconds", "count", "gaps")}


def _logs(store: LogStore, name: str, trace: str, spans: Sequence[Document]) -> Document:
    """Return how many log records there are of a product, and the newest that say of trouble."""
    said = [
        {"term": {"event.custom.trace_id_string": trace}},
        {"term": {"event.custom.product_string": name}},
        {"match_phrase": {"message": name}},
    ]
    own = {"bool": {"should": said, "minimum_should_match": 1}}
    body = {
        "size": NEWEST,
        "track_total_hits": True,
        "sort": [{"@timestamp": {"order": "desc", "unmapped_type": "date"}}],
        "query": {"bool": {"filter": [own]}},
    }
    answer = store.search(LOGS, body)
    since = spans[0]["@timestamp"] if spans else None
    asked = {"trace": trace} | ({"since": since} if since else {})
    return {
        "count": answer["hits"]["total"]["value"],
        "href": f"{ROOT}/logs?{urlencode(asked)}",
        "newest": [
            {key: record[key] for key in ("@timestamp", "program", "severity", "message") if key in record}
            for record in hits(answer)
        ],
    }


def _metrics(spans: Sequence[Document]) -> list[Document]:
    """Return the queries that show how long the processes took for a message while they had the product."""
    found = []
    handled = [span for span in spans if span["name"].startswith(HANDLING)]
    for process in dict.fromkeys(span["process"] for span in handled):
        own = [span for span in handled if span["process"] == process]
        begin = datetime.fromisoformat(min(span["@timestamp"] for span in own)) - MARGIN
        end = datetime.fromisoformat(max(span["end"] for span in own)) + MARGIN
        seconds = f'rate(refsys_message_seconds_sum{{app="{process}"}}[5m])'
        count = f'rate(refsys_message_seconds_count{{app="{process}"}}[5m])'
        query = f"{seconds} / {count}"
        asked = urlencode({"query": query, "since": iso(begin), "until": iso(end)})
        found.append({"process": process, "query": query, "href": f"{ROOT}/metrics/query_range?{asked}"})
    return found

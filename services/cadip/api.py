"""The HTTP endpoints of the CADIP under `/odata/v1` (reference-system.md §3.1)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import PlainTextResponse
from sqlalchemy import RowMapping, select

from refsys.services.cadip.metadata import metadata_document, service_document
from refsys.services.cadip.model import session_file, session_quality
from refsys.services.cadip.sets import FILES, QUALITY_INFO, SESSIONS, SETS, entity_json
from refsys.services.distribution.auth import require
from refsys.services.distribution.delivery.entities import Entities, page_body
from refsys.services.distribution.delivery.requests import ROOT, Answer
from refsys.services.distribution.download import Content, Downloads
from refsys.services.distribution.odata.entities import EntitySet

USER = "cadip-user"
_EXPANDED = {"Files": (FILES, session_file), "QualityInfo": (QUALITY_INFO, session_quality)}

router = APIRouter(prefix=ROOT, dependencies=[Depends(require(USER))])


def _entities(request: Request) -> Entities:
    found: Entities = request.app.state.entities
    return found


@router.get("")
@router.get("/")
def service() -> Response:
    """Return the service document."""
    return Answer(service_document())


@router.get("/$metadata")
def metadata() -> Response:
    """Return the entity model."""
    return Response(metadata_document(), media_type="application/xml", headers={"OData-Version": "4.0"})


def _search(entity_set: EntitySet) -> Callable[[Request], Response]:
    def search(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        query = entity_set.query(pairs)
        page = _entities(request).select(entity_set, query)
        inner = _expanded(_entities(request), page.rows, query.expand)
        values = [entity_json(entity_set, row) | inner.get(row["id"], {}) for row in page.rows]
        url = f"{request.app.state.public_url}{ROOT}/{entity_set.name}"
        return Answer(page_body(entity_set.name, page, values, url=url, pairs=pairs, query=query))

    return search


def _count(entity_set: EntitySet) -> Callable[[Request], Response]:
    def count(request: Request) -> Response:
        query = entity_set.query(request.query_params.multi_items())
        return PlainTextResponse(str(_entities(request).number(entity_set, query)), headers={"OData-Version": "4.0"})

    return count


def _entity(entity_set: EntitySet) -> Callable[[str, Request], Response]:
    def entity(key: str, request: Request) -> Response:
        expand = entity_set.entity_query(request.query_params.multi_items())
        row = _entities(request).one(entity_set, key)
        inner = _expanded(_entities(request), [row], expand)
        context = {"@odata.context": f"$metadata#{entity_set.name}/$entity"}
        return Answer(context | entity_json(entity_set, row) | inner.get(row["id"], {}))

    return entity


def _navigation(name: str) -> Callable[[str, Request], Response]:
    def navigate(key: str, request: Request) -> Response:
        row = _entities(request).one(SESSIONS, key)
        inner = _expanded(_entities(request), [row], frozenset({name}))
        return Answer({"@odata.context": f"$metadata#Sessions({row['id']})/{name}", "value": inner[row["id"]][name]})

    return navigate


for _set in SETS:
    router.get(f"/{_set.name}", summary=f"A page of {_set.name}")(_search(_set))
    router.get(f"/{_set.name}/$count", summary=f"How many {_set.name} satisfy $filter")(_count(_set))
    router.get(f"/{_set.name}({{key}})", summary=f"One of {_set.name}")(_entity(_set))
for _name in _EXPANDED:
    router.get(f"/Sessions({{key}})/{_name}", summary=f"{_name} of a session")(_navigation(_name))


@router.api_route("/Files({key})/$value", methods=["GET", "HEAD"])
async def value(key: str, request: Request) -> Response:
    """Return the bytes of one file."""
    row = await run_in_threadpool(_entities(request).one, FILES, key)
    downloads: Downloads = request.app.state.downloads
    return await downloads.answer(request, Content.of_product(row))


def _expanded(entities: Entities, rows: Any, expand: frozenset[str]) -> dict[UUID, dict[str, Any]]:
    """Return what belongs to each session of a page, by the session's Id."""
    inner: dict[UUID, dict[str, Any]] = {row["id"]: {name: [] for name in sorted(expand)} for row in rows}
    for name in expand:
        entity_set, table = _EXPANDED[name]
        statement = select(table).where(table.c.session.in_(list(inner))).order_by(table.c.channel)
        if name == "Files":
            statement = statement.order_by(table.c.block_number)
        with entities.transaction() as connection:
            found: list[RowMapping] = list(connection.execute(statement).mappings())
        for row in found:
            inner[row["session"]][name].append(entity_json(entity_set, row))
    return inner

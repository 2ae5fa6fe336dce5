"""Operators' endpoints of the reconciliation, under `/operations/v1/reconciliations`."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel
from sqlalchemy import Engine, RowMapping, select

from refsys.services.operations.answers import Page, Size, conflict, engine_of, not_found, operator_of, shown
from refsys.services.reconciliation.compare import Kind
from refsys.services.reconciliation.report import render
from refsys.services.reconciliation.runs import request as request_run
from refsys.services.reconciliation.tables import finding, run

router = APIRouter(prefix="/operations/v1/reconciliations")
Database = Annotated[Engine, Depends(engine_of)]


class Wanted(BaseModel):
    """What a run is to do beside comparing."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    repair: bool = False
    delete_orphans: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Wanted":
        if self.delete_orphans and not self.repair:
            raise ValueError("deleteOrphans needs repair")
        return self


@router.post("", status_code=202)
def start(wanted: Wanted, database: Database, request: Request) -> dict[str, str]:
    """Request a run; the `lifecycle` process carries it out."""
    operator = operator_of(request)
    identifier = request_run(database, repair=wanted.repair, delete_orphans=wanted.delete_orphans, operator=operator)
    return {"id": str(identifier)}


@router.get("")
def runs(database: Database, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of runs, the latest first."""
    statement = select(run).order_by(run.c.requested.desc()).offset(page * size).limit(size)
    with database.connect() as connection:
        return [_summary(row) for row in connection.execute(statement).mappings()]


@router.get("/{identifier}")
def one(identifier: UUID, database: Database) -> dict[str, Any]:
    """Return one run, with its report when it is done."""
    row = _find(database, identifier)
    return {**_summary(row), "report": row["report"]}


@router.get("/{identifier}/report")
def report(identifier: UUID, database: Database, request: Request) -> Response:
    """Return the report: JSON, or text if the client asks for `text/plain`."""
    row = _find(database, identifier)
    if row["report"] is None:
        raise conflict(f"run {identifier} has no report, its state is {row['state']}")
    if request.headers.get("Accept", "").startswith("text/plain"):
        return PlainTextResponse(render(row["report"]))
    return JSONResponse(row["report"])


@router.get("/{identifier}/findings")
def findings(
    identifier: UUID, database: Database, kind: Kind | None = None, page: Page = 0, size: Size = 100
) -> list[dict[str, Any]]:
    """Return one page of all that a run found."""
    _find(database, identifier)
    columns = (finding.c.number, finding.c.kind, finding.c.bucket, finding.c.key, finding.c.detail, finding.c.action)
    statement = select(*columns).where(finding.c.run_id == identifier).order_by(finding.c.number)
    if kind is not None:
        statement = statement.where(finding.c.kind == kind)
    with database.connect() as connection:
        return [dict(row) for row in connection.execute(statement.offset(page * size).limit(size)).mappings()]


def _find(database: Engine, identifier: UUID) -> RowMapping:
    with database.connect() as connection:
        row = connection.execute(select(run).where(run.c.id == identifier)).mappings().one_or_none()
    if row is None:
        raise not_found(f"there is no run {identifier}")
    return row


def _summary(row: RowMapping) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "state": row["state"],
        "reason": row["reason"],
        "operatorName": row["operator_name"],
        "repair": row["repair"],
        "deleteOrphans": row["delete_orphans"],
        "requested": shown(row["requested"]),
        "started": shown(row["started"]),
        "finished": shown(row["finished"]),
    }

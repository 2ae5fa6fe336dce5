"""REST of the request parking lot (interface description §2.4), under `/api/v1/failedProcessings`.

Beside an operator's token a caller shows the key of the deployment in the header `ApiKey`; without it, 403.
"""

import hmac
from collections.abc import Callable
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, RowMapping

from refsys.services.common.settings import ApiKeySettings, secret
from refsys.services.dead_letters import actions
from refsys.services.dead_letters.letters import allowed_actions, content
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.operations.answers import (
    PAGE_LIMIT,
    Moment,
    Page,
    Size,
    conflict,
    engine_of,
    not_found,
    operator_of,
    shown,
)

Database = Annotated[Engine, Depends(engine_of)]
Action = Callable[[Engine, UUID, str], None]
ACTIONS: dict[str, Action] = {"delete": actions.remove, "restart": actions.restart, "resubmit": actions.resubmit}


def require_api_key(request: Request) -> None:
    """Let only callers through that show the key, read anew each time so that it can rotate."""
    settings: ApiKeySettings = request.app.state.api_key
    expected = secret(settings.api_key_file).encode()
    if not expected or not hmac.compare_digest(request.headers.get("ApiKey", "").encode(), expected):
        raise ODataError(403, "Forbidden", "the header ApiKey is missing or wrong: ask the operator for the key")


router = APIRouter(prefix="/api/v1/failedProcessings", dependencies=[Depends(require_api_key)])


class Batch(BaseModel):
    """The messages that an action is for."""

    model_config = ConfigDict(extra="forbid")

    ids: list[UUID] = Field(min_length=1, max_length=PAGE_LIMIT)


def selection(  # noqa: PLR0917  # query options
    mission: Annotated[str | None, Query(max_length=8)] = None,
    topic: Annotated[str | None, Query(max_length=249)] = None,
    level: Literal["ERROR", "WARNING"] | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    text: Annotated[str | None, Query(max_length=255)] = None,
) -> actions.Selection:
    """Return the conditions of a query."""
    return actions.Selection(mission, topic, level, since, until, text)


Selected = Annotated[actions.Selection, Depends(selection)]


@router.get("")
def page_of(database: Database, selected: Selected, page: Page = 0, size: Size = 100) -> list[dict[str, Any]]:
    """Return one page of the parking lot, the latest failure first."""
    return [_document(row) for row in actions.search(database, selected, page, size)]


@router.get("/count")
def count(database: Database, selected: Selected) -> int:
    """Return how many messages there are."""
    return actions.count(database, selected)


@router.get("/{identifier}")
def one(identifier: UUID, database: Database) -> dict[str, Any]:
    """Return one message."""
    try:
        return _document(actions.find(database, identifier))
    except actions.UnknownError as error:
        raise not_found(str(error)) from error


@router.delete("/{identifier}", status_code=204)
def delete(identifier: UUID, database: Database, request: Request) -> Response:
    """Remove one message for good."""
    _act(actions.remove, database, identifier, operator_of(request))
    return Response(status_code=204)


@router.post("/{identifier}/{action}")
def act(
    identifier: UUID, action: Literal["restart", "resubmit"], database: Database, request: Request
) -> dict[str, str]:
    """Send one message again, or begin its chain again."""
    _act(ACTIONS[action], database, identifier, operator_of(request))
    return {"id": str(identifier), "action": action}


@router.post("/{action}")
def act_on_many(
    action: Literal["delete", "restart", "resubmit"], batch: Batch, database: Database, request: Request
) -> dict[str, Any]:
    """Act on each of many messages by itself; the answer says of each what became of it."""
    results = []
    for identifier in batch.ids:
        try:
            ACTIONS[action](database, identifier, operator_of(request))
        except (actions.UnknownError, actions.NotAllowedError) as error:
            results.append({"id": str(identifier), "done": False, "reason": str(error)})
        else:
            results.append({"id": str(identifier), "done": True})
    return {"results": results}


def _act(action: Action, database: Engine, identifier: UUID, operator: str) -> None:
    try:
        action(database, identifier, operator)
    except actions.UnknownError as error:
        raise not_found(str(error)) from error
    except actions.NotAllowedError as error:
        raise conflict(str(error)) from error


def _document(row: RowMapping) -> dict[str, Any]:
    """A FailedProcessing with the field names of the interface description, and what this system adds."""
    message = content(row["message"])
    return {
        "id": str(row["id"]),
        "topic": row["topic"],
        "missionId": row["mission_id"],
        "errorLevel": row["error_level"],
        "failureDate": shown(row["failure_date"]),
        "failureMessage": row["failure_message"],
        "stacktrace": row["stacktrace"],
        "message": row["message"] if message is None else message,
        "retryCounter": row["retry_counter"],
        "firstFailureDate": shown(row["first_failure_date"]),
        "occurrences": row["occurrences"],
        "errorTitle": row["rule"],
        "allowedActions": allowed_actions(row["message"]),
    }

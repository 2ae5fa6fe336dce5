"""The failed message itself: what it says of itself, and how it is sent again."""

import json
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pydantic import ValidationError

from refsys.services.common.messages import CATALOG_EVENT, CATALOG_JOB, RESTART, RESUBMIT, CatalogJob

CATALOG_EVENT_FIELDS = {"productId", "contentDateStart", "contentDateEnd", "footprint", "attributes", "contentType"}


def content(message: str) -> dict[str, Any] | None:
    """The message as JSON object; None if it is none."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def uid_of(message: str) -> str:
    """The message's uid; one that cannot be read is known by its text."""
    found = (content(message) or {}).get("uid")
    return found[:100] if isinstance(found, str) and found else str(uuid5(NAMESPACE_URL, message))


def allowed_actions(message: str) -> list[str]:
    """What may be done with a message, as it says itself; a message that cannot be read may be restarted."""
    found = (content(message) or {}).get("allowedActions", [RESTART])
    return [action for action in (RESTART, RESUBMIT) if isinstance(found, list) and action in found]


def again(message: str, retry_counter: int) -> str:
    """The same message with its retryCounter one higher; unreadable text goes as it came."""
    found = content(message)
    return message if found is None else json.dumps(found | {"retryCounter": retry_counter + 1}, ensure_ascii=False)


def catalog_job(topic: str, message: str) -> str | None:
    """The catalogue job at the beginning of the chain of a failed `catalog-event`; None if it has none."""
    found = content(message) if topic == CATALOG_EVENT else None
    if found is None:
        return None
    job = {key: value for key, value in found.items() if key not in CATALOG_EVENT_FIELDS}
    try:
        CatalogJob.model_validate(job)
    except ValidationError:
        return None
    return json.dumps(job | {"retryCounter": 0}, ensure_ascii=False)


def ingested_file(topic: str, message: str) -> tuple[str, str] | None:
    """Station and name of the file whose ingestion is the beginning of a failed `catalog-job`."""
    found = content(message) if topic == CATALOG_JOB else None
    if found is None:
        return None
    station, name = found.get("stationName"), found.get("keyObjectStorage")
    return (station, name) if isinstance(station, str) and isinstance(name, str) else None

"""Structured logs on stdout: LOG lines, and REPORT lines (traces) for the tasks of the chain.

The formats are those of the chain's log and trace interface documents: `header{type:LOG,…}`,
`message.content`, `custom{}` with typed suffixes; and `header{type:REPORT,…}`, `task{…}`, whose `input`, `output` and
`quality` have the suffixes as well. `services/kpi` makes the KPI tables of the REPORT lines (docs/kpi.md).
"""

import json
import logging
import sys
import time
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import uuid4

import structlog

from refsys.services.common import tracing
from refsys.services.common.messages import CHAIN_VERSION, iso, utc_now

LOG_LIMIT = 10_000
REPORT_OCTETS = 250_000  # of its text, as the trace interface has it
_SECRET_WORDS = ("password", "secret", "token", "authorization", "credential", "private_key")
_HEADER_KEYS = (
    "level",
    "timestamp",
    "mission",
    "filename",
    "lineno",
    "thread_name",
    "_record",
    "_from_structlog",
)

Status = Literal["OK", "NOK", "TIMEOUT"]


def _suffix(value: object) -> str:  # noqa: PLR0911  # a table
    match value:
        case bool():
            return "boolean"
        case int():
            return "long"
        case float():
            return "double"
        case datetime():
            return "date"
        case dict():
            return "object"
        case list() | tuple():
            return _suffix(value[0]) + "s" if value else "strings"
        case _:
            return "string"


def _plain(value: object) -> object:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case datetime():
            return iso(value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def _traced(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if trace := tracing.current_trace():
        event["trace_id"] = trace
    return event


def _typed(values: Mapping[str, object]) -> dict[str, object]:
    """The fields under names that tell the type of their value; those without a value are left out."""
    return {f"{key}_{_suffix(value)}": _plain(value) for key, value in values.items() if value is not None}


def _hide_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key in event:
        if any(word in key.lower() for word in _SECRET_WORDS):
            event[key] = "***"
    return event


def _line(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    header: dict[str, Any] = {"type": "LOG", "timestamp": iso(utc_now()), "level": event["level"].upper()}
    if "report" in event:
        report = event["report"]
        header |= {"type": "REPORT"} | report["header"]
        return {
            "header": header,
            "message": {"content": _cut(str(event["event"]), REPORT_OCTETS)},
            "task": report["task"],
            **({"custom": {"trace_id_string": event["trace_id"]}} if "trace_id" in event else {}),
        }
    header |= {
        "mission": event.get("mission", ""),
        "file": event.get("filename", ""),
        "line": event.get("lineno", 0),
        "thread": event.get("thread_name", ""),
    }
    custom = _typed({key: value for key, value in event.items() if key not in _HEADER_KEYS and key != "event"})
    return {"header": header, "message": {"content": str(event["event"])[:LOG_LIMIT]}, "custom": custom}


def _cut(text: str, octets: int) -> str:
    """Return as much of a text as takes no more octets than these in a line."""
    while (size := len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))) > octets:
        text = text[: min(len(text) * octets // size, len(text) - 1)]
    return text


def configure(process: str, level: str = "INFO") -> None:
    """Send the logs of the process, and those of its libraries, to stdout as one JSON object a line."""
    structlog.contextvars.bind_contextvars(process=process)
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _traced,
        structlog.stdlib.add_log_level,
        structlog.processors.CallsiteParameterAdder(
            [
                structlog.processors.CallsiteParameter.FILENAME,
                structlog.processors.CallsiteParameter.LINENO,
                structlog.processors.CallsiteParameter.THREAD_NAME,
            ]
        ),
        structlog.processors.format_exc_info,
        _hide_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _line,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "opensearch", "alembic.runtime.plugins"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """The logger of the calling module; keyword arguments become typed fields in `custom`."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger("refsys")
    return logger


@dataclass(frozen=True)
class Missing:
    """Products that a task should have made and did not: what is known of them, and about how many."""

    metadata: Mapping[str, Any]
    count: int = 1
    end_to_end: bool = True


@dataclass
class Task:
    """A running task of the chain; fill `output`, `quality` and `missing` before it ends."""

    uid: str
    input: dict[str, Any]
    output: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)
    missing: list["Missing"] = field(default_factory=list)
    status: Status = "OK"
    error_code: int = 0
    size_bytes: int = 0


@contextmanager
def task(
    name: str,
    *,
    chain: str,
    mission: str,
    satellite: str = "",
    follows: str = "",
    child_of: str = "",
    **given: object,
) -> Iterator[Task]:
    """Trace a task of the chain: a BEGIN line now, an END line with status and duration at the end.

    `name` is a task name of the trace interface (`IngestionWorker`, `MetadataExtraction`, `PripWorker`, …),
    `given` its input, `child_of` the task that it is a part of. An exception ends the task as NOK and goes on. Each
    line costs on its way through the log pipeline: no other line should say what these two do.
    """
    log = structlog.get_logger("refsys.report")
    running = Task(uid=str(uuid4()), input=_typed(given))
    tracing.running().note(task=running.uid)
    common = {"uid": running.uid, "name": name, "satellite": satellite}
    header = {
        "mission": mission,
        "rs_chain_name": chain,
        "rs_chain_version": CHAIN_VERSION,
        "workflow": "NOMINAL",
        "debug_mode": False,
        "tag_list": [],
    }
    begin = {**common, "event": "BEGIN", "input": running.input, "follows_from_task": follows}
    if child_of:
        begin["child_of_task"] = child_of
    log.info(f"{name} begins", report={"header": header, "task": begin})
    started = time.monotonic()
    content = f"{name} ends"
    try:
        yield running
    except BaseException as error:
        running.status = "NOK" if running.status == "OK" else running.status
        running.error_code = running.error_code or 1
        content = f"{name} failed: {type(error).__name__}: {error}"
        raise
    finally:
        seconds = max(time.monotonic() - started, 1e-6)
        mebibytes = running.size_bytes / 2**20
        end = {
            **common,
            "event": "END",
            "status": running.status,
            "error_code": running.error_code,
            "duration_in_seconds": round(seconds, 6),
            "data_rate_mebibytes_sec": round(mebibytes / seconds, 6),
            "data_volume_mebibytes": round(mebibytes, 6),
            "input": running.input,
            "output": _typed(running.output),
            "quality": _typed(running.quality),
            "missing_output": [
                {
                    "product_metadata_custom_object": _plain(dict(each.metadata)),
                    "end_to_end_product_boolean": each.end_to_end,
                    "estimated_count_integer": each.count,
                }
                for each in running.missing
            ],
        }
        level = log.info if running.status == "OK" else log.error
        level(content, report={"header": header, "task": end})

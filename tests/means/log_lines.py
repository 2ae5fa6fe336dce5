"""Lines as containers write them: the chain's LOG and REPORT lines, audit events, plain text and tracebacks."""

import json
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path

from refsys.services.common.messages import iso

TRACEBACK = (
    "Traceback (most recent call last):",
    '  File "/opt/refsys/lib/python3.11/site-packages/refsys/services/ingestion/worker.py", line 171, in _fetch',
    "    with client.open(entry) as stream:",
    "refsys.services.ingestion.errors.SourceError: connection reset by peer",
)
SHARES = {"log": 0.5, "report": 0.2, "plain": 0.15, "request": 0.1, "secret": 0.03, "traceback": 0.02}
"""Which share of what is written is of a kind; a traceback is four lines."""
PLACES = (("processing", "catalogue"), ("processing", "ingestion-worker"), ("infra", "gateway"), ("infra", "kafka"))
"""Namespace and container: topics logs-processing, logs-security and logs-system."""
PIECE = 500
TOGETHER = 50
"""Lines that one container writes before it is another's turn, all at the same moment."""


def texts(number: int, mark: str, seed: int = 1) -> Iterator[str]:
    """Yield `number` texts, each with `mark` and its own number (`mark` 0 to number-1) as two words."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    kinds, shares = list(SHARES), list(SHARES.values())
    made = 0
    while made < number:
        (kind,) = drawn.choices(kinds, shares)
        lines = TRACEBACK if kind == "traceback" else (kind,)
        for line in lines[: number - made]:
            yield f"{line} ({mark} {made})" if kind == "traceback" else _text(kind, f"{mark} {made}", drawn)
            made += 1


def write(files: list[Path], number: int, mark: str, start: float | None = None, a_second: float = inf) -> None:
    """Append lines to the logs of containers in turn, as the Container Runtime Interface writes them.

    The first is of `start` (Unix time, now), and each second has `a_second` of them.
    """
    start = start or time.time()
    pieces: list[list[str]] = [[] for _ in files]
    opened = [file.open("a", encoding="utf-8") for file in files]
    try:
        for place, text in enumerate(texts(number, mark)):
            index = place // TOGETHER % len(files)
            if place % TOGETHER == 0:
                moment = datetime.fromtimestamp(start + place / a_second, UTC)
                stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}123Z"
            pieces[index].append(f"{stamp} stdout F {text}\n")
            if len(pieces[index]) >= PIECE:
                opened[index].write("".join(pieces[index]))
                opened[index].flush()
                pieces[index].clear()
        for file, piece in zip(opened, pieces, strict=True):
            file.write("".join(piece))
    finally:
        for file in opened:
            file.close()


def _text(kind: str, mark: str, drawn: random.Random) -> str:
    number = drawn.randrange(10**6)
    product = f"S1A_IW_RAW__0SDV_20261122T050000_20261122T050032_{number:06}_0A1B2C_{number % 65536:04X}.SAFE.zip"
    now = iso(datetime.now(UTC))
    header = {"type": "LOG", "timestamp": now, "level": "INFO", "mission": "S1", "file": "service.py", "line": 99}
    trace = {"trace_id_string": f"{number:032x}"}
    match kind:
        case "log":
            custom = {"process_string": "catalogue", "product_string": product, "seconds_double": 0.125, **trace}
            line = {"header": header, "message": {"content": f"product stored ({mark})"}, "custom": custom}
        case "report":
            task = {
                "uid": f"6f1d2c3b-4a59-4687-9786-{number:012}",
                "name": "MetadataExtraction",
                "satellite": "S1A",
                "event": "END",
                "status": "OK",
                "error_code": 0,
                "duration_in_seconds": 0.25,
                "input": {"filename_string": product},
                "output": {"catalog_storage_date": now, "product_id_string": f"{number:032x}"},
                "quality": {},
                "missing_output": [],
            }
            header = {"type": "REPORT", "timestamp": now, "level": "INFO", "mission": "S1", "workflow": "NOMINAL"}
            line = {"header": header, "message": {"content": f"it ends ({mark})"}, "task": task, "custom": trace}
        case "request":
            path = f"/odata/v1/Products({number})/$value"
            line = {"timestamp": now, "client": "CN=user", "method": "GET", "path": path, "status": 200, "id": mark}
        case "secret":
            return f"INFO login of s{number} password=hunter{number} token=eyJhbGciOiJub25lIn0.{number} ({mark})"
        case _:
            return f"[{now}] INFO [GroupCoordinator id=1] Stabilized group {number} generation 7 ({mark})"
    return json.dumps(line)

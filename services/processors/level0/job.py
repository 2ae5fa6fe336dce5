"""A level-0 job: a session's channels one after the other, then the products; stopped at any point, it goes on.

The folder `.level0` in the output folder has everything that a stopped job needs. `<output folder>.LIST` in the output
folder names the products, one a line; it is written last.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from refsys.services.common.messages import utc_now
from refsys.services.processors.errors import DEGRADED, GOOD, NO_PRODUCT, WRONG_PRODUCT, ProcessorError
from refsys.services.processors.level0.channel import Channel, Progress
from refsys.services.processors.level0.checkpoints import sync_folder
from refsys.services.processors.level0.framing import Framing
from refsys.services.processors.level0.missions import SHIPPED, missions
from refsys.services.processors.level0.naming import Naming
from refsys.services.processors.level0.product import Assembly, products
from refsys.services.processors.level0.session import Session, read_session
from refsys.services.processors.quality import check

_SATELLITES = tuple(f"{mission}{letter}" for mission in ("S1", "S2", "S3") for letter in "ABCD")


@dataclass(frozen=True)
class Options:
    """What to do: inputs and output folder, and what the session's files don't tell."""

    inputs: tuple[Path, ...]
    output: Path
    satellite: str = ""
    orbit: int | None = None
    station: str = ""
    timeliness: str = ""
    framing: Framing = field(default_factory=Framing)
    table: Path = SHIPPED


@dataclass(frozen=True)
class Outcome:
    """The products that were made, and whether anything of the session is missing."""

    products: tuple[str, ...]
    degraded: bool

    @property
    def code(self) -> int:
        """The exit code."""
        return DEGRADED if self.degraded else GOOD


def run(options: Options, progress: Progress = lambda _: None) -> Outcome:
    """Do the job, or the rest of it."""
    session = read_session(options.inputs)
    satellite = options.satellite or session.satellite
    table = missions(options.table)
    if satellite not in _SATELLITES or satellite[:2] not in table:
        raise ProcessorError(
            f"satellite {satellite or 'is not told by the session'}",
            fix=f"say which one it is: {', '.join(_SATELLITES)}",
        )
    if session.satellite not in ("", satellite):
        raise ProcessorError(
            f"session {session.id} is not of {satellite}", fix="correct the satellite, or leave it out"
        )
    mission, home = table[satellite[:2]], options.output / ".level0"
    streams = home / "streams"
    streams.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        state = _State(home / "job.json", _identity(options, session, satellite))
        if state.outcome:
            return state.outcome
        results = []
        for files in session.channels.values():
            results.append(Channel(files, mission, options.framing, streams).run(progress))
        reception = {"session": session.id, "channels": [_reception(each) for each in results]}
        orbit = session.orbit if options.orbit is None else options.orbit
        naming = Naming(satellite, orbit, options.station, options.timeliness, state.generated)
        assembly = Assembly(streams, naming, session.id, reception)
        first = next(iter(session.channels.values()))
        found = products(results, mission)
        if not found:
            raise ProcessorError(
                "no packet of a known kind in the session",
                fix="see whether framing and table of missions are those of the satellite",
                code=NO_PRODUCT,
            )
        for product in found:
            partial = home / "products" / product.identifier
            if product.identifier not in state.names:
                state.name(product.identifier, assembly.assemble(product, partial, (first.start, first.stop)))
            final = options.output / state.names[product.identifier]
            if partial.exists():
                partial.rename(final)
                sync_folder(options.output)
            problems = check(final, content=False)
            if problems:
                raise ProcessorError(f"{final.name}: {problems[0]}", fix="report it", code=WRONG_PRODUCT)
        for result in results:
            events = streams / f"ch{result['number']}-events.jsonl"
            if events.exists():
                events.replace(options.output / f"level0-{events.name}")
        names = tuple(sorted(state.names.values()))
        _replace(options.output / "level0-report.json", json.dumps(reception, indent=2) + "\n")
        _replace(options.output / f"{options.output.resolve().name}.LIST", "".join(f"{name}\n" for name in names))
        return state.finish(Outcome(names, any(_degraded(each) for each in results)))


def _reception(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("streams", "events")}


def _degraded(result: dict[str, Any]) -> bool:
    """Whether anything is missing in a channel, or not as its DSIB says."""
    counts = result["virtual"].values()
    frames = any(each["missing"] or each["restarts"] or each["broken_packets"] for each in counts)
    reception = result["reception"]
    bad = reception["uncorrectable"] or reception["wrong"] or reception["unassigned"]
    return bool(frames or bad or result["lock"]["losses"] or result["missing_blocks"] or result["problems"])


def _identity(options: Options, session: Session, satellite: str) -> str:
    """A digest of what the job's results depend on."""
    files = [(block.path.name, block.size) for each in session.channels.values() for block in each.blocks]
    facts = [session.id, satellite, options.orbit, options.station, options.timeliness, asdict(options.framing), files]
    return hashlib.sha256(json.dumps(facts).encode() + options.table.read_bytes()).hexdigest()


class _State:
    """What a job has decided: when it began, the names of its products, and its outcome."""

    def __init__(self, path: Path, identity: str) -> None:
        self._path = path
        self._values: dict[str, Any] = {"identity": identity, "generated": utc_now().isoformat(), "names": {}}
        if path.exists():
            self._values = json.loads(path.read_text())
            if self._values["identity"] != identity:
                raise ProcessorError(f"{path.parent} belongs to another job", fix="use an empty output folder")
        else:
            self._save()

    @property
    def generated(self) -> datetime:
        return datetime.fromisoformat(self._values["generated"]).replace(microsecond=0)

    @property
    def names(self) -> dict[str, str]:
        names: dict[str, str] = self._values["names"]
        return names

    @property
    def outcome(self) -> Outcome | None:
        done = self._values.get("outcome")
        return Outcome(tuple(done["products"]), done["degraded"]) if done else None

    def name(self, identifier: str, name: str) -> None:
        self.names[identifier] = name
        self._save()

    def finish(self, outcome: Outcome) -> Outcome:
        self._values["outcome"] = asdict(outcome)
        self._save()
        return outcome

    def _save(self) -> None:
        _replace(self._path, json.dumps(self._values))


def _replace(path: Path, content: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Make sure that nobody else does the same job."""
    with (home / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ProcessorError(f"another process works in {home}", fix="wait for it, or stop it") from None
        yield

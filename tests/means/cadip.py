"""A CADIP station (reference-system.md §3.1): downlink sessions with made-up DSDBs, served as OData.

    python -m tests.means.cadip --port 8443 --blocks 35 --size 100000000 --rate 34000000

The same session, the same bytes. Faults are made on request, see `CadipFaults`.
"""

import argparse
import re
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

from tests.means.station import BLOCK_BYTES, PATH, Entry, Faults, Handler, Station

_TERM = re.compile(r"(?P<name>\w+) (?P<operator>eq|ge|gt|le|lt) (?P<value>'[^']*'|true|false|\d{4}-\d\d-\d\dT[\d:.]+Z)")
_MS = timedelta(milliseconds=1)
SPELLING = "SessionId"


@dataclass
class CadipFaults(Faults):
    """What else goes wrong with sessions; may be changed while the station runs."""

    hidden: set[str] = field(default_factory=set)  # names of files not visible yet, published all the same
    duplicates: set[str] = field(default_factory=set)  # names listed twice, under different Ids
    wrong_sizes: set[str] = field(default_factory=set)  # names announced with a byte too many
    skew: timedelta = timedelta(0)  # of the station's clock
    future_rows: int = 0  # sessions listed with a date ten days ahead, and no files
    spelling: str = SPELLING  # of the session's id in Files


@dataclass(frozen=True)
class Block:
    """A file of a session."""

    id: str
    session_id: str
    name: str
    channel: int
    number: int
    final: bool
    size: int
    published: datetime
    retransfer: bool
    path: Path | None = None
    """Where its bytes are; made up without."""

    def content(self, start: int = 0) -> Iterator[bytes]:
        """The bytes from `start` on."""
        if self.path:
            with self.path.open("rb") as file:
                file.seek(start)
                yield from iter(lambda: file.read(BLOCK_BYTES), b"")
            return
        for index in range(start // BLOCK_BYTES, -(-self.size // BLOCK_BYTES)):
            random = Random(f"{self.name}/{self.retransfer}/{index}")  # noqa: S311  # made-up data
            block = random.randbytes(min(BLOCK_BYTES, self.size - index * BLOCK_BYTES))
            yield block[max(0, start - index * BLOCK_BYTES) :]


@dataclass
class Downlink:
    """A session; its files become visible as they were received."""

    id: str
    session_id: str
    satellite: str
    channels: int
    published: datetime
    start: datetime
    stop: datetime
    blocks: list[Block] = field(default_factory=list)


class Cadip(Station):
    """The station; use as a context manager, or `start()` and `stop()`."""

    faults: CadipFaults

    def __init__(self, *, faults: CadipFaults | None = None, **options: Any) -> None:
        """`options` are those of `Station`."""
        super().__init__(Path(), faults=faults or CadipFaults(), **options)
        self.sessions: dict[str, Downlink] = {}
        self._moment = datetime.min.replace(tzinfo=UTC)

    @classmethod
    def handler(cls) -> type[Handler]:
        """What answers the requests."""
        return _CadipHandler

    def publish(self) -> list[Entry]:
        """Sessions are added, not found in a folder."""
        return []

    def now(self) -> datetime:
        """The time by the station's clock: milliseconds, rising with every call."""
        now = datetime.now(UTC) + self.faults.skew
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._moment = max(now, self._moment + _MS)
        return self._moment

    def add_session(  # noqa: PLR0917  # all of a session
        self,
        satellite: str = "S1A",
        channels: int = 2,
        blocks: int = 3,
        size: int = 100_000,
        rate: float | None = None,
        downlink: datetime | None = None,
        dsib: bool = False,
        orbit: int | None = None,
    ) -> Downlink:
        """A session of `blocks` DSDBs a channel, `size` bytes each, received in an orbit or the next one.

        They are received with `rate` bytes a second and channel, or all at once.
        """
        with self._lock:
            start = downlink or self.now()
            session_id = f"{satellite}_{start:%Y%m%d%H%M%S}{len(self.sessions) if orbit is None else orbit:06d}"
            seconds = blocks * size / rate if rate else 0
            session = Downlink(
                str(uuid.uuid5(uuid.NAMESPACE_URL, session_id)),
                session_id,
                satellite,
                channels,
                self.now(),
                start,
                start + timedelta(seconds=seconds),
            )
            for number in range(1, blocks + 1):
                later = timedelta(seconds=number * size / rate) if rate else timedelta(0)
                for channel in range(1, channels + 1):
                    name = f"DCS_04_{session_id}_ch{channel}_DSDB_{number:05d}.raw"
                    self._add_block(session, name, channel, number, number == blocks, size, self.now() + later)
            if dsib:
                for channel in range(1, channels + 1):
                    name = f"DCS_04_{session_id}_ch{channel}_DSIB.xml"
                    self._add_block(session, name, channel, 0, False, 500, self.now())
            self.sessions[session_id] = session
            return session

    def add_received(self, session_id: str, satellite: str, downlink: datetime, blocks: list[list[Path]]) -> Downlink:
        """A session whose blocks lie in files, of each channel in their order."""
        with self._lock:
            identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, session_id))
            session = Downlink(identifier, session_id, satellite, len(blocks), self.now(), downlink, downlink)
            for channel, files in enumerate(blocks, 1):
                for number, path in enumerate(files, 1):
                    place = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{path.name}/False"))
                    final, size = number == len(files), path.stat().st_size
                    what = (place, session_id, path.name, channel, number, final, size)
                    session.blocks.append(Block(*what, published=self.now(), retransfer=False, path=path))
            self.sessions[session_id] = session
            return session

    def retransfer(self, session: Downlink, channel: int, *, announced: bool = True) -> list[Block]:
        """Send a channel again; `announced` by the session, published again with the flag."""
        with self._lock:
            again = [block for block in session.blocks if block.channel == channel and not block.retransfer]
            before = len(session.blocks)
            for block in again:
                self._add_block(
                    session, block.name, channel, block.number, block.final, block.size, self.now(), again=True
                )
            if announced:
                session.published = self.now()
            return session.blocks[before:]

    def _add_block(  # noqa: PLR0917  # all of a file
        self,
        session: Downlink,
        name: str,
        channel: int,
        number: int,
        final: bool,
        size: int,
        published: datetime,
        again: bool = False,
    ) -> None:
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}/{again}"))
        block = Block(identifier, session.session_id, name, channel, number, final, size, published, again)
        session.blocks.append(block)

    def rows_of_sessions(self) -> list[dict[str, Any]]:
        """All visible sessions, oldest first."""
        found = sorted(self.sessions.values(), key=lambda session: session.published)
        rows = [_session(session) for session in found]
        for number in range(self.faults.future_rows):
            name = f"S1A_2099010100000{number}000000"
            ahead = self.now() + timedelta(days=10)
            rows.append(_session(Downlink(str(uuid.uuid4()), name, "S1A", 1, ahead, ahead, ahead)))
        return rows

    def rows_of_files(self) -> list[dict[str, Any]]:
        """All visible files, oldest first."""
        now, faults = self.now(), self.faults
        rows = []
        for block in sorted(self.blocks(), key=lambda block: block.published):
            if block.name in faults.hidden or block.published > now + timedelta(seconds=1):
                continue
            rows.append(_file(block, faults))
            if block.name in faults.duplicates:
                rows.append(_file(block, faults) | {"Id": str(uuid.uuid5(uuid.NAMESPACE_URL, block.id))})
        return rows

    def blocks(self) -> list[Block]:
        """All files."""
        return [block for session in list(self.sessions.values()) for block in list(session.blocks)]

    def block(self, identifier: str) -> Block | None:
        """The file of an Id, or of that of its duplicate."""
        for block in self.blocks():
            if identifier in (block.id, str(uuid.uuid5(uuid.NAMESPACE_URL, block.id))):
                return block
        return None


def _date(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _session(session: Downlink) -> dict[str, Any]:
    return {
        "Id": session.id,
        "SessionId": session.session_id,
        "NumChannels": session.channels,
        "PublicationDate": _date(session.published),
        "Satellite": session.satellite,
        "StationUnitId": "01",
        "DownlinkOrbit": 53186,
        "AcquisitionId": "53186_A1",
        "AntennaId": "MSP21",
        "FrontEndId": None,
        "Retransfer": any(block.retransfer for block in session.blocks),
        "AntennaStatusOK": True,
        "FrontEndStatusOK": True,
        "DownlinkStatusOK": True,
        "DeliveryPushOK": True,
        "PlannedDataStart": _date(session.start),
        "PlannedDataStop": _date(session.stop),
        "DownlinkStart": _date(session.start),
        "DownlinkStop": _date(session.stop),
    }


def _file(block: Block, faults: CadipFaults) -> dict[str, Any]:
    return {
        "Id": block.id,
        "Name": block.name,
        faults.spelling: block.session_id,
        "Channel": block.channel,
        "BlockNumber": block.number,
        "FinalBlock": block.final,
        "PublicationDate": _date(block.published),
        "EvictionDate": _date(block.published + timedelta(days=7)),
        "Size": block.size + (block.name in faults.wrong_sizes),
        "Retransfer": block.retransfer,
    }


def _quality(session: Downlink) -> list[dict[str, Any]]:
    return [
        {
            "Channel": channel,
            "SessionId": session.session_id,
            "AcquiredTFs": 1000,
            "ErrorTFs": 3,
            "CorrectedTFs": 2,
            "UncorrectableTFs": 1,
            "DataTFs": 990,
            "DeliveryStart": _date(session.start),
            "DeliveryStop": _date(session.stop),
            "TotalChunks": sum(block.channel == channel for block in session.blocks),
            "TotalVolume": sum(block.size for block in session.blocks if block.channel == channel),
        }
        for channel in range(1, session.channels + 1)
    ]


def _matches(row: dict[str, Any], expression: str) -> bool:
    """A conjunction of comparisons; ValueError for anything else, such as a property that is not there."""
    for term in filter(None, expression.split(" and ")):
        found = _TERM.fullmatch(term.strip())
        if found is None or found["name"] not in row:
            raise ValueError(f"cannot read the filter at {term!r}")
        real, value = row[found["name"]], found["value"].strip("'")
        text = str(real).lower() if isinstance(real, bool) else str(real)
        order = (text > value) - (text < value)
        operator = found["operator"]
        if not {"eq": order == 0, "ge": order >= 0, "gt": order > 0, "le": order <= 0, "lt": order < 0}[operator]:
            return False
    return True


class _CadipHandler(Handler):
    station: ClassVar[Cadip]

    def answer(self) -> None:
        """Answer a GET that nothing speaks against."""
        address = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(address.query).items()}
        if address.path == f"{PATH}/Sessions":
            self._page("Sessions", self.station.rows_of_sessions(), _session(_EMPTY), query)
        elif address.path == f"{PATH}/Files":
            self._page("Files", self.station.rows_of_files(), _file(_NONE, self.station.faults), query)
        elif found := re.fullmatch(rf"{PATH}/Sessions\(([0-9a-f-]{{36}})\)", address.path):
            self._one(found[1], query)
        elif found := re.fullmatch(rf"{PATH}/Files\(([0-9a-f-]{{36}})\)/\$value", address.path):
            self._bytes(found[1])
        else:
            self._json(404, {"error": {"code": "404", "message": "no such resource"}})

    def _page(self, name: str, rows: list[dict[str, Any]], sample: dict[str, Any], query: dict[str, str]) -> None:
        try:
            _matches(sample, query.get("$filter", ""))  # tells wrong properties also where there are no rows
            found = [row for row in rows if _matches(row, query.get("$filter", ""))]
        except ValueError as error:
            self._json(400, {"error": {"code": "400", "message": str(error)}})
            return
        top, skip = min(int(query.get("$top", 20)), self.station.page_limit), int(query.get("$skip", 0))
        body: dict[str, Any] = {"@odata.context": f"$metadata#{name}", "value": found[skip : skip + top]}
        if skip + top < len(found):
            more = urlencode(query | {"$skip": str(skip + top)})
            body["@odata.nextLink"] = f"{self.station.url}/{name}?{more}"
        self._json(200, body)

    def _one(self, identifier: str, query: dict[str, str]) -> None:
        session = next((item for item in self.station.sessions.values() if item.id == identifier), None)
        if session is None:
            self._json(404, {"error": {"code": "404", "message": "no such session"}})
            return
        more = {"QualityInfo": _quality(session)} if query.get("$expand") == "QualityInfo" else {}
        self._json(200, _session(session) | more)

    def _bytes(self, identifier: str) -> None:
        block, faults = self.station.block(identifier), self.station.faults
        if block is None:
            self._json(404, {"error": {"code": "404", "message": "no such file"}})
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and not faults.ignore_range else 0
        if start and start >= block.size:
            self._json(416, {"error": {"code": "416", "message": "range not satisfiable"}})
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(block.size - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{block.size - 1}/{block.size}")
        self.end_headers()
        left = block.size - start
        if faults.happens(faults.cuts):
            left //= 2
            self.close_connection = True
        for chunk in block.content(start):
            faults.pace(len(chunk))
            try:
                self.wfile.write(chunk[:left])
            except OSError:  # the client went away
                self.close_connection = True
                return
            left -= len(chunk)
            if left <= 0:
                return


_MOMENT = datetime(2026, 1, 1, tzinfo=UTC)
_NONE = Block("", "", "", 1, 1, False, 0, _MOMENT, False)
_EMPTY = Downlink("", "", "", 1, _MOMENT, _MOMENT, _MOMENT)


def main() -> None:
    """Serve sessions until interrupted, a new one when the last is over."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--certificate", type=Path)
    parser.add_argument("--key", type=Path)
    parser.add_argument("--satellite", default="S1A")
    parser.add_argument("--channels", type=int, default=2)
    parser.add_argument("--blocks", type=int, default=3)
    parser.add_argument("--size", type=int, default=10_000_000, help="bytes of a block")
    parser.add_argument("--rate", type=float, default=34e6, help="bytes a second and channel")
    arguments = parser.parse_args()
    station = Cadip(
        host=arguments.host,
        port=arguments.port,
        certificate_file=arguments.certificate,
        key_file=arguments.key,
    )
    with station:
        print(f"{station.url} (tokens: {station.token_url})", flush=True)  # noqa: T201  # the output of the command
        while True:
            station.add_session(
                arguments.satellite, arguments.channels, arguments.blocks, arguments.size, arguments.rate
            )
            threading.Event().wait(arguments.blocks * arguments.size / arguments.rate)


if __name__ == "__main__":
    main()

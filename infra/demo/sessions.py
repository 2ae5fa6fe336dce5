"""Downlink sessions on their way into the downstream CADIP, and to the client.

A CADIP serves the blocks of a session (docs/cadip.md); its information blocks (DSIB), whether a station delivered or
the chain made them, are looked up in the metadata search.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from refsys.infra.demo.client import Client, Row
from refsys.infra.demo.content import Block, Session, same
from refsys.infra.errors import UserError


@dataclass(frozen=True)
class Reception:
    """A session that arrived: when its last file was catalogued and published, and the downloads.

    `new` says that it was not there before this run.
    """

    session: Session
    catalogued: datetime
    published: datetime
    download_seconds: float
    new: bool

    @property
    def files(self) -> int:
        """Blocks and information blocks."""
        return len(self.session.blocks) + len(self.session.information)

    @property
    def size(self) -> int:
        """Bytes of the blocks."""
        return sum(block.content.size for block in self.session.blocks)


class Sessions:
    """The sessions of all stations."""

    def __init__(self, client: Client, sources: Sequence[Session]) -> None:
        """Nothing is requested before the first look."""
        self._client, self._sources = client, list(sources)
        self._files: dict[str, dict[str, Row]] = {session.id: {} for session in sources}
        self._catalogued: dict[str, dict[str, Row]] = {session.id: {} for session in sources}
        self._before: set[str] | None = None
        self._blocks = sum(len(session.blocks) for session in sources)
        self._information = sum(len(session.information) for session in sources)
        self.title = f"{len(sources)} sessions in the CADIP"
        self.total = self._blocks + self._information

    def look(self) -> int:
        """See what is in the CADIP, and which information blocks are catalogued."""
        for session in self._sources:
            if not self._published(session):
                self._files[session.id] = {row["Name"]: row for row in self._client.files(session.id)}
            if not self._known(session):
                rows = self._client.catalogued(session.id)
                self._catalogued[session.id] = {PurePosixPath(row["productName"]).name: row for row in rows}
        there = {session.id for session in self._sources if self._published(session) and self._known(session)}
        self._before = there if self._before is None else self._before
        return sum(self._counts())

    def note(self) -> str:
        """How far it is."""
        blocks, information = self._counts()
        return f"{blocks} of {self._blocks} blocks, {information} of {self._information} DSIBs"

    def late(self) -> UserError:
        """What is missing, and what to do."""
        missing = [block.name for session in self._sources for block in session.blocks if not self._has(session, block)]
        if missing:
            return UserError(
                f"not in the CADIP: {len(missing)} of {self._blocks} blocks, such as {', '.join(missing[:3])}",
                fix="see the logs of ingestion-worker, catalogue and publisher in the namespace processing, and the "
                "tables ingestion.inbox_entry and ingestion.quarantine",
            )
        missing = [
            name
            for session in self._sources
            for name in session.information.values()
            if name not in self._catalogued[session.id]
        ]
        return UserError(
            f"not in the metadata search: {len(missing)} of {self._information} DSIBs, such as "
            f"{', '.join(missing[:3])}",
            fix="see the logs of ingestion-trigger, ingestion-worker and catalogue in the namespace processing",
        )

    def fetch(self) -> list[Reception]:
        """Download all blocks and compare them with the stations, block by block."""
        return [self._fetch(session) for session in self._sources]

    def _fetch(self, session: Session) -> Reception:
        files, seconds = self._files[session.id], 0.0
        for block in session.blocks:
            row = files[block.name]
            same(f"{block.name}: channel", row["Channel"], block.channel)
            same(f"{block.name}: number", row["BlockNumber"], block.number)
            arrived, took = self._client.download(self._client.file_address(row))
            same(f"{block.name}: size", arrived.size, block.content.size, row["Size"])
            for algorithm, expected in block.content.checksums.items():
                same(f"{block.name}: {algorithm}", arrived.checksums[algorithm], expected)
            seconds += took
        for channel, name in session.information.items():
            self._compare_information(session, channel, self._catalogued[session.id][name])
        return Reception(
            session,
            max(datetime.fromisoformat(row["insertionTime"]) for row in self._catalogued[session.id].values()),
            max(datetime.fromisoformat(row["PublicationDate"]) for row in files.values()),
            seconds,
            session.id not in (self._before or ()),
        )

    def _compare_information(self, session: Session, channel: int, row: Row) -> None:
        blocks, details = session.of_channel(channel), row["details"]
        name = f"DSIB of channel {channel} of {session.id}"
        same(f"{name}: blocks", details["rawNames"], [block.name for block in blocks])
        same(f"{name}: bytes", details["dataSize"], sum(block.content.size for block in blocks))
        same(f"{name}: session", details["sessionId"], session.id)

    def check_once(self) -> None:
        """Make sure that each session and each file is there once, and still as it was at the first look."""
        for session in self._sources:
            sessions, files = self._client.sessions(session.id), self._client.files(session.id)
            if len(sessions) != 1:
                raise UserError(f"{len(sessions)} times in the CADIP: session {session.id}", fix="report it")
            same(f"{session.id}: channels", sessions[0]["NumChannels"], len(session.information))
            counts = Counter(row["Name"] for row in files)
            if counts != Counter(block.name for block in session.blocks):
                raise UserError(
                    f"the CADIP's files of session {session.id} are not the station's, each once: {dict(counts)}",
                    fix="report it with the publisher's log",
                )
            before = self._files[session.id]
            if changed := [row["Name"] for row in files if row != before[row["Name"]]]:
                raise UserError(f"published again in the CADIP: {', '.join(changed)}", fix="report it")

    def _published(self, session: Session) -> bool:
        return all(self._has(session, block) for block in session.blocks)

    def _known(self, session: Session) -> bool:
        names = {*session.information.values(), *(block.name for block in session.blocks)}
        return names <= set(self._catalogued[session.id])

    def _has(self, session: Session, block: Block) -> bool:
        return block.name in self._files[session.id]

    def _counts(self) -> tuple[int, int]:
        blocks = sum(self._has(session, block) for session in self._sources for block in session.blocks)
        known = sum(
            name in self._catalogued[session.id] for session in self._sources for name in session.information.values()
        )
        return blocks, known

"""Whether the channels of a session are complete, by the files that its station lists.

A channel is complete when its final block and all blocks before it are listed: a row that becomes visible after the
final one is waited for. A retransfer of a channel is complete likewise, with the nominal blocks it does not replace.
"""

from dataclasses import dataclass, field

from refsys.services.ingestion.dsib import Block, is_dsib
from refsys.services.ingestion.errors import StationError
from refsys.services.ingestion.source import ListedFile

MAX_FILES = 20_000  # of a session


@dataclass
class Channel:
    """What is listed of a channel; `final` is the number of its final block, None as long as there is none."""

    numbers: set[int] = field(default_factory=set)
    final: int | None = None
    blocks: dict[str, Block] = field(default_factory=dict)
    has_dsib: bool = False


@dataclass
class Channels:
    """The channels of a session, by number and whether retransferred."""

    _channels: dict[tuple[int, bool], Channel] = field(default_factory=dict)
    _ids: dict[tuple[int, bool, str, int | None], str] = field(default_factory=dict)

    def add(self, files: list[ListedFile]) -> list[ListedFile]:
        """Take note of files; returns them without those listed twice (another id, but same name and size)."""
        return [file for file in files if self._add(file)]

    def _add(self, file: ListedFile) -> bool:
        session = file.session
        if session is None:
            return False
        if len(self._ids) >= MAX_FILES:
            raise StationError(f"session {session.session_id} has more than {MAX_FILES} files")
        key = (session.channel, session.retransfer)
        if self._ids.setdefault((*key, file.name, file.size), file.id) != file.id:
            return False
        channel = self._channels.setdefault(key, Channel())
        if is_dsib(file.name):
            channel.has_dsib = True
            return True
        channel.blocks.setdefault(file.name, Block(file.name, file.size or 0, file.publication_date))
        number = session.block_number
        if number is not None:
            channel.numbers.add(number)
        if session.final_block:
            channel.final = max(channel.final or 0, number or 0)
        return True

    def complete(self) -> dict[tuple[int, bool], Channel]:
        """The complete channels."""
        return {key: channel for key, channel in self._channels.items() if self._is_complete(*key)}

    def all_complete(self, number: int) -> bool:
        """Whether `number` nominal channels are there, and all that is there, also retransferred, is complete."""
        complete = self.complete()
        nominal = sum(not retransfer for _, retransfer in complete)
        return nominal >= number and len(complete) == len(self._channels)

    def _is_complete(self, number: int, retransfer: bool) -> bool:
        channel = self._channels[number, retransfer]
        if channel.final is None:
            return False
        numbers = set(channel.numbers)
        if retransfer and (nominal := self._channels.get((number, False))):
            numbers |= nominal.numbers
        return numbers.issuperset(range(1, channel.final + 1))

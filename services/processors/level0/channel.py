"""One channel of a session: blocks of its stream become frames, packets, and files, from checkpoint to checkpoint."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from refsys.services.processors.level0 import checkpoints, reed_solomon
from refsys.services.processors.level0.frames import IDLE_CHANNEL, headers, signatures
from refsys.services.processors.level0.framing import Framing, error_control_holds
from refsys.services.processors.level0.missions import Mission
from refsys.services.processors.level0.packets import IDLE, Packets
from refsys.services.processors.level0.reed_solomon import Bools, Bytes, Ints
from refsys.services.processors.level0.session import ChannelFiles
from refsys.services.processors.level0.streams import HashedFile, Key, Streams
from refsys.services.processors.level0.synchronisation import Lock, Synchroniser, Taken
from refsys.services.processors.level0.virtual import Step, VirtualChannel

BLOCK_BYTES = 4 * 2**20
CHECKPOINT_BYTES = 256 * 2**20

Progress = Callable[[int], None]


@dataclass
class Reception:
    """Transfer frames of a channel; those whose names end so are as a station counts them (CADIP QualityInfo)."""

    acquired: int = 0
    corrected: int = 0
    uncorrectable: int = 0
    corrected_symbols: int = 0
    wrong: int = 0  # not of version 2 (AOS), or of a wrong frame error control field
    idle: int = 0
    unassigned: int = 0  # packets that the table of missions does not know


class Frames:
    """The way of frames to packets, in memory."""

    def __init__(self, framing: Framing) -> None:
        """Nothing has come yet."""
        self.framing = framing
        self.reception = Reception()
        self.virtual: dict[int, VirtualChannel] = {}

    def take(self, block: Bytes, use: Callable[[int, Step], None]) -> None:
        """Check, sort and unpack codeblocks (one a row); `use` gets each virtual channel's number and step."""
        good, corrected = self._checked(block)
        frames = block[:, : self.framing.frame_bytes]
        head, marks = headers(frames), signatures(frames, self.framing.zone.stop)
        proper = good & (head.version == 1)
        if self.framing.fecf:
            proper &= error_control_holds(frames)
        self.reception.wrong += int(np.count_nonzero(good & ~proper))
        for number in np.unique(head.channel[proper]).tolist():
            rows = np.flatnonzero(proper & (head.channel == number))
            if number == IDLE_CHANNEL:
                self.reception.idle += len(rows)
                continue
            if number not in self.virtual:
                self.virtual[number] = VirtualChannel(self.framing)
            channel = self.virtual[number]
            use(number, channel.take(frames, rows, head, marks, corrected))

    def sorted(self, number: int, packets: Packets, mission: Mission) -> Iterator[tuple[int, int, Packets, Ints]]:
        """Packets of a virtual channel by application process and data take, with their times; without idle ones."""
        packets = packets.at(np.argsort(packets.process, kind="stable"))
        times = mission.time.of(packets)
        for places in _runs(packets.process):
            process, own = int(packets.process[places.start]), packets.at(places)
            if process == IDLE:
                self.virtual[number].counts.idle_packets += len(own.position)
                continue
            content = mission.content(number, process)
            if content is None:
                self.reception.unassigned += len(own.position)
                continue
            datatakes = content.datatakes(own)
            for run in _runs(datatakes):
                yield process, int(datatakes[run.start]), own.at(run), times[places][run]

    def _checked(self, block: Bytes) -> tuple[Bools, Bools]:
        """Which frames are good, and which of them were corrected."""
        good, corrected = np.ones(len(block), np.bool_), np.zeros(len(block), np.bool_)
        self.reception.acquired += len(block)
        if not self.framing.check:
            return good, corrected
        rows = np.flatnonzero(reed_solomon.failed(block, self.framing.depth).any(axis=1))
        if rows.size:
            received = block[rows]
            symbols, mended = reed_solomon.correct(received, self.framing.depth)
            block[rows] = received
            good[rows], corrected[rows] = mended, mended
            self.reception.corrected += int(np.count_nonzero(mended))
            self.reception.uncorrectable += int(np.count_nonzero(~mended))
            self.reception.corrected_symbols += int(symbols[mended].sum())
        return good, corrected


def _runs(values: Ints) -> Iterator[slice]:
    """Where equal neighbours are."""
    borders = np.flatnonzero(values[1:] != values[:-1]) + 1
    yield from map(slice, [0, *borders.tolist()], [*borders.tolist(), len(values)] if len(values) else [])


class Channel:
    """Works through one channel, in a folder that has its streams, events and checkpoint."""

    def __init__(self, files: ChannelFiles, mission: Mission, framing: Framing, folder: Path) -> None:
        """Go on from the folder's checkpoint."""
        self.files, self._mission, self._folder = files, mission, folder
        self._checkpoint = folder / f"ch{files.number}.npz"
        state, arrays = checkpoints.load(self._checkpoint) or ({}, {})
        self.offset: int = state.get("offset", 0)
        self.lock = Lock(**state.get("lock", {}))
        self.frames = Frames(framing)
        self.frames.reception = Reception(**state.get("reception", {}))
        self.result: dict[str, Any] | None = state.get("result")
        if self.result is None:
            self.frames.virtual = {
                int(number): VirtualChannel(framing, saved, arrays[f"vc{number}"])
                for number, saved in state.get("virtual", {}).items()
            }
            known = {Key(*each["key"]): each["state"] for each in state.get("streams", [])}
            self._streams = Streams(folder, known)
            self._events = HashedFile(folder / f"ch{files.number}-events.jsonl", state.get("events", 0))

    def run(self, progress: Progress = lambda _: None) -> dict[str, Any]:
        """Work to the end of the channel; return what is known of its streams."""
        if self.result is not None:
            return self.result
        buffer, filled, since = bytearray(BLOCK_BYTES), 0, 0
        block = np.empty((BLOCK_BYTES // self.frames.framing.cadu_bytes + 1, self.frames.framing.block_bytes), np.uint8)
        synchroniser = Synchroniser(self.frames.framing, self.lock)
        while self.offset < self.files.size:
            filled += self.files.read_into(memoryview(buffer)[filled:], self.offset + filled)
            final = self.offset + filled == self.files.size
            taken = synchroniser.take(buffer, filled, block, final=final)
            self._streams.drain()
            self._note_losses(taken)
            self.frames.take(block[: taken.frames], self._use)
            self.offset += taken.octets
            buffer[: filled - taken.octets] = buffer[taken.octets : filled]
            filled -= taken.octets
            since += taken.octets
            progress(taken.octets)
            if since >= CHECKPOINT_BYTES:
                self._save()
                since = 0
        return self._finish()

    def _use(self, number: int, step: Step) -> None:
        """Send the packets of a virtual channel to their streams, and note what is missing."""
        for gap in step.gaps:
            self._note("gap", virtual=number, count=gap.counter, missing=gap.missing)
        for run in np.split(step.repeats, np.flatnonzero(np.diff(step.repeats) != 1) + 1) if step.repeats.size else ():
            self._note("repeat", virtual=number, count=int(run[0]), frames=len(run))
        for process, datatake, packets, times in self.frames.sorted(number, step.packets, self._mission):
            self._streams.add(Key(self.files.number, number, process, datatake), packets, times)

    def _note_losses(self, taken: Taken) -> None:
        for start, stop in taken.losses:
            self._note("lock lost", octet=self.offset + start, found=self.offset + stop)

    def _note(self, event: str, **values: int) -> None:
        line = json.dumps({"event": event, "channel": self.files.number, **values}) + "\n"
        self._events.append([memoryview(line.encode())])

    def _save(self) -> None:
        self._streams.sync()
        self._events.sync()
        values, arrays = {}, {}
        for number, channel in self.frames.virtual.items():
            values[number], arrays[f"vc{number}"] = channel.saved()
        state = {
            "offset": self.offset,
            "lock": vars(self.lock),
            "reception": vars(self.frames.reception),
            "virtual": values,
            "streams": [{"key": key, "state": stream.saved()} for key, stream in self._streams.by_key.items()],
            "events": self._events.size,
        }
        checkpoints.save(self._checkpoint, state, arrays)

    def _finish(self) -> dict[str, Any]:
        for channel in self.frames.virtual.values():
            channel.close()
        sums = self._streams.close()
        self._events.close()
        self.result = {
            "number": self.files.number,
            "octets": self.files.size,
            "blocks": len(self.files.blocks),
            "missing_blocks": self.files.missing,
            "problems": self.files.problems,
            "lock": vars(self.lock),
            "reception": vars(self.frames.reception),
            "virtual": {number: vars(each.counts) for number, each in sorted(self.frames.virtual.items())},
            "events": self._events.size,
            "streams": [
                {"key": list(key), "md5": list(sums[key]), **stream.saved()}
                for key, stream in sorted(self._streams.by_key.items())
            ],
        }
        checkpoints.save(self._checkpoint, {"result": self.result}, {})
        return self.result

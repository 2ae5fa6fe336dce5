"""Files that packets go to: octets of packets, and a record of each packet; they go on where a checkpoint was.

Writing and checksums are done on a thread of their own (hashlib and writing release the interpreter's lock), one block
behind.
"""

import hashlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refsys.services.processors.errors import ProcessorError
from refsys.services.processors.level0.missions import NO_TIME
from refsys.services.processors.level0.packets import Packets
from refsys.services.processors.level0.reed_solomon import Ints

MAX_STREAMS = 400  # two open files each
_READ_BYTES = 4 * 2**20

# The annotation of a packet, big-endian (docs/level0.md).
RECORD = np.dtype(
    [
        ("sensing", ">i8"),  # microseconds since 1970, UTC; -1: no time
        ("offset", ">u8"),  # octet in the file of packets
        ("length", ">u4"),  # octets
        ("frame", ">u4"),  # count of the frame it begins in
        ("frames", ">u2"),  # that carried it
        ("corrected", ">u2"),  # of them
        ("missing", ">u2"),  # packets before it, by the sequence counts (modulo 16384)
        ("sequence", ">u2"),  # sequence count
    ]
)


class Key(NamedTuple):
    """What the packets of a stream have in common."""

    channel: int
    virtual: int
    process: int
    datatake: int


class HashedFile:
    """A file that is appended to, and its MD5; what lies beyond `size` of an existing one is cut off."""

    def __init__(self, path: Path, size: int) -> None:
        """Open; what is already there is read again for the checksum."""
        self.path, self.size = path, 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._file = path.open("r+b" if size else "w+b", buffering=0)
        self._file.truncate(size)
        while chunk := self._file.read(_READ_BYTES):
            self._md5.update(chunk)
            self.size += len(chunk)
        if self.size != size:
            raise ProcessorError(
                f"{path} has {self.size} octets instead of {size}", fix="begin with an empty work folder"
            )

    def append(self, parts: list[memoryview]) -> None:
        """Write at the end."""
        for part in parts:
            self._md5.update(part)
            view = part
            while view:
                view = view[self._file.write(view) :]
            self.size += len(part)

    def sync(self) -> None:
        """Make sure that it survives a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> str:
        """Close; return the MD5."""
        self.sync()
        self._file.close()
        return self._md5.hexdigest()


class Stream:
    """The packets of one key: their files and counts."""

    def __init__(self, folder: Path, key: Key, saved: dict[str, int] | None = None) -> None:
        """Go on from a state."""
        state = saved or {}
        stem = f"ch{key.channel}-vc{key.virtual:02d}-apid{key.process:04d}-dt{key.datatake:08x}"
        self.key = key
        self.data = HashedFile(folder / f"{stem}.dat", state.get("bytes", 0))
        self.records = HashedFile(folder / f"{stem}-annot.dat", state.get("records", 0))
        self.packets, self.missing = state.get("packets", 0), state.get("missing", 0)
        self.gaps, self.corrected = state.get("gaps", 0), state.get("corrected", 0)
        self.start, self.stop = state.get("start", NO_TIME), state.get("stop", NO_TIME)
        self._sequence = state.get("sequence", -1)
        self._bytes = self.data.size  # what was handed over to the thread

    def take(self, packets: Packets, times: Ints) -> tuple[list[memoryview], np.ndarray[tuple[int], np.dtype[np.void]]]:
        """What is to be written for packets: pieces of the stream, and records."""
        steps = np.diff(packets.sequence, prepend=self._sequence if self._sequence >= 0 else packets.sequence[0] - 1)
        missing = (steps - 1) & 0x3FFF
        self._sequence = int(packets.sequence[-1])
        ends = np.cumsum(packets.length)
        records = np.empty(len(times), RECORD)
        records["sensing"], records["offset"] = times, self._bytes + ends - packets.length
        records["length"], records["frame"], records["frames"] = packets.length, packets.frame, packets.frames
        records["corrected"], records["missing"] = packets.corrected, missing
        records["sequence"] = packets.sequence
        self._bytes += int(ends[-1])
        self.packets += len(times)
        self.missing += int(missing.sum())
        self.gaps += int(np.count_nonzero(missing))
        self.corrected += int(np.count_nonzero(packets.corrected))
        if (timed := times[times != NO_TIME]).size:
            self.start = int(timed.min()) if self.start == NO_TIME else min(self.start, int(timed.min()))
            self.stop = max(self.stop, int(timed.max()))
        return pieces(packets), records

    def saved(self) -> dict[str, int]:
        """Its state, to go on from; what was handed over must have been written."""
        return {
            "bytes": self.data.size,
            "records": self.records.size,
            "packets": self.packets,
            "missing": self.missing,
            "gaps": self.gaps,
            "corrected": self.corrected,
            "start": self.start,
            "stop": self.stop,
            "sequence": self._sequence,
        }


def pieces(packets: Packets) -> list[memoryview]:
    """The octets of packets; neighbours in one piece."""
    ends = packets.position + packets.length
    first = np.flatnonzero(np.append(True, packets.position[1:] != ends[:-1]))
    last = np.append(first[1:], len(ends)) - 1
    view = packets.stream.data
    parts = [view[a:b] for a, b in zip(packets.position[first].tolist(), ends[last].tolist(), strict=True)]
    return parts if len(parts) == 1 else [memoryview(b"".join(parts))]


class Streams:
    """All streams of a channel, made when their first packet comes."""

    def __init__(self, folder: Path, saved: dict[Key, dict[str, int]]) -> None:
        """Go on from a state."""
        self._folder = folder
        self.by_key = {key: Stream(folder, key, state) for key, state in saved.items()}
        self._pool = ThreadPoolExecutor(1, "write")
        self._behind: list[Future[None]] = []

    def add(self, key: Key, packets: Packets, times: Ints) -> None:
        """Append packets to their stream."""
        stream = self.by_key.get(key)
        if stream is None:
            if len(self.by_key) >= MAX_STREAMS:
                raise ProcessorError(
                    f"over {MAX_STREAMS} kinds of packets in channel {key.channel}",
                    fix="frames seem to be damaged or of another mission; check the framing and the table of missions",
                )
            stream = self.by_key[key] = Stream(self._folder, key)
        octets, records = stream.take(packets, times)
        self._behind.append(self._pool.submit(stream.data.append, octets))
        self._behind.append(self._pool.submit(stream.records.append, [memoryview(records.tobytes())]))

    def drain(self) -> None:
        """Wait until everything is written."""
        for each in self._behind:
            each.result()
        self._behind = []

    def sync(self) -> None:
        """Wait until everything is written, and would survive a power cut."""
        self.drain()
        for stream in self.by_key.values():
            stream.data.sync()
            stream.records.sync()

    def close(self) -> dict[Key, tuple[str, str]]:
        """Close all files; return the MD5 of the packets and of the records of each stream."""
        self.drain()
        self._pool.shutdown()
        return {key: (stream.data.close(), stream.records.close()) for key, stream in self.by_key.items()}

"""Frames to packets in memory on one core, beside a plain copy of the same octets; and a whole session to products.

`./refsys bench level0 [--mib 256]`. A channel of each mission is made, read into memory, and unpacked: synchronised,
derandomised, checked, sorted by virtual channel, its packets found, dated and joined by application process. `session`
is the processor with two channels of Sentinel-1, from files to products with checksums, and its largest memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from tests.means.downlink import SOME, Faults, generate

from refsys.services.processors.level0.channel import BLOCK_BYTES, Frames
from refsys.services.processors.level0.framing import Framing
from refsys.services.processors.level0.missions import Mission, missions
from refsys.services.processors.level0.streams import pieces
from refsys.services.processors.level0.synchronisation import Lock, Synchroniser
from refsys.services.processors.level0.virtual import Step

TARGET = 500.0
LIMIT_MIB = 256
ROUNDS = 5


def unpack(stream: bytearray, table: Mission, framing: Framing) -> tuple[int, int]:
    """Packets of a stream, and their octets."""
    found = [0, 0]
    frames, synchroniser = Frames(framing), Synchroniser(framing, Lock())
    block = np.empty((BLOCK_BYTES // framing.cadu_bytes + 1, framing.block_bytes), np.uint8)

    def use(number: int, step: Step) -> None:
        for _, _, packets, times in frames.sorted(number, step.packets, table):
            found[0] += len(times)
            found[1] += sum(map(len, pieces(packets)))

    buffer, filled, offset, view = bytearray(BLOCK_BYTES), 0, 0, memoryview(stream)
    target = memoryview(buffer)
    while offset < len(stream):
        more = view[offset + filled : offset + BLOCK_BYTES]
        target[filled : filled + len(more)] = more
        filled += len(more)
        taken = synchroniser.take(buffer, filled, block, final=offset + filled == len(stream))
        frames.take(block[: taken.frames], use)
        offset += taken.octets
        target[: filled - taken.octets] = target[taken.octets : filled]
        filled -= taken.octets
    return found[0], found[1]


def rate(octets: int, work: Callable[[], object]) -> float:
    """The best MB/s of some rounds, by the time that the process had on its core."""
    best = 0.0
    for _ in range(ROUNDS):
        started = time.process_time()
        work()
        best = max(best, octets / 1e6 / (time.process_time() - started))
    return best


def main() -> int:
    """Measure and print; the exit code says whether targets were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256, help="size of a channel")
    size, good = parser.parse_args().mib * 2**20, True
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(prefix="refsys-bench-") as name:
        for satellite, faults in (("S1A", Faults()), ("S2A", Faults()), ("S3A", Faults()), ("S3B", SOME)):
            folder = Path(name, satellite + "-faults" * (faults == SOME))
            generate(folder, satellite, min(size, 2**26), faults=faults)
            table = missions()[satellite[:2]]
            stream = bytearray(next(folder.glob("ch_1/*.raw")).read_bytes())
            copied = rate(len(stream), lambda stream=stream: np.frombuffer(stream, np.uint8).copy())  # type: ignore[misc]
            for check in (True, False):
                framing = Framing(check=check)
                unpack(stream[: 2**22], table, framing)  # compiles
                found = rate(len(stream), lambda: unpack(stream, table, framing))  # noqa: B023
                packets, _ = unpack(stream, table, framing)
                what = f"{folder.name}, {'with' if check else 'without'} Reed-Solomon check"
                wanted = faults != SOME
                good &= found >= TARGET or not wanted
                mark = f"wanted ≥ {TARGET:.0f}" if wanted else "no target"
                print(f"{what:45} {found:7.0f} MB/s, {found / copied:.3f} of a copy ({mark}; {packets} packets)")  # noqa: T201
        good &= session(Path(name, "session"), size)
    return 0 if good else 1


def session(folder: Path, size: int) -> bool:
    """Measure the processor as it is run."""
    generate(folder / "in", "S1A", size)
    command = [sys.executable, "-m", "refsys.services.processors.level0", "--input", str(folder / "in")]
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    started = time.monotonic()
    process, peak = subprocess.Popen([*command, "--output", str(folder / "out")], stdout=subprocess.DEVNULL), 0.0
    while process.poll() is None:
        peak = max(peak, largest_memory(process.pid))
        time.sleep(0.02)
    seconds = time.monotonic() - started
    octets = 2 * size / 1e6
    print(f"session of {octets:.0f} MB: {octets / seconds:.0f} MB/s, {peak:.0f} MiB (wanted ≤ {LIMIT_MIB})")  # noqa: T201
    return peak <= LIMIT_MIB and process.returncode == 0


def largest_memory(process: int) -> float:
    """The largest memory that a process had, in MiB."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


if __name__ == "__main__":
    sys.exit(main())

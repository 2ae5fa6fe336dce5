"""Outputs of a job: what its `.LIST` names, looked at as something that a stranger left, then stored."""

import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from json import JSONDecodeError, loads
from pathlib import Path, PurePosixPath

from refsys.services.common import logs
from refsys.services.common.digests import OF_PRODUCTS, Digests
from refsys.services.common.families import BUCKETS, storage_path
from refsys.services.common.messages import Checksum, utc_now
from refsys.services.common.store import ObjectStore
from refsys.services.execution.errors import JobError
from refsys.services.execution.patience import patiently
from refsys.services.execution.result import CHECKED_NOK, CHECKED_OK, NOT_CHECKED, Product
from refsys.services.production.order import Order, Output

LIST_SUFFIX = ".LIST"
LIST_OCTETS = 4 * 2**20
FILES_LIMIT = 100_000
OQC_SECONDS = 1800
MIB = 2**20
CHUNK_OCTETS = 4 * MIB

log = logs.get_logger()


@dataclass(frozen=True)
class Made:
    """A product in the work folder."""

    name: str
    path: Path
    output: Output
    files: tuple[Path, ...]
    size: int

    @property
    def folder(self) -> bool:
        """Whether it is a folder of files."""
        return self.path.is_dir()


def found(order: Order, work: Path) -> list[Made]:
    """Return the products of a job that ended, in the order of its list.

    Raises:
        JobError: the list, or what it names, is not what was ordered.
    """
    patterns = [(re.compile(output.pattern), output) for output in order.outputs]
    made: dict[str, Made] = {}
    for line in _listed(work):
        path = _within(work, line)
        output = next((output for pattern, output in patterns if pattern.fullmatch(path.name)), None)
        if output is None:
            known = ", ".join(each.pattern for each in order.outputs)
            raise JobError(f"the processor lists {path.name[:255]}, which is none of its outputs ({known[:500]})")
        if path.name in made:
            raise JobError(f"the processor lists {path.name} twice")
        files = tuple(_files(path))
        made[path.name] = Made(path.name, path, output, files, sum(file.stat().st_size for file in files))
    size = sum(each.size for each in made.values())
    if size > order.workdir_mib * MIB:
        raise JobError(f"the outputs have {size // MIB} MiB, more than the {order.workdir_mib} MiB of the work folder")
    return list(made.values())


def missing(order: Order, made: Sequence[Made]) -> list[Output]:
    """Return the outputs that should be there and are not."""
    kinds = {each.output.pattern for each in made}
    return [output for output in order.outputs if output.mandatory and output.pattern not in kinds]


def _listed(work: Path) -> list[str]:
    lists = [path for path in sorted(work.iterdir()) if path.name.endswith(LIST_SUFFIX)]
    if not lists:
        raise JobError(f"the processor left no list of its products (*{LIST_SUFFIX})")
    if len(lists) > 1:
        raise JobError(f"the processor left {len(lists)} lists of its products: {', '.join(p.name for p in lists[:5])}")
    status = lists[0].lstat()
    if not stat.S_ISREG(status.st_mode):
        raise JobError(f"{lists[0].name} is no ordinary file")
    if status.st_size > LIST_OCTETS:
        raise JobError(f"{lists[0].name} has {status.st_size} octets; a list of products has less than {LIST_OCTETS}")
    try:
        text = lists[0].read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise JobError(f"{lists[0].name} is no text") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _within(work: Path, line: str) -> Path:
    """Return the place of a listed name; every step to it must be in the work folder."""
    name = PurePosixPath(line)
    if "\0" in line or name.is_absolute() or ".." in name.parts or not name.parts:
        raise JobError(f"the processor lists {line[:255]!r}, which is not in its work folder")
    path = work
    for part in name.parts:
        path /= part
        try:
            status = path.lstat()
        except OSError:
            raise JobError(f"the processor lists {line[:255]}, which is not there") from None
        if stat.S_ISLNK(status.st_mode):
            raise JobError(f"the processor lists {line[:255]}, which leads out by a link")
    return path


def _files(path: Path) -> Iterator[Path]:
    """Yield the files of a product; anything else in it is refused."""
    count = 0
    waiting = [path]
    while waiting:
        each = waiting.pop()
        mode = each.lstat().st_mode
        if stat.S_ISDIR(mode):
            waiting += sorted(each.iterdir(), reverse=True)
        elif stat.S_ISREG(mode):
            count += 1
            if count > FILES_LIMIT:
                raise JobError(f"product {path.name} has more than {FILES_LIMIT} files")
            yield each
        else:
            raise JobError(f"product {path.name} has {each.name}, which is neither file nor folder")


def size_of(path: Path) -> int:
    """Octets of a file, or of all files of a folder."""
    return sum(file.stat().st_size for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file())


def checked(order: Order, made: Made, parent: str) -> str:
    """Ask the quality control for a product; returns its flag. It runs apart: what it reads is not to be trusted."""
    if not made.output.oqc_check:
        return NOT_CHECKED
    with logs.task(
        "OQC",
        chain=order.chain,
        mission=order.mission,
        satellite=order.satellite,
        child_of=parent,
        job=str(order.job_id),
        filename=made.name,
    ) as report:
        problems = _problems(made.path)
        flag = CHECKED_NOK if problems else CHECKED_OK
        report.quality = {"oqc_flag": flag, "problems": problems[:10]}
        if problems:
            report.status, report.error_code = "NOK", 1
            log.warning("a product failed the quality control", product=made.name, problems=problems[:10])
    return flag


def _problems(path: Path) -> list[str]:
    command = [sys.executable, "-m", "refsys.services.processors.quality", str(path)]
    try:
        ended = subprocess.run(command, capture_output=True, timeout=OQC_SECONDS, check=False)
        problems: list[str] = loads(ended.stdout)[0]["problems"]
    except subprocess.TimeoutExpired:
        return [f"the check did not end within {OQC_SECONDS} s"]
    except (JSONDecodeError, IndexError, KeyError, TypeError):
        return [f"the check failed: {ended.stderr.decode('utf-8', 'replace')[-500:]}"]
    return [str(problem) for problem in problems]


@dataclass
class Outputs:
    """Stores products; `written` counts the octets."""

    store: ObjectStore
    order: Order
    written: int = field(default=0, init=False)

    def keep(self, made: Made, flag: str) -> Product:
        """Store a product where its family belongs."""
        family = made.output.family
        if family not in BUCKETS:
            raise JobError(f"family {family} of {made.name} has no bucket; correct the task table")
        checksums: list[Checksum] = []
        for file in made.files:
            place = f"{made.name}/{file.relative_to(made.path).as_posix()}" if made.folder else made.name
            real = patiently(lambda file=file, place=place: self._put(BUCKETS[family], place, file))  # type: ignore[misc]
            checksums = [] if made.folder else real
        path = storage_path(family, made.name)
        return Product(
            name=made.name,
            product_type=made.output.product_type,
            family=family,
            storage_path=f"{path}/" if made.folder else path,
            size=made.size,
            checksums=checksums,
            oqc_flag=flag,
            stored=utc_now(),
        )

    def _put(self, bucket: str, key: str, file: Path) -> list[Checksum]:
        size = file.stat().st_size
        there = self.store.head(bucket, key)
        if there is not None and self.order.attempt == 0:
            return self._same(bucket, key, file, there.size)
        with Digests(OF_PRODUCTS) as digests:
            self.store.put(bucket, key, digests.of(_chunks(file)), size)
            self.written += digests.size
            return digests.checksums(utc_now())

    def _same(self, bucket: str, key: str, file: Path, size: int) -> list[Checksum]:
        """A product of this name is there, and not of an earlier attempt: it must be the same."""
        with Digests(OF_PRODUCTS) as ours, Digests(OF_PRODUCTS) as theirs:
            if size == file.stat().st_size:
                for _ in ours.of(_chunks(file)):
                    pass
                for _ in theirs.of(self.store.read(bucket, key)):
                    pass
            if size != file.stat().st_size or ours.values() != theirs.values():
                raise JobError(f"{key} is in the object store already, with another content")
            return ours.checksums(utc_now())


def _chunks(file: Path) -> Iterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_OCTETS):
            yield chunk

"""Inputs of a job: from the object store, or from the node's cache, into the work folder."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from refsys.services.common import logs
from refsys.services.common.digests import Digests, standard_name
from refsys.services.common.messages import utc_now
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.execution.cache import Cache
from refsys.services.execution.errors import JobError
from refsys.services.execution.patience import patiently
from refsys.services.production.order import Input, InputChecksum, Order

AT_ONCE = 4

log = logs.get_logger()


class _WrongContentError(Exception):
    """What came is not what was ordered."""


@dataclass
class Inputs:
    """Fetches the inputs of an order into `work`; `read` counts the octets that came from the store."""

    store: ObjectStore
    work: Path
    cache: Cache | None = None
    read: int = field(default=0, init=False)

    def fetch(self, order: Order) -> list[Input]:
        """Bring all inputs in; returns those that are there. An optional one may be missing."""
        with ThreadPoolExecutor(AT_ONCE, "input") as pool:
            found = [*pool.map(self._one, order.inputs)]
        there = [given for given, is_there in zip(order.inputs, found, strict=True) if is_there]
        for given in order.inputs:
            if given not in there:
                if given.mandatory:
                    raise JobError(f"input {given.name} is not in the object store ({given.bucket}/{given.key})")
                log.warning("an optional input is missing", product=given.name)
        return there

    def _one(self, given: Input) -> bool:
        if given.folder:
            files = patiently(lambda: [*self.store.list_folder(given.bucket, given.key)])
            for file in files:
                self._file(given.bucket, file.key, Path(given.name) / file.key.removeprefix(f"{given.key}/"), None)
            return bool(files)
        return self._file(given.bucket, given.key, Path(given.name), given.checksum)

    def _file(self, bucket: str, key: str, place: Path, checksum: InputChecksum | None) -> bool:
        if ".." in place.parts:
            raise JobError(f"input {bucket}/{key} has no place within the work folder")
        found = patiently(lambda: self.store.head(bucket, key))
        if found is None:
            return False
        target = self.work / place
        target.parent.mkdir(parents=True, exist_ok=True)

        def fill(path: Path) -> None:
            self._download(bucket, key, path, found.size, checksum)

        cached = None
        if self.cache and found.etag:
            # The checksum is a part: a file that was not compared with it is another one.
            said = f"{checksum.algorithm}={checksum.value}" if checksum else ""
            identity = "\n".join((bucket, key, found.etag, str(found.size), said))
            cached = self.cache.file(identity, target.name, found.size, fill)
        if cached:
            target.symlink_to(cached)
        else:
            fill(target)
        return True

    def _download(self, bucket: str, key: str, path: Path, size: int, checksum: InputChecksum | None) -> None:
        algorithm = None
        if checksum and not (algorithm := standard_name(checksum.algorithm)):
            raise JobError(f"input {key} has a checksum of an unknown kind: {checksum.algorithm}")
        try:
            patiently(lambda: self._copy(bucket, key, path, size, (algorithm, checksum.value) if checksum else None))
        except _WrongContentError as error:
            raise JobError(f"input {bucket}/{key} is damaged: {error}") from None
        except FileNotFoundError:
            raise JobError(f"input {bucket}/{key} vanished from the object store while it was read") from None

    def _copy(self, bucket: str, key: str, path: Path, size: int, said: tuple[str | None, str] | None) -> None:
        with Digests([said[0]] if said and said[0] else []) as digests, path.open("wb") as file:
            for chunk in digests.of(self.store.read(bucket, key)):
                file.write(chunk)
            self.read += digests.size
            if digests.size != size:
                raise StoreUnavailableError(f"{bucket}/{key} ended after {digests.size} of {size} octets")
            real = {item.algorithm: item.value for item in digests.checksums(utc_now())}
        for algorithm, value in real.items():
            if said and value != said[1].lower():
                raise _WrongContentError(f"{algorithm} {value}, {said[1].lower()} was ordered")

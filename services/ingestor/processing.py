"""What happens to a complete upload: checks, virus scan, hand-over to the ingestion; and tidying up.

Every step may be killed and is then done again: it ends with one change of state in PostgreSQL, and handing over
writes the same object to the same place.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import RowMapping

from refsys.services.common import tracing
from refsys.services.common.families import UPLOADS_BUCKET
from refsys.services.common.logs import get_logger
from refsys.services.common.messages import product_trace
from refsys.services.common.store import ObjectStore, StoreUnavailableError
from refsys.services.common.virus_scan import Scanner, ScannerError
from refsys.services.ingestor.check import CHUNK_BYTES, RefusedError, check
from refsys.services.ingestor.fate import handed_over, ingested
from refsys.services.ingestor.rules import auxiliary_name
from refsys.services.ingestor.storage import Volume
from refsys.services.ingestor.tables import ACCEPTED, CHECKING, OPEN, RECEIVING, REFUSED, SCANNING
from refsys.services.ingestor.uploads import Uploads

LOOK_SECONDS = 2.0
TIDY_SECONDS = 30.0
FAILURE_SECONDS = 10.0

log = get_logger()


@dataclass(frozen=True)
class Processing:
    """Takes uploads from their last byte to the hand-over; one thread."""

    uploads: Uploads
    volume: Volume
    scanner: Scanner
    store: ObjectStore

    def run(self, stop: threading.Event, wake: threading.Event) -> None:
        """Work until asked to stop, at once when woken; a failure is logged and tried again."""
        tidy_in = 0.0
        while not stop.is_set():
            pause = LOOK_SECONDS
            try:
                self.work(stop)
                if tidy_in <= 0:
                    self.tidy()
                    tidy_in = TIDY_SECONDS
            except Exception as error:
                log.error("uploads wait", reason=f"{type(error).__name__}: {error}", exc_info=error)
                pause = FAILURE_SECONDS
            wake.wait(pause)
            wake.clear()
            tidy_in -= pause

    def work(self, stop: threading.Event) -> None:
        """Take every upload that is due as far as it goes."""
        for row in self.uploads.open():
            if stop.is_set():
                return
            self._advance(row)

    def _advance(self, row: RowMapping) -> None:
        identifier, state = row["id"], row["state"]
        if state == RECEIVING:
            if self.volume.received(str(identifier)) < row["size"] or self.volume.is_writing(str(identifier)):
                return
            if not self.uploads.move(identifier, RECEIVING, state := CHECKING):
                return  # withdrawn at the last moment
        path = self.volume.path(str(identifier))
        with tracing.beginning("upload", product_trace(row["name"]), product=row["name"]) as step:
            self._take(row, state, path, step)

    def _take(self, row: RowMapping, state: str, path: Path, step: tracing.Step) -> None:
        identifier = row["id"]
        try:
            with path.open("rb") as file:
                if state == CHECKING:
                    check(auxiliary_name(row["name"]), file, row["size"], row["algorithm"], row["checksum"])
                    self.uploads.move(identifier, CHECKING, state := SCANNING)
                if found := self.scanner.scan(_chunks(file)):
                    raise RefusedError(f"virus scan found {found}")
                self.store.put(UPLOADS_BUCKET, handed_over(row), _chunks(file), row["size"])
        except FileNotFoundError:
            self.uploads.move(identifier, state, REFUSED, "its bytes were lost with the volume; upload it again")
        except RefusedError as error:
            step.failed(str(error))
            self.uploads.move(identifier, state, REFUSED, str(error))
        except (ScannerError, StoreUnavailableError) as error:
            step.failed(str(error))
            self.uploads.wait(identifier, state, str(error))
            return
        except Exception as error:  # others must not wait for this one
            step.failed(f"{type(error).__name__}: {error}")
            log.error("an upload could not be processed", upload=str(identifier), exc_info=error)
            self.uploads.wait(identifier, state, "the service failed: the operator finds why in its log")
            return
        else:
            self.uploads.move(identifier, state, ACCEPTED)
        path.unlink(missing_ok=True)

    def tidy(self) -> None:
        """Remove what is not needed any more: expired uploads, objects that were ingested, old rows, stray files."""
        for row in self.uploads.expired():
            if not self.volume.is_writing(str(row["id"])):
                self.uploads.move(row["id"], RECEIVING, REFUSED, "expired: its bytes did not come in time")
        for row in ingested(self.uploads.engine):
            self.store.delete(UPLOADS_BUCKET, handed_over(row))
            self.uploads.unstaged(row["id"])
        self.uploads.forget()
        for path in self.uploads.settings.folder.iterdir():
            found = self.uploads.find(path.name)
            if path.is_file() and (found is None or found["state"] not in OPEN):
                path.unlink(missing_ok=True)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk

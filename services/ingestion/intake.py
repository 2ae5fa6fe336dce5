"""What a station offers becomes jobs: each new file is checked, ruled on, sent to the workers and entered.

A file is entered with a lease before its job is sent, and is queued once that was acknowledged: after a kill in
between, the job is sent when the lease has ended. Some are sent twice, none never; workers are idempotent.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

from prometheus_client import Counter
from sqlalchemy import Engine, RowMapping

from refsys.services.common import logs, tracing
from refsys.services.common.bus import Producer
from refsys.services.common.families import SESSION_FAMILIES, Family, storage_path
from refsys.services.common.messages import INGESTION_JOB, IngestionJob, Trace, iso, utc_now
from refsys.services.common.names import InvalidNameError, parse_name, shown
from refsys.services.common.pod import pod_name
from refsys.services.ingestion import inbox
from refsys.services.ingestion.source import ListedFile, SessionFile
from refsys.services.ingestion.stations import Inbox, Station
from refsys.services.ingestion.stations.sampling import Sampling, downlink_time, reason_to_filter
from refsys.services.ingestion.tables import QUEUED

RETRIES_PER_POLL = 500
_SESSION_ID = re.compile(r"[A-Za-z0-9_]{1,64}", re.ASCII)
LANE = "station"
"""The header of a job that names its station, by which workers choose theirs."""

SEEN = Counter("refsys_station_files_total", "Files seen at a station, by outcome", ["station", "outcome"])

log = logs.get_logger()


class Intake:
    """Takes the files of one station."""

    def __init__(self, station: Station, sampling: Sampling, engine: Engine, producer: Producer) -> None:
        """`sampling` are the windows of all missions."""
        self.station = station
        self._sampling = sampling
        self._engine = engine
        self._producer = producer

    def take(
        self, files: Sequence[ListedFile], *, cursor: datetime | None = None, downlink: datetime | None = None
    ) -> int:
        """Take those that are new, then move the station's cursor; returns the number of jobs.

        `downlink` is the time of the session that all files belong to, where the station tells it.
        """
        station, seen = self.station, utc_now()
        with self._engine.connect() as connection:
            new = inbox.unknown(connection, station.name, files)
        taken: list[dict[str, Any]] = []
        refused: list[tuple[ListedFile, str]] = []
        for file in new:
            rule = station.inbox_of(file)
            try:
                parse_name(file.name)
                object_key(file.name, file.session)
                if rule and file.session is None and rule.family in SESSION_FAMILIES:
                    raise InvalidNameError("the path of the file tells no downlink session (docs/stations.md)")
            except InvalidNameError as error:
                refused.append((file, str(error)))
                continue
            if rule:
                taken.append(inbox.entry(station, file, rule, seen, self._filtered(file, rule, downlink)))
        queued = [entry for entry in taken if entry["state"] == QUEUED]
        lease = inbox.new_lease()
        with self._traced(taken, len(queued)) if taken else nullcontext():
            self._enter(taken, refused, seen, lease, cursor)
            self._send(sorted(queued, key=lambda entry: -entry["priority"]), lease)
        SEEN.labels(station.name, "queued").inc(len(queued))
        SEEN.labels(station.name, "filtered").inc(len(taken) - len(queued))
        SEEN.labels(station.name, "refused").inc(len(refused))
        return len(queued)

    def _traced(self, taken: Sequence[Mapping[str, Any]], queued: int) -> AbstractContextManager[logs.Task]:
        missions = {entry["mission"] for entry in taken}
        return logs.task(
            "IngestionTrigger",
            chain="INGESTION",
            mission=missions.pop() if len(missions) == 1 else "",
            station=self.station.name,
            count=queued,
            filtered=len(taken) - queued,
        )

    def _enter(
        self,
        taken: Sequence[dict[str, Any]],
        refused: Sequence[tuple[ListedFile, str]],
        seen: datetime,
        lease: datetime,
        cursor: datetime | None,
    ) -> None:
        station = self.station
        with self._engine.begin() as connection:
            inbox.add(connection, taken, lease)
            for file, reason in refused:
                inbox.add_refused(connection, station.name, file, reason, seen)
                log.error("file refused", station=station.name, product=shown(file.name), reason=reason)
            if cursor:
                inbox.move_cursor(connection, station.name, cursor)

    def send_due(self) -> int:
        """Send the jobs of files whose time for another try has come."""
        lease = inbox.new_lease()
        with self._engine.begin() as connection:
            entries = inbox.take_due(connection, self.station.name, RETRIES_PER_POLL, lease)
        self._send(entries, lease)
        SEEN.labels(self.station.name, "retried").inc(len(entries))
        return len(entries)

    def _filtered(self, file: ListedFile, rule: Inbox, downlink: datetime | None) -> str | None:
        if file.session is None:
            return None
        return reason_to_filter(self._sampling, rule.mission, downlink or downlink_time(file))

    def _send(self, entries: Sequence[Mapping[str, Any] | RowMapping], lease: datetime) -> None:
        if not entries:
            return
        for entry in entries:
            job = make_job(self.station, entry)
            with self._step(job, entry):
                self._producer.send(INGESTION_JOB, job, job.key(), {LANE: self.station.name})
        self._producer.flush()
        with self._engine.begin() as connection:
            inbox.queued(connection, self.station.name, lease)

    def _step(self, job: IngestionJob, entry: Mapping[str, Any] | RowMapping) -> AbstractContextManager[tracing.Step]:
        """The beginning of a product's trace; each other try to fetch it begins anew in the same trace."""
        attempts = entry.get("attempts", 0)
        return tracing.beginning(
            "retry" if attempts else "seen",
            job.trace_id(),
            product=job.key(),
            began=None if attempts else entry["seen"],
            station=self.station.name,
            published=iso(entry["publication_date"]),
        )


def make_job(station: Station, entry: Mapping[str, Any] | RowMapping) -> IngestionJob:
    """The job of an inbox entry."""
    name, family = entry["name"], Family(entry["family"])
    session = SessionFile.model_validate(entry["session"]) if entry["session"] else None
    key = object_key(name, session)
    return IngestionJob(
        mission_id=entry["mission"],
        satellite_id=(session and session.satellite) or parse_name(name).satellite_id or entry["mission"],
        key_object_storage=key,
        storage_path=storage_path(family, key),
        product_family=family,
        pod_name=pod_name(),
        retry_counter=entry.get("attempts", 0),
        pickup_base_url=str(station.url),
        inbox_type=station.type,
        relative_path=entry["path"] or entry["product_id"],
        product_name=name,
        product_size_byte=entry["size"],
        station_name=entry["station_code"],
        source_name=station.name,
        mode="RETRANSFER" if session and session.retransfer else "NOMINAL",
        last_modified=entry["publication_date"],
        additional_metadata={"productId": entry["product_id"], "path": entry["path"], "session": entry["session"]},
        additional_fields={"t0PdgsDate": iso(entry["publication_date"])},
        checksums=entry["checksums"],
        trace=Trace(station_publication=entry["publication_date"], seen=entry["seen"]),
    )


def object_key(name: str, session: SessionFile | None) -> str:
    """The key of a file in its bucket: its name, of session files `<session>/ch_<n>/<file>`.

    Raises `InvalidNameError` for a session's id or channel that can't be part of a key.
    """
    if session is None:
        return name
    if not _SESSION_ID.fullmatch(session.session_id) or not 1 <= session.channel <= 99:
        raise InvalidNameError(f"session {shown(session.session_id)} channel {session.channel} cannot be a key")
    return f"{session.session_id}/ch_{session.channel}/{name}"


def listed_file(job: IngestionJob) -> ListedFile:
    """The file that a job was made of."""
    more = job.additional_metadata
    return ListedFile(
        id=more.get("productId", ""),
        name=job.product_name,
        path=more.get("path", ""),
        size=job.product_size_byte,
        publication_date=job.last_modified,
        checksums=job.checksums,
        session=more.get("session"),
    )

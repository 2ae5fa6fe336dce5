"""Sessions on their way through the chain: jobs that it makes by itself, and their products in the PRIP."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from refsys.infra.demo.client import Client, Row
from refsys.infra.demo.content import Packet, Session, same
from refsys.infra.demo.packets import packets_of
from refsys.infra.drmaa import JobInfo
from refsys.infra.drmaa import Session as Jobs
from refsys.infra.errors import UserError
from refsys.services.compression.rules import SUFFIXES
from refsys.services.production.chains import BySession
from refsys.services.production.drmaa import JobState
from refsys.services.production.shelf import shipped

LISTED = 1000
ARCHIVES = ("", *dict.fromkeys(SUFFIXES.values()))
"""What follows a product's name in the PRIP, where users get its archive."""


@dataclass(frozen=True)
class Made:
    """What a session became: its job, its products in the PRIP, their packets, the seconds of the downloads."""

    session: Session
    job: JobInfo
    products: list[Row]
    packets: int
    download_seconds: float

    @property
    def published(self) -> datetime:
        """When the last product was."""
        return max(datetime.fromisoformat(row["PublicationDate"]) for row in self.products)


class Production:
    """The jobs of all sessions, and their products."""

    def __init__(self, client: Client, jobs: Jobs, sources: Sequence[Session]) -> None:
        """Nothing is requested before the first look."""
        self._client, self._jobs, self._sources = client, jobs, list(sources)
        self._chains: dict[str, str] = {
            chain.mission: chain.name
            for chain in shipped().values()
            if chain.enabled and isinstance(chain.task_tables[0].trigger, BySession)
        }
        self._ended: dict[str, JobInfo] = {}
        self._seen: dict[str, str] = {}
        self._products: dict[str, dict[str, Row]] = {session.id: {} for session in sources}
        self.title = f"{len(sources)} sessions made into level-0 products by the chain"
        self.total = 2 * len(sources)

    def look(self) -> int:
        """See which jobs have ended, and which of their products are in the PRIP.

        Raises:
            UserError: a job failed.
        """
        for session in self._sources:
            if session.id not in self._ended and (job := self._find(session)):
                self._seen[session.id] = f"{job.state} {job.reason}"
                if job.state is JobState.FAILED:
                    raise UserError(
                        f"job {job.job_id} of session {session.id} failed: {job.reason}",
                        fix=f"./refsys job status {job.job_id}; ./refsys logs local {job.job_id}",
                    )
                if job.state is JobState.DONE:
                    self._ended[session.id] = self._jobs.job_info(job.job_id)
            if session.id in self._ended and self._lacking(session):
                self._products[session.id] |= self._published(self._lacking(session))
        return len(self._ended) + sum(not self._lacking(each) for each in self._sources if each.id in self._ended)

    def note(self) -> str:
        """How far it is."""
        products = sum(len(rows) for rows in self._products.values())
        return f"{len(self._seen)} jobs made, {len(self._ended)} ended, {products} products in the PRIP"

    def late(self) -> UserError:
        """What is missing, and what to do."""
        for session in self._sources:
            if session.id not in self._seen:
                return UserError(
                    f"the chain made no job of session {session.id}",
                    fix="./refsys chain list says whether its chain makes jobs; see the log of preparation",
                )
            if session.id not in self._ended:
                return UserError(
                    f"the job of session {session.id} has not ended: {self._seen[session.id]}",
                    fix="./refsys job list says why; docs/runbooks/chain/production-queue-stuck.md",
                )
        missing = [name for session in self._sources for name in self._lacking(session)]
        return UserError(
            f"not in the PRIP: {len(missing)} products, such as {missing[0]}",
            fix="see the logs of execution, catalogue, compression-worker and publisher in the namespace processing",
        )

    def job(self, session: Session) -> JobInfo:
        """The job of a session, which has ended."""
        return self._ended[session.id]

    def fetch(self) -> list[Made]:
        """Download all products, and compare their packets with those that the satellites sent."""
        with tempfile.TemporaryDirectory(prefix="refsys-demo-products-") as folder:
            return [self._fetch(session, Path(folder)) for session in self._sources]

    def _fetch(self, session: Session, folder: Path) -> Made:
        found: Counter[Packet] = Counter()
        began = datetime.now().astimezone()
        rows = list(self._products[session.id].values())
        for row in rows:
            file = folder / row["Name"]
            arrived = self._client.save(self._client.product_address(row), file)
            same(f"{row['Name']}: size", arrived.size, row["ContentLength"])
            for each in row["Checksum"]:
                if each["Algorithm"] in arrived.checksums:
                    name = f"{row['Name']}: {each['Algorithm']}"
                    same(name, arrived.checksums[each["Algorithm"]], each["Value"].lower())
            found += packets_of(file)
            file.unlink()
        seconds = (datetime.now().astimezone() - began).total_seconds()
        same(f"{session.id}: number of packets", found.total(), session.packets.total())
        if found != session.packets:
            raise UserError(
                f"{session.id}: {(found - session.packets).total()} packets differ from those that were sent",
                fix="report it with the log of the job",
            )
        return Made(session, self._ended[session.id], rows, found.total(), seconds)

    def check_once(self) -> None:
        """Make sure that each product is there once, and still as it was at the first look."""
        for session in self._sources:
            before = self._products[session.id]
            rows = self._published(list(before))
            if any(_publication(rows[name]) != _publication(row) for name, row in before.items()):
                raise UserError(f"products of {session.id} were published again", fix="report it with the log")

    def _find(self, session: Session) -> JobInfo | None:
        chain = self._chains[session.satellite[:2]]
        found = self._jobs.jobs(size=LISTED, chain=chain)
        return next((each for each in found if each.document["trigger"] == f"session {session.id}"), None)

    def _lacking(self, session: Session) -> list[str]:
        """Names of products of a session that are not in the PRIP."""
        job = self._ended.get(session.id)
        names = job.document["products"] or () if job else ()
        return [name for name in names if name not in self._products[session.id]]

    def _published(self, names: Sequence[str]) -> dict[str, Row]:
        """The rows of products in the PRIP, by the names that they were made with."""
        of_archives = {name + suffix: name for name in names for suffix in ARCHIVES}
        rows = self._client.products(list(of_archives))
        if len({of_archives[row["Name"]] for row in rows}) != len(rows):
            raise UserError(f"not once in the PRIP: products such as {rows[0]['Name']}", fix="report it with the log")
        return {of_archives[row["Name"]]: row for row in rows}


def _publication(row: Row) -> tuple[Any, ...]:
    """What another publication would change; when a product is evicted becomes known later."""
    return row["Id"], row["PublicationDate"], row["ContentLength"], row["Checksum"]

"""Auxiliary files on their way into the PRIP and into STAC, and to the client."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from refsys.infra.demo.client import Client, Row
from refsys.infra.demo.content import ALGORITHMS, AuxiliaryFile, same
from refsys.infra.errors import UserError

STEPS = ("stationPublication", "seen", "stored", "catalogued", "published")
# Multihash codes of STAC's `file:checksum`, each with the length (multiformats table).
MULTIHASHES = {"1220": "SHA-256", "d50110": "MD5"}


@dataclass(frozen=True)
class Delivery:
    """A product that arrived: its source, its timeline, the download.

    `in_stac` is when it was seen there first, None if it had been before this run.
    """

    source: AuxiliaryFile
    timeline: dict[str, datetime]
    in_stac: datetime | None
    download_seconds: float


class Products:
    """The auxiliary files of all stations."""

    def __init__(self, client: Client, sources: Sequence[AuxiliaryFile]) -> None:
        """Nothing is requested before the first look."""
        self._client, self._sources = client, {source.name: source for source in sources}
        self._products: dict[str, Row] = {}
        self._items: dict[str, Row] = {}
        self._in_stac: dict[str, datetime | None] = {}
        self._looks = 0
        self.title = f"{len(sources)} auxiliary files in the PRIP and in STAC"
        self.total = 2 * len(sources)

    def look(self) -> int:
        """See what is in the PRIP and in STAC."""
        found = self._client.products([name for name in self._sources if name not in self._products])
        self._products |= {row["Name"]: row for row in found}
        items = self._client.items([name for name in self._products if name not in self._items])
        self._items |= {item["id"]: item for item in items}
        moment = datetime.now(UTC) if self._looks else None
        self._in_stac |= {item["id"]: moment for item in items}
        self._looks += 1
        return len(self._products) + len(self._items)

    def note(self) -> str:
        """How far it is."""
        return f"{len(self._products)} in the PRIP, {len(self._items)} in STAC"

    def late(self) -> UserError:
        """What is missing, and what to do."""
        missing = [name for name in self._sources if name not in self._products]
        if missing:
            return UserError(
                f"not in the PRIP: {len(missing)} of {len(self._sources)} files, such as {', '.join(missing[:3])}",
                fix="see the logs of ingestion-worker, catalogue and publisher in the namespace processing, "
                "and the tables ingestion.inbox_entry and ingestion.quarantine",
            )
        missing = [name for name in self._sources if name not in self._items]
        return UserError(
            f"in the PRIP but not in STAC: {len(missing)} of {len(self._sources)} files, "
            f"such as {', '.join(missing[:3])}",
            fix="see the log of stac in the namespace processing",
        )

    def fetch(self) -> list[Delivery]:
        """Download all products where STAC says, and compare them with the stations, the PRIP and STAC."""
        return [self._fetch(source) for source in self._sources.values()]

    def _fetch(self, source: AuxiliaryFile) -> Delivery:
        name, product = source.name, self._products[source.name]
        asset = self._items[name]["assets"]["product"]
        if asset["href"] != (address := self._client.product_address(product)):
            raise UserError(
                f"{name}: its asset in STAC is at {asset['href']}, the product at {address}",
                fix="the setting REFSYS_PRIP_URL of the process stac has to be the PRIP's address",
            )
        arrived, seconds = self._client.download(asset["href"])
        announced = {each["Algorithm"]: each["Value"].lower() for each in product["Checksum"]}
        if not set(ALGORITHMS) & set(announced):
            raise UserError(f"{name}: no checksum that can be compared, only {list(announced)}", fix="report it")
        announced |= _of_multihash(name, asset["file:checksum"])
        for algorithm in ALGORITHMS:
            expected = source.content.checksums[algorithm]
            same(f"{name}: {algorithm}", arrived.checksums[algorithm], expected, announced.get(algorithm, expected))
        same(f"{name}: size", arrived.size, source.content.size, product["ContentLength"])
        same(f"{name}: size in STAC", asset["file:size"], source.content.size, product["ContentLength"])
        timeline = self._client.timeline(name)
        if lacking := [step for step in STEPS if step not in timeline]:
            raise UserError(f"{name}: its timeline lacks {', '.join(lacking)}", fix="report it")
        return Delivery(source, timeline, self._in_stac[name], seconds)

    def check_once(self) -> None:
        """Make sure that each is there once, and still as it was at the first look."""
        names = list(self._sources)
        rows = self._client.products(names)
        for where, counts in (
            ("the PRIP", Counter(row["Name"] for row in rows)),
            ("STAC", Counter(item["id"] for item in self._client.items(names))),
        ):
            if wrong := {name: counts[name] for name in names if counts[name] != 1}:
                raise UserError(f"not exactly once in {where}: {wrong}", fix="report it with the publisher's log")
        for row in rows:
            before = self._products[row["Name"]]
            if changed := [key for key in ("Id", "PublicationDate") if row[key] != before[key]]:
                raise UserError(
                    f"{row['Name']} was published again: other {', '.join(changed)} in the PRIP",
                    fix="report it with the publisher's log",
                )


def _of_multihash(name: str, written: str) -> dict[str, str]:
    for code, algorithm in MULTIHASHES.items():
        if written.startswith(code):
            return {algorithm: written.removeprefix(code)}
    raise UserError(f"{name}: the checksum {written} in STAC can't be compared", fix="report it")

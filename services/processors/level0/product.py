"""Products made of the streams of a session's channels: files are moved, not copied; a stopped job goes on."""

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from refsys.services.processors.errors import NO_PRODUCT, ProcessorError
from refsys.services.processors.level0.checkpoints import sync_folder
from refsys.services.processors.level0.manifest import ISO, Description, File, inventory, manifest
from refsys.services.processors.level0.missions import NO_TIME, Content, Mission
from refsys.services.processors.level0.naming import Naming, crc16, moment
from refsys.services.processors.level0.streams import RECORD, Key

REPORT = "report.json"
LISTED_GAPS = 1000  # of a stream in the report; the annotations have all
_RECORDS = 2**16  # read at a time


@dataclass(frozen=True)
class Part:
    """The packets of one stream: where its two files are while the job runs, their checksums, and its counts."""

    key: Key
    content: Content
    sums: tuple[str, str]
    state: Mapping[str, int]

    @property
    def stem(self) -> str:
        """The stem of its files while the job runs."""
        key = self.key
        return f"ch{key.channel}-vc{key.virtual:02d}-apid{key.process:04d}-dt{key.datatake:08x}"

    def final_stem(self, satellite: str) -> str:
        """The stem of its files in the product."""
        kind = self.content.type.strip("_").lower().replace("_", "-")
        key = self.key
        label = self.content.label
        return f"{satellite.lower()}-{kind}-{label}-ch{key.channel}-vc{key.virtual:02d}-apid{key.process:04d}"


@dataclass(frozen=True)
class Product:
    """The streams that make up a product."""

    kind: str
    datatake: int
    parts: tuple[Part, ...]

    @property
    def identifier(self) -> str:
        """What tells it from the job's other products."""
        return f"{self.kind.strip('_')}-{self.datatake:08x}"

    def period(self, otherwise: tuple[datetime | None, datetime | None]) -> tuple[datetime, datetime]:
        """When its packets were made; of packets without times, the session's."""
        starts = [part.state["start"] for part in self.parts if part.state["start"] != NO_TIME]
        if starts:
            return moment(min(starts)), moment(max(part.state["stop"] for part in self.parts))
        start, stop = otherwise
        if start is None or stop is None:
            raise ProcessorError(
                f"packets of {self.kind} have no times, and there is no DSIB that says when the downlink was",
                fix="give the session's DSIB, or correct the table of missions",
                code=NO_PRODUCT,
            )
        return start, stop


def products(results: Iterable[Mapping[str, Any]], mission: Mission) -> list[Product]:
    """The products of what is known of all channels."""
    found: dict[tuple[str, int], list[Part]] = defaultdict(list)
    for result in results:
        for stream in result["streams"]:
            key = Key(*stream["key"])
            content = mission.content(key.virtual, key.process)
            if content is None:
                raise ProcessorError("the table of missions was changed while the job ran", fix="begin anew")
            part = Part(key, content, tuple(stream["md5"]), stream)
            found[content.type, key.datatake].append(part)
    return [
        Product(kind, take, tuple(parts)) for (kind, take), parts in sorted(found.items(), key=lambda each: each[0])
    ]


class Assembly:
    """Makes product folders in a work folder; what is there is taken as it is."""

    def __init__(self, streams: Path, naming: Naming, session: str, reception: Mapping[str, Any]) -> None:
        """`streams` is the folder of the streams, `reception` the part of the report on the session."""
        self._streams, self._naming, self._session, self._reception = streams, naming, session, reception

    def assemble(self, product: Product, folder: Path, otherwise: tuple[datetime | None, datetime | None]) -> str:
        """Fill the folder; return the name that it must get."""
        measurement = folder / "measurement"
        measurement.mkdir(parents=True, exist_ok=True)
        start, stop = product.period(otherwise)
        files = [file for part in product.parts for file in self._moved(part, measurement)]
        report = self._report(product, measurement)
        files.append(_written(folder, REPORT, report, "report"))
        labels = tuple(sorted({part.content.label for part in product.parts}))
        missing = sum(part.state["missing"] for part in product.parts)
        description = Description(product.kind, self._session, start, stop, product.datatake, labels, missing)
        naming = self._naming
        if naming.mission == "S2":
            name = self._name(product, start, stop, b"")
            files.append(_written(folder, "Inventory_Metadata.xml", inventory(naming, description, name), "inventory"))
        document = manifest(naming, description, files)
        _written(folder, naming.manifest, document, "manifest")
        for each in (measurement, folder):
            sync_folder(each)
        return self._name(product, start, stop, document)

    def _name(self, product: Product, start: datetime, stop: datetime, document: bytes) -> str:
        labels = {part.content.label for part in product.parts}
        crc = crc16(document)
        return self._naming.product(product.kind, start, stop, datatake=product.datatake, labels=labels, crc=crc)

    def _moved(self, part: Part, folder: Path) -> list[File]:
        stem = part.final_stem(self._naming.satellite)
        files = []
        roles = (("measurement", "", "bytes"), ("annotation", "-annot", "records"))
        for (role, suffix, size), md5 in zip(roles, part.sums, strict=True):
            source, target = self._streams / f"{part.stem}{suffix}.dat", folder / f"{stem}{suffix}.dat"
            if source.exists():
                source.replace(target)
            files.append(File(f"measurement/{target.name}", part.state[size], md5, role))
        return files

    def _report(self, product: Product, folder: Path) -> bytes:
        streams = []
        for part in product.parts:
            stem, state = part.final_stem(self._naming.satellite), part.state
            streams.append(
                {
                    "file": f"{stem}.dat",
                    "channel": part.key.channel,
                    "virtualChannel": part.key.virtual,
                    "applicationProcess": part.key.process,
                    "packets": state["packets"],
                    "octets": state["bytes"],
                    "missingPackets": state["missing"],
                    "correctedPackets": state["corrected"],
                    "start": _iso(state["start"]),
                    "stop": _iso(state["stop"]),
                    "gaps": state["gaps"],
                    "firstGaps": list(_gaps(folder / f"{stem}-annot.dat")) if state["gaps"] else [],
                }
            )
        report = {
            "productType": product.kind,
            "session": self._session,
            "datatake": product.datatake or None,
            "complete": not any(part.state["missing"] for part in product.parts),
            "streams": streams,
            "reception": self._reception,
        }
        return (json.dumps(report, indent=2) + "\n").encode()


def _gaps(annotation: Path) -> Iterable[dict[str, Any]]:
    """The first gaps of a stream: after which packet, how many are missing, and the time of the packet after it."""
    packet, found = 0, 0
    with annotation.open("rb") as file:
        while content := file.read(_RECORDS * RECORD.itemsize):
            records = np.frombuffer(content, RECORD)
            for place in np.flatnonzero(records["missing"]).tolist():
                record = records[place]
                yield {
                    "beforePacket": packet + place,
                    "missingPackets": int(record["missing"]),
                    "until": _iso(int(record["sensing"])),
                }
                found += 1
                if found == LISTED_GAPS:
                    return
            packet += len(records)


def _iso(time: int) -> str | None:
    return None if time == NO_TIME else moment(time).strftime(ISO)


def _written(folder: Path, name: str, content: bytes, role: str) -> File:
    with (folder / name).open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return File(name, len(content), hashlib.md5(content, usedforsecurity=False).hexdigest(), role)

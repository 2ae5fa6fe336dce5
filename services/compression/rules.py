"""Which products pass through compression, into what, and how urgent it is: the one table of rules.

After reference-system.md §2.4: Sentinel-1 zip (deflate, level 1), Sentinel-2 tar, Sentinel-3 zip (stored). What
matches no rule is published as it is: auxiliary EOF and XML files, and everything that is an archive already.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from refsys.services.common.families import Family
from refsys.services.common.messages import (
    COMPRESSION_JOB_HIGH,
    COMPRESSION_JOB_LOW,
    COMPRESSION_JOB_MEDIUM,
    CatalogEvent,
    Direction,
)


class Format(StrEnum):
    """Formats of archives."""

    ZIP_DEFLATE = "zip, deflate level 1"
    ZIP_STORE = "zip, stored"
    TAR = "tar"
    TGZ = "tgz"


SUFFIXES = {Format.ZIP_DEFLATE: ".zip", Format.ZIP_STORE: ".zip", Format.TAR: ".tar", Format.TGZ: ".TGZ"}
ARCHIVE_SUFFIXES = (".tar.gz", ".zip", ".tar", ".tgz")

S1_AUX = frozenset({Family.AUXILIARY_FILE, Family.PLAN_AND_REPORT})
S2_AUX = frozenset({Family.S2_AUX, Family.S2_SAD, Family.S2_HKTM})
S3_AUX = frozenset({Family.S3_AUX})
_SESSIONS = frozenset({Family.EDRS_SESSION, Family.SESSION_RETRANSFER})
S2_PRODUCTS = frozenset(family for family in Family if family.startswith("S2_")) - S2_AUX
S3_PRODUCTS = frozenset(family for family in Family if family.startswith("S3_")) - S3_AUX
S1_PRODUCTS = frozenset(Family) - _SESSIONS - S1_AUX - S2_AUX - S2_PRODUCTS - S3_AUX - S3_PRODUCTS

_ARCHIVE = r".+\.(?:tar\.gz|zip|tar|tgz)"
_PAIR = r".+\.HDR"  # its data block, `.DBL`, goes with it
_PLAIN = rf"(?!{_ARCHIVE}$).+"
_FOLDER = r".+\.(?:SAFE|SEN3|ISIP)|[^.]+(?:_N\d\d\.\d\d)?"  # Sentinel-2 folders have no extension


@dataclass(frozen=True)
class Rule:
    """Products of `families` whose name matches `names` (case-insensitive) go in `direction`, as `format`."""

    families: frozenset[Family]
    names: str
    direction: Direction
    format: Format | None = None

    def matches(self, family: str, name: str) -> bool:
        """Whether a product is one of these."""
        return family in self.families and re.fullmatch(self.names, name, re.IGNORECASE | re.ASCII) is not None

    def output_key(self, name: str) -> str:
        """The name of what is made of a product."""
        if self.format is None:
            return without_archive_suffix(name)
        stem, dot, extension = name.rpartition(".")
        in_place = dot and extension.upper() in {"HDR", "EOF"}
        return (stem if in_place else name) + SUFFIXES[self.format]


RULES = (
    Rule(S1_AUX, _PAIR, Direction.COMPRESS, Format.ZIP_DEFLATE),
    Rule(S1_AUX, _FOLDER, Direction.COMPRESS, Format.ZIP_DEFLATE),
    Rule(S2_AUX, r".+\.(?:HDR|EOF)", Direction.COMPRESS, Format.TGZ),
    Rule(S2_AUX, _FOLDER, Direction.COMPRESS, Format.TAR),
    Rule(S3_AUX, _PAIR, Direction.COMPRESS, Format.ZIP_STORE),
    Rule(S3_AUX, _FOLDER, Direction.COMPRESS, Format.ZIP_STORE),
    Rule(S1_PRODUCTS, _PLAIN, Direction.COMPRESS, Format.ZIP_DEFLATE),
    Rule(S2_PRODUCTS, _PLAIN, Direction.COMPRESS, Format.TAR),
    Rule(S3_PRODUCTS, _PLAIN, Direction.COMPRESS, Format.ZIP_STORE),
    # Processing works on folders: archives of products that come from a station are unpacked beside.
    Rule(S1_PRODUCTS | S2_PRODUCTS | S3_PRODUCTS, _ARCHIVE, Direction.UNCOMPRESS),
)

# (mission, timeliness) -> topic; anything else is low.
PRIORITIES = {
    ("S1", "PT"): COMPRESSION_JOB_HIGH,
    ("S1", "NRT"): COMPRESSION_JOB_MEDIUM,
    ("S3", "NRT"): COMPRESSION_JOB_HIGH,
    ("S3", "STC"): COMPRESSION_JOB_MEDIUM,
}
_S3_TIMELINESS = {"NR": "NRT", "ST": "STC", "NT": "NTC"}
_S3_NAME = re.compile(r"_[A-Z]_(NR|ST|NT)_\w{3}\.SEN3", re.ASCII)


def rule_of(family: str, name: str) -> Rule | None:
    """The rule of a product; None if it needs no compression."""
    return next((rule for rule in RULES if rule.matches(family, name)), None)


def published_as_archive(event: CatalogEvent) -> bool:
    """Whether users get the archive that compression makes, instead of the product as it is."""
    rule = rule_of(event.product_family, event.key_object_storage)
    return rule is not None and rule.direction is Direction.COMPRESS


def topic_of(event: CatalogEvent) -> str:
    """The topic of a product's job, by its mission and timeliness."""
    return PRIORITIES.get((event.mission_id, _timeliness(event)), COMPRESSION_JOB_LOW)


def without_archive_suffix(name: str) -> str:
    """The name of an archive without what makes it one."""
    return next((name[: -len(suffix)] for suffix in ARCHIVE_SUFFIXES if name.lower().endswith(suffix)), name)


def _timeliness(event: CatalogEvent) -> str:
    """From the message, else the product's attribute, else (Sentinel-3) its name."""
    attribute = next((str(each.value) for each in event.attributes if each.name == "timeliness"), "")
    value = (event.timeliness or attribute).upper()
    if not value and event.mission_id == "S3" and (match := _S3_NAME.search(event.key_object_storage)):
        value = match[1]
    return _S3_TIMELINESS.get(value, value)

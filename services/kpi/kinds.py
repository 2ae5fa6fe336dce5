"""What the name and the family of a file tell for the KPIs."""

import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from refsys.services.common.families import SESSION_FAMILIES, ZIP
from refsys.services.common.names import InvalidNameError, parse_name
from refsys.services.common.patterns import PATTERNS

SESSION, AUXILIARY, OTHER = "SESSION", "AUX", "OTHER"
PRODUCED = frozenset({"L0", "L1", "L2"})
"""Levels that are made of sessions: end-to-end products."""
_LEVEL = re.compile(r"(?:^|_)L([012])[A-C]?_")
_AUXILIARY = frozenset({"AUXILIARY_FILE", "PLAN_AND_REPORT", "S2_AUX", "S2_SAD", "S3_AUX"})
_RAW = frozenset({"S2_HKTM", "S3_GRANULES"})
_PACKING = re.compile(r"\.(?:zip|tar|tgz|TGZ|tar\.gz)$")
_CHECK_CODE = re.compile(r"_[0-9A-F]{4}(?=\.SAFE)")


class Kind(NamedTuple):
    """What a station's file is: `dsib`, `chunk`, `aux_data` or `product`; of a session, which and its channel."""

    name: str
    session: str | None = None
    channel: int | None = None


def base_family(family: str) -> str:
    """The family of the product itself, also of its archive."""
    return family.removesuffix(ZIP)


def base_name(family: str, filename: str) -> str:
    """The name of the product itself, also of its archive, without a folder."""
    name = PurePosixPath(filename).name
    return _PACKING.sub("", name) if family.endswith(ZIP) else name


@lru_cache(maxsize=256)
def level_of(family: str) -> str:
    """`SESSION`, `AUX`, `L0`, `L1`, `L2` or `OTHER`."""
    base = base_family(family)
    if base in SESSION_FAMILIES:
        return SESSION
    if base in _AUXILIARY:
        return AUXILIARY
    if base in _RAW:
        return "L0"
    found = _LEVEL.search(f"{base}_")
    return f"L{found[1]}" if found else OTHER


def kind_of(family: str, filename: str) -> Kind:
    """What a station's file is."""
    level = level_of(family)
    if level == SESSION:
        try:
            name = parse_name(filename)
        except InvalidNameError:
            return Kind("chunk")
        kind = "dsib" if name.product_type == "DSIB" else "chunk"
        channel = name.fields.get("channel")
        return Kind(kind, name.fields.get("session"), int(channel) if channel else None)
    return Kind("aux_data" if level == AUXILIARY else "product")


def identity_of(level: str, filename: str) -> str | None:
    """What a product has in common with itself made again: its name without the time and the number of its making.

    None for what is not made of sessions: another issue of auxiliary data for the same time is no duplicate.
    """
    if level not in PRODUCED:
        return None
    name = _PACKING.sub("", filename)
    for pattern in PATTERNS:
        if match := pattern.expression.fullmatch(name):
            for group in ("generated", "made"):
                if match.re.groupindex.get(group) and match[group]:
                    name = name[: match.start(group)] + "*" + name[match.end(group) :]
                    break
            return _CHECK_CODE.sub("", name) if pattern.kind == "S1 product" else name
    return None

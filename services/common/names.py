"""The one table of file names that the chain takes from stations, and what a name tells.

Written from the file name conventions of the Sentinel product specifications; every satellite letter A to D is
accepted, and `_` where a file serves all satellites of its mission.
"""

import re
from dataclasses import dataclass

MAX_NAME = 255

_T = r"\d{8}T\d{6}"
PATTERNS = {
    "S1 product": (
        r"S1(?P<sat>[A-D])_(?P<type>(?:S[1-6]|IW|EW|WV|EN|N[1-6]|Z[1-6EIW]|RF|GP|HK|IM)_(?:RAW|SLC|GRD|OCN|ETA)"
        r"[FHM_]_[012A_][SACNX_])(?:SH|SV|DH|DV|HH|HV|VV|VH|__)"
        rf"_{_T}_{_T}_\d{{6}}_(?:[0-9A-F]{{6}}|_{{6}})_[0-9A-F]{{4}}\.SAFE(?:\.zip)?"
    ),
    "S1 auxiliary product": (rf"S1(?P<sat>[A-D_])_(?P<type>AUX_[A-Z0-9]{{3}})_V{_T}(?:_{_T})?_G{_T}\.SAFE(?:\.zip)?"),
    "Earth Explorer file": (
        r"S[123](?P<sat>[A-D_])_(?:OPER|TEST|REPR)_(?P<type>[A-Z0-9_]{10})_(?:[A-Z0-9_]{4}_)?"
        rf"(?:{_T}_)?(?:V?{_T}_G?{_T}|{_T})(?:_(?:\d{{4}}|B\d[0-9A]))?\.(?:EOF|xml|HDR|DBL|TGZ|zip|SAFE)(?:\.zip)?"
    ),
    "S2 product data item": (
        r"S2(?P<sat>[A-D_])_(?:OPER|TEST|USER)_(?P<type>[A-Z0-9_]{10})_[A-Z0-9_]{4}_"
        rf"{_T}_[VS]{_T}(?:_{_T})?(?:_A\d{{6}})?(?:_W[FP]_[A-Z]{{2}})?(?:_D\d{{2}})?(?:_N\d{{2}}\.\d{{2}})?"
        r"\.(?:tar|TGZ|tgz|zip)"
    ),
    "S2 user product": (
        rf"S2(?P<sat>[A-D])_(?P<type>MSI(?:L1C|L2A))_{_T}_N\d{{4}}_R\d{{3}}(?:_T\d{{2}}[A-Z]{{3}})?_{_T}"
        r"\.(?:SAFE|zip)(?:\.zip|\.tar)?"
    ),
    "S3 product": (
        r"S3(?P<sat>[A-D_])_(?P<type>(?:OL|SL|SR|DO|MW|GN|SY|TM|AX)_[012_]_\w{6})"
        rf"_{_T}_{_T}_{_T}_\w{{17}}_\w{{3}}_\w{{8}}\.(?:SEN3|ISIP)(?:\.zip)?"
    ),
}
_COMPILED = {kind: re.compile(pattern, re.ASCII) for kind, pattern in PATTERNS.items()}


class InvalidNameError(ValueError):
    """A file name that the chain does not take; the message says why."""


@dataclass(frozen=True)
class ProductName:
    """What a file name tells: `mission` like `S1`, `satellite` a letter or empty, `product_type`."""

    name: str
    kind: str
    mission: str
    satellite: str
    product_type: str

    @property
    def satellite_id(self) -> str:
        """`S1A`; the mission alone where the file serves all satellites."""
        return self.mission + self.satellite


def parse_name(name: str) -> ProductName:
    """Check a file name against the table; raises `InvalidNameError` for anything else.

    A name never becomes part of a path or URL before it passed here.
    """
    if len(name) > MAX_NAME:
        raise InvalidNameError(f"file name has {len(name)} characters, {MAX_NAME} are allowed")
    if "/" in name or "\\" in name or ".." in name:
        raise InvalidNameError("file name has a path in it")
    if not name.isascii() or not name.isprintable():
        raise InvalidNameError("file name has control or non-ASCII characters")
    for kind, pattern in _COMPILED.items():
        if match := pattern.fullmatch(name):
            return ProductName(name, kind, name[:2], match["sat"].strip("_"), match["type"])
    raise InvalidNameError("file name follows none of the known conventions: " + ", ".join(PATTERNS))


def shown(name: str) -> str:
    """An untrusted name for logs and tables: printable, bounded."""
    return ascii(name)[1:-1][:MAX_NAME]

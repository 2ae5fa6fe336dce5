"""The one table of file names of the chain, and the families that a name may belong to.

Written from the file name conventions of the Sentinel product specifications. Every satellite letter A to D is
accepted, and `_` where a file serves all satellites of its mission. All expressions have parts of fixed or singly
bounded length, so that matching takes linear time.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from refsys.services.common.families import Family

Fields = dict[str, str]


class Pattern(NamedTuple):
    """A convention: its name, its expression with named groups, and the families of a name's fields, likeliest first.

    Groups: `mission`, `sat`, `type`, `start`, `stop`, `generated` (`YYYYMMDDThhmmss`), `site`, `timeliness`,
    `polarisation`, `orbit`, `datatake` (hexadecimal), `baseline`, `relative`, `tile`, `session`, `channel`.
    """

    kind: str
    expression: re.Pattern[str]
    families: Callable[[Fields], tuple[Family, ...]]


_T = r"\d{8}T\d{6}"
_PACKED = r"(?:\.(?:zip|tar|tgz|TGZ|tar\.gz))?"

# Types of plans and reports by their start; other MPL files are orbit files.
_PLANS = (
    *(f"MPL_{kind}" for kind in ("SP", "RQ", "CR", "SS", "ER", "LA", "MA", "GO", "SE", "_N")),
    *("REP_", "SRA_", "SER_", "TLM_"),
)
_S2_PDI = {family.removeprefix("S2_"): family for family in Family if family.startswith(("S2_L0", "S2_L1", "S2_L2"))}


def _session(fields: Fields) -> tuple[Family, ...]:
    return (Family.EDRS_SESSION, Family.SESSION_RETRANSFER)


def _auxiliary(fields: Fields) -> tuple[Family, ...]:
    return (Family.AUXILIARY_FILE,)


def _s1(fields: Fields) -> tuple[Family, ...]:
    mode, content, level, kind = fields["type"][:2], fields["type"][3:6], fields["type"][8], fields["type"][9]
    if content == "ETA":
        return (Family.L1_ETAD,)
    if level == "2":
        return (Family.L2_SLICE,) if kind == "S" else (Family.L2_ACN,)
    if level in "1A":
        return (Family.L1_SLICE,) if kind == "S" else (Family.L1_ACN,)
    if kind in "ACN":
        return (Family.L0_ACN,)
    if kind == "S" and mode in ("IW", "EW", "S1", "S2", "S3", "S4", "S5", "S6"):
        return (Family.L0_SLICE, Family.L0_SEGMENT, Family.L0_BLANK)
    return (Family.L0_SEGMENT, Family.L0_SLICE, Family.L0_BLANK)


def _earth_explorer(fields: Fields) -> tuple[Family, ...]:
    if fields["mission"] == "S2":
        return _s2(fields)
    if fields["mission"] == "S3":
        return (Family.S3_AUX,)
    plan = fields["mission"] == "EDR" or fields["type"].startswith(_PLANS)
    return (Family.PLAN_AND_REPORT, Family.AUXILIARY_FILE) if plan else (Family.AUXILIARY_FILE, Family.PLAN_AND_REPORT)


def _s2(fields: Fields) -> tuple[Family, ...]:
    kind = fields["type"]
    if kind == "AUX_SADATA":
        return (Family.S2_SAD, Family.S2_AUX)
    if kind == "PRD_HKTM__":
        return (Family.S2_HKTM,)
    if kind.startswith("MSI_"):
        found = _S2_PDI.get(kind.removeprefix("MSI_").replace("L0__", "L0_"))
        return (found,) if found else ()
    return {"L1C": (Family.S2_L1C_TL,), "L2A": (Family.S2_L2A_TL,)}.get(kind[-3:], (Family.S2_AUX,))


def _s3(fields: Fields) -> tuple[Family, ...]:
    kind = fields["type"]
    if kind.endswith("_AX") or kind.startswith("AX_"):
        return (Family.S3_AUX,)
    if kind[3] == "0":
        return (Family.S3_GRANULES, Family.S3_L0) if fields["extension"] == "ISIP" else (Family.S3_L0, Family.S3_CAL)
    timeliness = {"NR": "NRT", "ST": "STC", "NT": "NTC"}.get(fields["timeliness"])
    level = kind[3] if kind[3] in "12" else "1"
    usual = (Family(f"S3_L{level}_{timeliness}"),) if timeliness else ()
    return (*usual, Family.S3_CAL, Family.S3_PUG)


def _pattern(kind: str, expression: str, families: Callable[[Fields], tuple[Family, ...]]) -> Pattern:
    return Pattern(kind, re.compile(expression, re.ASCII), families)


PATTERNS = (
    _pattern(
        "session file",
        r"DCS_\d{2}_(?P<session>(?:(?P<mission>S[123])(?P<sat>[A-D])_)?[A-Za-z0-9_]{1,80})_ch(?P<channel>[12])"
        r"_(?P<type>DSDB|DSIB)(?:_\d{5,6})?\.(?P<extension>raw|RAW|xml|XML|aisp|AISP)",
        _session,
    ),
    _pattern(
        "S1 product",
        r"(?P<mission>S1)(?P<sat>[A-D])_(?P<type>(?:S[1-6]|IW|EW|WV|EN|N[1-6]|Z[1-6EIW]|RF|GP|HK|IM|AI)"
        r"_(?:RAW|SLC|GRD|OCN|ETA)[FHM_]_[012A_][SACNX_])(?P<polarisation>SH|SV|DH|DV|HH|HV|VV|VH|__)"
        rf"_(?P<start>{_T})_(?P<stop>{_T})_(?P<orbit>\d{{6}})_(?P<datatake>[0-9A-F]{{6}}|_{{6}})_[0-9A-F]{{4}}"
        rf"\.(?P<extension>SAFE){_PACKED}",
        _s1,
    ),
    _pattern(
        "S1 auxiliary product",
        rf"(?P<mission>S1)(?P<sat>[A-D_])_(?P<type>AUX_[A-Z0-9]{{3}})_V(?P<start>{_T})(?:_(?P<stop>{_T}))?"
        rf"_G(?P<generated>{_T})\.(?P<extension>SAFE){_PACKED}",
        _auxiliary,
    ),
    _pattern(
        "Earth Explorer file",
        r"(?P<mission>S[123]|EDR)(?P<sat>(?<!EDR)[A-D_]|(?<=EDR))_(?:OPER|TEST|REPR)_(?P<type>[A-Z0-9_]{10})"
        r"(?:_(?P<site>[A-Z0-9_]{4}))?"
        rf"(?:(?:_(?P<generated>{_T}))?_V?(?P<start>{_T})(?:_(?P<stop>{_T})|_G(?P<made>{_T}))|_V?(?P<only>{_T}))"
        rf"(?:_(?:\d{{4}}|B\d[0-9A]))?(?:\.(?P<extension>EOF|xml|HDR|DBL|SAFE))?{_PACKED}",
        _earth_explorer,
    ),
    _pattern(
        "S2 product data item",
        r"(?P<mission>S2)(?P<sat>[A-D_])_(?:OPER|TEST|USER)_(?P<type>[A-Z0-9_]{10})_(?P<site>[A-Z0-9_]{4})"
        rf"_(?P<generated>{_T})(?:_R(?P<relative>\d{{3}}))?(?:_[VS](?P<start>{_T})(?:_(?P<stop>{_T}))?)?"
        r"(?:_A(?P<orbit>\d{6}))?(?:_T(?P<tile>\d{2}[A-Z]{3}))?(?:_W[FP]_[A-Z]{2})?(?:_D\d{2})?"
        rf"(?:_N(?P<baseline>\d{{2}}\.\d{{2}}))?(?:\.(?P<extension>SAFE|jp2))?{_PACKED}",
        _s2,
    ),
    _pattern(
        "S2 user product",
        rf"(?P<mission>S2)(?P<sat>[A-D])_(?P<type>MSI(?:L1C|L2A))_(?P<start>{_T})_N(?P<baseline>\d{{4}})"
        rf"_R(?P<relative>\d{{3}})(?:_T(?P<tile>\d{{2}}[A-Z]{{3}}))?_(?P<generated>{_T})"
        rf"(?:\.(?P<extension>SAFE))?{_PACKED}",
        _s2,
    ),
    _pattern(
        "S3 product",
        r"(?P<mission>S3)(?P<sat>[A-D_])_(?P<type>(?:OL|SL|SR|DO|MW|GN|SY|TM|AX)_[012_]_\w{6})"
        rf"_(?P<start>{_T})_(?P<stop>{_T})_(?P<generated>{_T})_\w{{17}}_(?P<site>\w{{3}})"
        rf"_(?:\w_(?P<timeliness>[A-Z]{{2}})_\w{{3}}|\w{{8}})\.(?P<extension>SEN3|ISIP){_PACKED}",
        _s3,
    ),
)

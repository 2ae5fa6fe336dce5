"""What may be uploaded: judged by the name and the announced checksum before a byte is taken."""

import hashlib
import re

from refsys.services.common.digests import ALGORITHMS, standard_name
from refsys.services.common.families import Family
from refsys.services.common.names import InvalidNameError, ProductName, parse_name

STATION = "INGESTOR"
"""The name of the station by which the ingestion fetches what was accepted."""
FAMILIES = (Family.AUXILIARY_FILE, Family.PLAN_AND_REPORT, Family.S2_AUX, Family.S3_AUX)
ARCHIVES = (".zip", ".tgz", ".tar", ".tar.gz")
DOCUMENTS = (".eof", ".xml", ".hdr")
_CHECKSUM = re.compile(r"(?P<algorithm>[A-Za-z0-9_-]{1,16}) (?P<value>[0-9A-Fa-f]{1,128})", re.ASCII)


class InvalidChecksumError(ValueError):
    """An announced checksum that cannot be used; the message says why."""


def auxiliary_name(name: str) -> ProductName:
    """What the name of an auxiliary file tells; raises `InvalidNameError` for any other name."""
    parsed = parse_name(name)
    if not parsed.families or parsed.families[0] not in FAMILIES:
        raise InvalidNameError(f"file name is that of a {parsed.kind}, which is not an auxiliary file")
    if not name.lower().endswith(ARCHIVES + DOCUMENTS):
        raise InvalidNameError(
            f"file is neither a document ({', '.join(DOCUMENTS)}) nor packed ({', '.join(ARCHIVES)}); pack the folder"
        )
    return parsed


def announced_checksum(text: str) -> tuple[str, str]:
    """Algorithm (its PRIP name) and hexadecimal value of `SHA-256 <hex>`; raises `InvalidChecksumError`."""
    found = _CHECKSUM.fullmatch(text)
    if found is None:
        raise InvalidChecksumError("checksum is an algorithm and a hexadecimal value, as in `SHA-256 9f86d0…`")
    algorithm = standard_name(found["algorithm"])
    if algorithm is None:
        raise InvalidChecksumError(f"algorithm {found['algorithm']} is not known; use one of {', '.join(ALGORITHMS)}")
    digits = hashlib.new(ALGORITHMS[algorithm], usedforsecurity=False).digest_size * 2
    if len(found["value"]) != digits:
        raise InvalidChecksumError(f"{algorithm} has {digits} hexadecimal digits, not {len(found['value'])}")
    return algorithm, found["value"].lower()

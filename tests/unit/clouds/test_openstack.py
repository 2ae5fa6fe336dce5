"""OpenStack under the engine's mocks: what is declared, what is refused, and what the project is asked before."""

import asyncio
import json
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from keystoneauth1 import exceptions as auth_exceptions
from openstack import exceptions
from pulumi.runtime import mocks
from tests.means.program_mocks import Recorder, declare

from refsys.infra import paths
from refsys.infra.clouds.openstack import connection, leftovers, survey
from refsys.infra.clouds.openstack.cloud import OpenStackCloud
from refsys.infra.clouds.openstack.settings import OpenStack
from refsys.infra.clouds.openstack.volumes import mounted
from refsys.infra.environment import ENCRYPTED, Environment
from refsys.infra.errors import UserError

POOLS: list[dict[str, Any]] = [
    {"name": "infra", "role": "worker", "count": 2, "flavor": "large", "first_address": 20, "volume_gib": 100},
    {"name": "master", "role": "control_plane", "count": 1, "flavor": "medium", "first_address": 10, "spread": "must"},
    {"name": "gateway", "role": "worker", "count": 2, "flavor": "medium", "first_address": 30, "floating": True},
]
SETTINGS: dict[str, Any] = {
    "cloud": "test",
    "external_network": "public",
    "image": "debian",
    "bastion_flavor": "small",
    "nodes": POOLS,
}
OPERATORS = "198.51.100.0/24"
KEY = {"auth_url": "https://keystone.example.org/v3", "application_credential_id": "ab12"}


def _config(**changes: Any) -> dict[str, Any]:
    return {
        "cloud": "openstack",
        "cidr": "10.150.8.0/24",
        "until": "infrastructure",
        "demo": False,
        "perimeter": {"operators_from": [OPERATORS]},
        "openstack": {key: value for key, value in {**SETTINGS, **changes}.items() if value is not None},
    }


def _settings(**changes: Any) -> OpenStack:
    found = Environment.parse("t", _config(**changes)).openstack
    assert found is not None
    return found


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    asyncio.set_event_loop(asyncio.new_event_loop())
    monkeypatch.setattr(survey, "_seen", {})
    monkeypatch.setattr(survey, "look", lambda *_: survey.Survey("external-id", "image-id"))
    made = Recorder()
    mocks.set_mocks(made, project="refsys", stack="t", preview=False)
    return made


def _one(recorder: Recorder, kind: str, name: str) -> dict[str, Any]:
    (found,) = (args.inputs for args in recorder.of(kind) if args.name == name)
    return dict(found)


def test_the_network_has_a_way_out_and_leaves_addresses_to_the_cloud(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    (network,) = (args for args in recorder.made if args.typ == "openstack:networking/network:Network")
    assert network.inputs["name"] == "refsys-t-network"
    assert network.inputs["tags"] == ["refsys", "refsys-environment=t"]
    subnet = _one(recorder, "Subnet", "subnet")
    assert (subnet["cidr"], subnet["gatewayIp"]) == ("10.150.8.0/24", "10.150.8.1")
    assert subnet["allocationPools"] == [{"start": "10.150.8.240", "end": "10.150.8.254"}]
    assert _one(recorder, "Router", "router")["externalNetworkId"] == "external-id"
    assert _one(recorder, "RouterInterface", "router-interface")["subnetId"] == "subnet"


def _let_in(recorder: Recorder, kind: str) -> set[tuple[str, int, str]]:
    return {
        (rule["protocol"], rule["portRangeMin"], rule["remoteIpPrefix"])
        for rule in (args.inputs for args in recorder.of("SecGroupRule") if args.name.startswith(f"{kind}-"))
        if rule["direction"] == "ingress" and rule["protocol"] != "icmp"
    }


def test_security_groups_say_what_the_port_table_says_and_ssh_comes_from_the_bastion_alone(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    nodes, bastion = "10.150.8.0/24", "10.150.8.4/32"
    worker, master = _let_in(recorder, "worker"), _let_in(recorder, "control_plane")
    assert {source for _, port, source in worker | master if port == 22} == {bastion}
    assert {("udp", 4789, nodes), ("tcp", 10250, nodes), ("tcp", 32443, nodes)} <= worker
    assert not {port for _, port, _ in worker} & {6443, 5000, 2381}
    assert ("tcp", 6443, OPERATORS) in master
    assert _let_in(recorder, "bastion") == {("tcp", 22, OPERATORS)}
    assert "0.0.0.0/0" not in {source for _, _, source in worker | master}
    assert all(args.inputs["deleteDefaultRules"] for args in recorder.of("SecGroup"))


def test_servers_have_fixed_addresses_known_host_keys_and_are_spread(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    servers = {args.name: args.inputs for args in recorder.of("Instance")}
    assert set(servers) == {"bastion", "master1", "infra1", "infra2", "gateway1", "gateway2"}
    assert servers["infra2"]["flavorName"] == "large"
    assert servers["infra2"]["imageId"] == "image-id"
    assert servers["infra2"]["networks"] == [{"port": "port-infra2"}]
    assert servers["infra2"]["metadata"] == {"refsys": "t"}
    given = [args for args in recorder.made if args.typ.startswith("openstack:")]
    assert {(args.provider or "").split("::")[-2] for args in given} == {"openstack"}
    addresses = {args.name: args.inputs["fixedIps"][0]["ipAddress"] for args in recorder.of("Port")}
    assert addresses["port-master1"] == "10.150.8.10"
    assert addresses["port-infra2"] == "10.150.8.21"
    assert addresses["port-bastion"] == "10.150.8.4"
    policies = {args.name: args.inputs["policies"] for args in recorder.of("ServerGroup")}
    assert policies["servers-master"] == "anti-affinity"
    assert policies["servers-infra"] == "soft-anti-affinity"
    assert servers["master1"]["schedulerHints"] == [{"group": "servers-master"}]
    given = yaml.safe_load(servers["infra1"]["userData"]["value"])
    assert given["hostname"] == "infra1"
    assert given["ssh_keys"]["ed25519_private"] == "<host-key-infra1.private_key>"
    assert given["ssh_authorized_keys"] == ["<ssh-key.public_key>"]
    assert given["disable_root"] is False


def test_volumes_are_attached_and_mounted_where_a_pool_has_them(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    assert {args.name for args in recorder.of("Volume")} == {"volume-infra1", "volume-infra2"}
    assert _one(recorder, "Volume", "volume-infra1")["size"] == 100
    attached = _one(recorder, "VolumeAttach", "attach-infra1")
    assert (attached["instanceId"], attached["volumeId"]) == ("infra1", "volume-infra1")
    servers = {args.name: args.inputs["userData"]["value"] for args in recorder.of("Instance")}
    assert "virtio-volume-infra1" in servers["infra1"]
    assert "refsys-data" not in servers["gateway1"]


def test_a_volume_is_found_by_the_beginning_of_its_id() -> None:
    program, unit = mounted("0123456789abcdef0123456789")["write_files"]
    assert "/dev/disk/by-id/virtio-0123456789abcdef0123 " in program["content"]
    assert program["path"] in unit["content"]


def test_octavia_leads_users_to_the_gateway_and_operators_to_the_control_plane(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    listeners = {args.inputs["protocolPort"]: args.inputs for args in recorder.of("Listener")}
    assert set(listeners) == {443, 6443, 5000}
    assert listeners[443]["allowedCidrs"] == ["0.0.0.0/0"]
    assert listeners[6443]["allowedCidrs"] == listeners[5000]["allowedCidrs"] == [OPERATORS]
    members = {
        (args.inputs["poolId"], args.inputs["address"], args.inputs["protocolPort"]) for args in recorder.of("Member")
    }
    assert members == {
        ("pool-443", "10.150.8.30", 32443),
        ("pool-443", "10.150.8.31", 32443),
        ("pool-6443", "10.150.8.10", 6443),
        ("pool-5000", "10.150.8.10", 5000),
    }
    assert len(recorder.of("Monitor")) == 3
    assert _one(recorder, "FloatingIpAssociate", "floating-of-balancer")["portId"] == "<balancer.vipPortId>"


def test_without_a_gateway_all_workers_take_connections(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config(nodes=POOLS[:2])))
    members = {args.inputs["address"] for args in recorder.of("Member") if args.inputs["protocolPort"] == 32443}
    assert members == {"10.150.8.20", "10.150.8.21"}


def test_a_server_balances_where_there_is_no_octavia(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config(load_balancer="haproxy", balancer_flavor="small")))
    assert not recorder.of("LoadBalancer")
    given = yaml.safe_load(_one(recorder, "Instance", "balancer")["userData"]["value"])
    (file,) = given["write_files"]
    assert "bind :443\n" in file["content"]
    assert "server 10.150.8.30 10.150.8.30:32443 check" in file["content"]
    assert given["packages"] == ["haproxy"]
    assert _let_in(recorder, "balancer") == {
        ("tcp", 22, "10.150.8.4/32"),
        ("tcp", 443, "0.0.0.0/0"),
        ("tcp", 6443, OPERATORS),
        ("tcp", 5000, OPERATORS),
    }
    assert _one(recorder, "FloatingIpAssociate", "floating-of-balancer")["portId"] == "port-balancer"


def test_nodes_are_handed_over_behind_the_bastion(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config()))
    files = {args.inputs["file"]: args.inputs["content"]["value"] for args in recorder.of("File")}
    inventory = json.loads(files["inventory.yml"])["all"]
    groups = inventory["children"]["kubernetes"]["children"]
    assert set(groups["worker"]["hosts"]) == {"infra1", "infra2", "gateway1", "gateway2"}
    host = groups["worker"]["hosts"]["infra2"]
    assert host["ansible_host"] == "10.150.8.21"
    assert host["node_instance"] == "infra2"
    assert host["node_host_key"] == "<host-key-infra2.public_key>"
    home = paths.environment_home("t")
    assert host["ansible_ssh_common_args"].startswith(f"-F {home}/ssh_config -o UserKnownHostsFile={home}/known_hosts")
    assert inventory["vars"]["os_hardening_root_login_from"] == ["10.150.8.4/32"]
    assert files["ssh_config"].endswith("-W [%h]:%p root@<floating-bastion.address>\n")
    assert files["known_hosts.bastion"] == "<floating-bastion.address> <host-key-bastion.public_key>\n"
    assert "10.150.8.21 <host-key-infra2.public_key>" in files["known_hosts"].splitlines()
    (names,) = (args.inputs["names"] for args in recorder.of("HostNames"))
    assert {names["api.t.refsys.test"], names["prip.t.refsys.test"]} == {"<floating-balancer.address>"}


def test_containers_and_an_image_of_the_distribution_are_made(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "look", lambda *_: survey.Survey("external-id", None))
    declare(Environment.parse("t", _config(containers=["backup"], image_file="/images/node.qcow2")))
    assert _one(recorder, "Container", "container-backup")["name"] == "refsys-t-backup"
    image = _one(recorder, "Image", "image")
    assert (image["name"], image["localFilePath"], image["visibility"]) == ("debian", "/images/node.qcow2", "private")
    assert _one(recorder, "Instance", "master1")["imageId"] == "image"


def test_a_credential_is_a_secret_of_the_provider(recorder: Recorder) -> None:
    declare(Environment.parse("t", _config(cloud=None, **KEY, application_credential_secret="s3cret")))
    (provider,) = (args.inputs for args in recorder.made if args.typ == "pulumi:providers:openstack")
    assert provider["applicationCredentialSecret"]["value"] == "s3cret"
    assert "s3cret" not in json.dumps(
        [args.inputs for args in recorder.made if args.inputs is not provider], default=str
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cloud": None}, ["credentials are missing", "clouds.yaml"]),
        (KEY | {"application_credential_secret": "x"}, ["not from both"]),
        ({"nodes": [POOLS[0]]}, ["0 nodes of the control plane"]),
        ({"nodes": [POOLS[1]]}, ["there is no worker"]),
        ({"nodes": [*POOLS, POOLS[0]]}, ["two pools are called infra"]),
        (
            {"nodes": [POOLS[0] | {"count": 15}, *POOLS[1:]]},
            ["addresses of pool infra (15 from 20)", "gateway (from 30)"],
        ),
        (
            {"nodes": [POOLS[1], POOLS[0] | {"first_address": 239}]},
            ["infra needs addresses up to number 240", "larger cidr"],
        ),
        ({"nodes": [POOLS[1], POOLS[0] | {"first_address": 2}]}, ["first_address", "greater than or equal to 10"]),
        ({"nodes": [POOLS[1], POOLS[0] | {"name": "node1"}]}, ["openstack.nodes.1.name", "'node1'"]),
        ({"load_balancer": "haproxy"}, ["balancer_flavor"]),
        ({"flavour": "x"}, ["openstack.flavour"]),
    ],
)
def test_wrong_settings_name_field_and_fix(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        Environment.parse("t", _config(**changes))
    for word in [*words, "fix:"]:
        assert word in str(error.value)


def test_a_network_must_be_private_and_large_enough() -> None:
    for cidr in ("8.8.8.0/24", "10.0.0.0/8", "10.150.8.0/28"):
        with pytest.raises(UserError, match="from a /16 to a /24"):
            Environment.parse("t", _config() | {"cidr": cidr})


def test_shipped_environments_are_valid_and_the_reference_has_20_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    small = Environment.load("openstack")
    assert sum(len(pool.names) for pool in small.settings.pools()) == 3
    reference = Environment.load("openstack-reference")
    sizes = {pool.name: len(pool.names) for pool in reference.settings.pools()}
    assert sizes == {
        **{"master": 3, "infra": 8, "gateway": 2, "ceph": 3, "prometheus": 2, "egress": 2},
        "processing": 0,
    }
    assert reference.network == "192.168.0.0/16"
    assert "0.0.0.0/0" not in reference.perimeter.operators_from


def test_the_reference_environment_is_declared(recorder: Recorder) -> None:
    declare(Environment.load("openstack-reference"))
    assert len(recorder.of("Instance")) == 21
    assert len(recorder.of("FloatingIp")) == 6


def test_a_cluster_of_three_masters_is_refused_before_anything_is_made(recorder: Recorder) -> None:
    environment = Environment.load("openstack-reference").model_copy(update={"until": "cluster"})
    with pytest.raises(UserError, match="3 nodes of the control plane"):
        declare(environment)
    assert not recorder.of("Instance")


def test_what_cannot_work_is_refused(recorder: Recorder) -> None:
    with pytest.raises(UserError, match="refsys:demo: false"):
        OpenStackCloud(Environment.parse("t", _config() | {"demo": True, "until": "chain"})).preflight()
    with pytest.raises(UserError, match=r"overlaps 10\.96\.0\.0/12"):
        OpenStackCloud(Environment.parse("t", _config() | {"cidr": "10.100.0.0/24"})).preflight()


def test_encrypted_credentials_are_left_to_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "look", lambda *_: pytest.fail("asked with an encrypted secret"))
    config = _config(cloud=None, **KEY, application_credential_secret=ENCRYPTED)
    OpenStackCloud(Environment.parse("t", config)).preflight()


class _Project:
    """Stands for a connection: a project with one network, some flavours, an image, and quotas."""

    def __init__(self) -> None:
        self.services = {"load-balancer", "object-store", "block-storage"}
        self.external = SimpleNamespace(id="external-id", name="public", is_router_external=True)
        self.known = {"small": (1, 2048), "medium": (2, 4096), "large": (4, 16384)}
        self.found_image: Any = SimpleNamespace(id="image-id", status="active", min_disk=0)
        self.running: list[Any] = []
        self.absolute = SimpleNamespace(
            instances=20,
            instances_used=0,
            total_cores=40,
            total_cores_used=0,
            total_ram=-1,
            total_ram_used=0,
            max_total_volumes=10,
            total_volumes_used=0,
            max_total_volume_gigabytes=1000,
            total_gigabytes_used=0,
        )
        self.quota = {"floating_ips": 10, "ports": 100, "networks": 5, "routers": 5}
        self.keypair: Any = None
        self.left: list[Any] = []
        self.current_project_id = "project"
        self.compute = self.network = self.image = self.block_storage = self

    def has_service(self, name: str) -> bool:
        return name in self.services

    def find_network(self, name: str, **_: Any) -> Any:
        return self.external if name == self.external.name else None

    def networks(self, **query: Any) -> Iterable[Any]:
        return [] if "tags" in query or "name" in query else [self.external]

    def find_image(self, *_: Any, **__: Any) -> Any:
        return self.found_image

    def flavors(self) -> list[Any]:
        return [SimpleNamespace(name=name, vcpus=cpus, ram=ram, disk=10) for name, (cpus, ram) in self.known.items()]

    def servers(self) -> list[Any]:
        return self.running

    def get_limits(self) -> Any:
        return SimpleNamespace(absolute=self.absolute)

    def get_quota(self, *_: Any, **__: Any) -> Any:
        return SimpleNamespace(**{name: {"limit": limit, "used": 0} for name, limit in self.quota.items()})

    def find_keypair(self, *_: Any, **__: Any) -> Any:
        return self.keypair

    def volumes(self) -> list[Any]:
        return self.left

    def routers(self, **_: Any) -> list[Any]:
        return []

    ports = security_groups = ips = routers


def _look(project: _Project, **changes: Any) -> survey.Survey:
    environment = Environment.parse("t", _config(**changes))
    settings = environment.openstack
    assert settings is not None
    return survey.look(environment, settings, lambda _: project)  # type: ignore[arg-type,return-value]


def test_a_cloud_is_looked_at_once_for_the_same_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    found = survey.Survey("external-id", None), survey.Survey("another-id", None)
    answers = iter(found)
    monkeypatch.setattr(survey, "_seen", {})
    monkeypatch.setattr(survey, "look", lambda *_: next(answers))
    environment, other = Environment.parse("t", _config()), _settings(image="another")
    assert [survey.seen(environment, _settings()) for _ in range(2)] == [found[0]] * 2
    assert [survey.seen(environment, other) for _ in range(2)] == [found[1]] * 2


def test_a_project_that_has_all_is_surveyed() -> None:
    assert _look(_Project()) == survey.Survey("external-id", "image-id")


def _without_octavia(project: _Project) -> None:
    project.services -= {"load-balancer"}


def _without_external(project: _Project) -> None:
    project.external.name = "outside"


def _internal(project: _Project) -> None:
    project.external.is_router_external = False


def _without_image(project: _Project) -> None:
    project.found_image = None


def _queued(project: _Project) -> None:
    project.found_image.status = "queued"


def _large_image(project: _Project) -> None:
    project.found_image.min_disk = 16


def _without_flavor(project: _Project) -> None:
    project.known.pop("large")


def _few_servers(project: _Project) -> None:
    project.absolute.instances_used = 16


def _few_cores(project: _Project) -> None:
    project.absolute.total_cores = 8


def _few_gigabytes(project: _Project) -> None:
    project.absolute.total_gigabytes_used = 900


def _few_addresses(project: _Project) -> None:
    project.quota["floating_ips"] = 3


def _taken_key(project: _Project) -> None:
    project.keypair = SimpleNamespace(name="refsys-t-key")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (_without_octavia, ["no load-balancer service", "haproxy"]),
        (_without_external, ["external_network public does not exist", "external are: outside"]),
        (_internal, ["external_network public is not external"]),
        (_without_image, ["image debian does not exist", "image_file"]),
        (_queued, ["image debian is queued"]),
        (_large_image, ["flavour large has a disk of 10 GB", "needs 16 GB"]),
        (_without_flavor, ["flavour large does not exist", "medium, small"]),
        (_few_servers, ["quota of servers: 6 more are needed, 4 of 20 are free"]),
        (_few_cores, ["quota of cores: 15 more are needed, 8 of 8 are free"]),
        (_few_gigabytes, ["quota of volumes' size: 200 GiB more are needed, 100 GiB of 1000 GiB are free"]),
        (_few_addresses, ["quota of floating addresses: 4 more are needed, 3 of 3 are free"]),
        (_taken_key, ["key pair called refsys-t-key is there already", "openstack keypair delete"]),
    ],
)
def test_what_a_project_lacks_is_told_with_its_remedy(damage: Any, words: list[str]) -> None:
    project = _Project()
    damage(project)
    with pytest.raises(UserError) as error:
        _look(project)
    for word in ["OpenStack test can't take environment t", *words, "fix:"]:
        assert word in str(error.value)


def test_everything_that_is_lacking_is_told_at_once() -> None:
    project = _Project()
    for damage in (_without_external, _without_image, _without_flavor):
        damage(project)
    with pytest.raises(UserError) as error:
        _look(project)
    for word in ("external_network", "image debian", "flavour large"):
        assert word in str(error.value)


def test_servers_that_are_there_need_no_quota_again() -> None:
    project = _Project()
    names = ["bastion", "master1", "infra1", "infra2", "gateway1", "gateway2"]
    project.running = [SimpleNamespace(name=f"refsys-t-{name}", metadata={"refsys": "t"}) for name in names]
    project.absolute.instances = 6
    project.absolute.instances_used = 6
    project.quota["floating_ips"] = 0
    assert _look(project).image_id == "image-id"
    project.running.pop()
    with pytest.raises(UserError, match="quota of servers: 1 more are needed, 0 of 6"):
        _look(project)


def test_an_image_file_must_be_there_and_needs_no_image() -> None:
    with pytest.raises(UserError, match="image file /nowhere does not exist"):
        _look(_Project(), image_file="/nowhere")
    project = _Project()
    project.found_image = None
    assert _look(project, image_file=__file__).image_id is None


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (exceptions.ConfigException("Cloud test was not found."), ["is not set up", "was not found", "clouds.yaml"]),
        (auth_exceptions.Unauthorized("The request you have made requires authentication."), ["refuses", "expired"]),
        (auth_exceptions.ConnectFailure("Unable to establish connection"), ["gives no answer", "auth_url"]),
        (exceptions.ForbiddenException("Policy doesn't allow it"), ["answers", "Policy doesn't allow it"]),
    ],
)
def test_the_clouds_own_reason_is_told(error: Exception, words: list[str]) -> None:
    with pytest.raises(UserError) as told, connection.explained(_settings()):
        raise error
    for word in ["OpenStack test", *words, "fix:"]:
        assert word in str(told.value)


def test_an_application_credential_reads_no_file_and_no_variable() -> None:
    arguments = connection._arguments(_settings(cloud=None, **KEY, application_credential_secret="s3cret"))
    assert arguments["auth"] == {**KEY, "application_credential_secret": "s3cret"}
    assert (arguments["load_yaml_config"], arguments["load_envvars"]) == (False, False)
    assert connection._arguments(_settings(region="one"))["region_name"] == "one"


def test_what_is_left_after_a_removal_is_named() -> None:
    project = _Project()
    leftovers.check("t", _settings(), lambda _: project)  # type: ignore[arg-type,return-value]
    project.left = [SimpleNamespace(name="refsys-t-infra1", metadata={"refsys": "t"})]
    project.left += [SimpleNamespace(name="other", metadata={"refsys": "t2"})]
    with pytest.raises(UserError, match=r"still has of it: volume refsys-t-infra1\n"):
        leftovers.check("t", _settings(), lambda _: project)  # type: ignore[arg-type,return-value]

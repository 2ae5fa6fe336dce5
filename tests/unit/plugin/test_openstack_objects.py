"""OpenStack's objects through the plugin: made, read, changed, removed, and what is left when something breaks."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.unit.plugin.openstack_cloud import Engine, MemoryCloud, Refused, plain

from refsys.infra.plugins.common.values import decode
from refsys.infra.plugins.openstack import work
from refsys.infra.plugins.openstack.errors import CloudError, NoAnswerError
from refsys.infra.plugins.openstack.inputs import FAILED
from refsys.infra.plugins.openstack.kinds import base
from refsys.infra.plugins.openstack.marks import is_mark

NETWORK = "openstack:networking/network:Network"
GROUP = "openstack:networking/secGroup:SecGroup"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
PORT = "openstack:networking/port:Port"
KEY = "openstack:compute/keypair:Keypair"
SERVER = "openstack:compute/instance:Instance"
VOLUME = "openstack:blockstorage/volume:Volume"
IMAGE = "openstack:images/image:Image"
CONTAINER = "openstack:objectstorage/container:Container"
BALANCER = "openstack:loadbalancer/loadBalancer:LoadBalancer"
LISTENER = "openstack:loadbalancer/listener:Listener"
SMALL = {"name": "w1", "flavorName": "small", "imageId": "i", "userData": "#cloud-config secret", "tags": ["a"]}


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(work, "_LONGEST_PAUSE", 0.002)
    monkeypatch.setattr(base, "LOST_SECONDS", 0.05)
    monkeypatch.setattr(base, "BUSY_SECONDS", 0.05)


@pytest.fixture
def cloud() -> MemoryCloud:
    return MemoryCloud()


def marks(item: dict[str, Any]) -> list[str]:
    return [tag for tag in item["tags"] if is_mark(tag)]


def test_a_network_is_made_marked_read_changed_and_removed(cloud: MemoryCloud) -> None:
    engine = Engine(cloud)
    inputs = {"name": "net", "adminStateUp": True, "tags": ["refsys"]}
    made = engine.create(NETWORK, "net", inputs)
    [live] = cloud.named("net")
    assert len(marks(live)) == 1
    assert plain(made.properties)["allTags"] == ["refsys"]
    assert not any(is_mark(tag) for tag in plain(made.properties)["tags"])

    live["tags"].append("by-hand")
    changed = engine.update(NETWORK, "net", made.id, inputs, {"name": "net2", "tags": ["other"]})
    assert plain(changed.properties)["name"] == "net2"
    [live] = cloud.named("net2")
    assert {"other", "by-hand"} < set(live["tags"])
    assert "refsys" not in live["tags"]

    assert engine.read(NETWORK, "net", made.id, inputs).id == made.id
    engine.delete(NETWORK, "net", made.id)
    assert engine.read(NETWORK, "net", made.id, inputs).id == ""
    engine.delete(NETWORK, "net", made.id)


def test_drift_is_what_no_longer_fits(cloud: MemoryCloud) -> None:
    engine = Engine(cloud)
    inputs = {"networkId": "n", "name": "p", "securityGroupIds": ["b", "a"], "fixedIps": [{"subnetId": "s"}]}
    cloud.new = {"fixed_ips": [{"subnet_id": "s", "ip_address": "10.0.0.5"}]}
    made = engine.create(PORT, "p", inputs)
    [live] = cloud.named("p")
    live["security_groups"] = ["a", "b"]
    assert plain(engine.read(PORT, "p", made.id, inputs).inputs) == inputs
    assert plain(engine.read(PORT, "p", made.id, inputs).properties)["allFixedIps"] == ["10.0.0.5"]
    live["security_groups"] = ["a"]
    live["description"] = "by hand"
    now = plain(engine.read(PORT, "p", made.id, inputs).inputs)
    assert now == {**inputs, "securityGroupIds": ["a"], "description": "by hand"}


def test_import_tells_the_inputs(cloud: MemoryCloud) -> None:
    item = cloud.add("network", "/networks", name="theirs", admin_state_up=True, description="", mtu=1450)
    assert plain(Engine(cloud).read(NETWORK, "n", item["id"]).inputs) == {"name": "theirs"}
    address = cloud.add("network", "/floatingips", floating_network_id="net-public", floating_ip_address="192.0.2.7")
    told = Engine(cloud).read("openstack:networking/floatingIp:FloatingIp", "f", address["id"])
    assert plain(told.inputs) == {"pool": "public"}


def test_an_imported_server_is_not_made_anew(cloud: MemoryCloud) -> None:
    item = cloud.add("compute", "/servers", name="s", status="ACTIVE", flavor={"original_name": "small"}, key_name="k")
    cloud.add("compute", f"/servers/{item['id']}/os-interface", port_id="p")
    engine = Engine(cloud)
    read = engine.read(SERVER, "s", item["id"])
    program = {"name": "s", "flavorName": "small", "keyPair": "k", "networks": [{"port": "p"}]}
    assert not engine.diff(SERVER, plain(read.inputs), program, plain(read.properties)).diffs


def test_a_security_group_without_its_default_rules_or_not_at_all(cloud: MemoryCloud) -> None:
    rule = cloud.add("network", "/security-group-rules", direction="egress")
    cloud.new = {"security_group_rules": [{"id": rule["id"]}]}
    Engine(cloud).create(GROUP, "g", {"name": "g", "deleteDefaultRules": True})
    assert rule not in cloud.objects.values()

    def refuse(method: str, path: str, body: Any) -> None:
        if method == "DELETE" and "rules" in path:
            raise CloudError(500, "database is locked")

    cloud.before = refuse
    with pytest.raises(Refused, match="security group h: database is locked"):
        Engine(cloud).create(GROUP, "h", {"name": "h", "deleteDefaultRules": True})
    assert not cloud.named("h")


def test_a_server_is_marked_when_it_is_made_and_its_user_data_is_not_shown(cloud: MemoryCloud) -> None:
    made = Engine(cloud).create(SERVER, "w1", SMALL)
    [live] = cloud.named("w1")
    assert len(marks(live)) == 1
    assert "secret" not in str(plain(made.properties))
    assert plain(made.properties)["powerState"] == "active"


def test_a_server_in_error_is_kept_with_the_clouds_reason(cloud: MemoryCloud) -> None:
    cloud.new = {"status": "ERROR", "fault": {"message": "No valid host was found."}}
    with pytest.raises(Refused, match=r"server w1: No valid host was found.*\n.*fix: no machine") as caught:
        Engine(cloud).create(SERVER, "w1", SMALL)
    state = caught.value.state
    assert state.id == cloud.named("w1")[0]["id"]
    assert decode(state.properties).value[FAILED] is True
    Engine(cloud).delete(SERVER, "w1", state.id)
    assert not cloud.named("w1")


def test_the_clouds_refusals_come_with_a_fix(cloud: MemoryCloud) -> None:
    def refuse(method: str, path: str, body: Any) -> None:
        if method == "POST":
            raise CloudError(403, "Quota exceeded for instances: Requested 1, but already used 10 of 10 instances")

    cloud.before = refuse
    with pytest.raises(Refused, match=r"server w1: Quota exceeded for instances.*\(HTTP 403\)\n  fix: raise the proj"):
        Engine(cloud).create(SERVER, "w1", SMALL)


@pytest.mark.parametrize(
    ("type_name", "inputs"),
    [(NETWORK, {"name": "w1"}), (SERVER, SMALL), (VOLUME, {"name": "w1", "size": 1})],
)
def test_an_answer_that_was_lost_leaves_no_orphan(cloud: MemoryCloud, type_name: str, inputs: dict[str, Any]) -> None:
    cloud.new = {"status": "available"} if type_name == VOLUME else {}

    def lose(method: str, path: str, body: Any) -> None:
        if method == "POST":
            cloud.after = lambda method, path, body: None
            raise NoAnswerError("read timed out")

    cloud.after = lose
    made = Engine(cloud).create(type_name, "w1", inputs)
    assert [item["id"] for item in cloud.named("w1")] == [made.id]


def test_a_request_that_never_arrived_is_told_and_can_be_repeated(cloud: MemoryCloud) -> None:
    def lose(method: str, path: str, body: Any) -> None:
        if method == "POST":
            raise NoAnswerError("read timed out")

    cloud.before = lose
    with pytest.raises(Refused, match="read timed out\n  fix: run the same command again"):
        Engine(cloud).create(SERVER, "w1", SMALL)
    cloud.before = lambda method, path, body: None
    Engine(cloud).create(SERVER, "w1", SMALL)
    assert len(cloud.named("w1")) == 1


def test_what_a_killed_run_left_goes_before_it_is_made_again(cloud: MemoryCloud) -> None:
    Engine(cloud).create(SERVER, "w1", SMALL)
    [orphan] = cloud.named("w1")
    other = cloud.add("compute", "/servers", name="w1", status="ACTIVE", tags=["somebody's"])
    made = Engine(cloud).create(SERVER, "w1", SMALL)
    assert {item["id"] for item in cloud.named("w1")} == {made.id, other["id"]}
    assert orphan["id"] != made.id


def test_what_the_state_holds_is_no_orphan(cloud: MemoryCloud) -> None:
    first = Engine(cloud)
    inputs = first.check(SERVER, "w1", SMALL)
    made = first.create(SERVER, "w1", SMALL)
    [kept] = cloud.named("w1")
    attempt = marks(kept)[0].rpartition("-")[2]
    second = Engine(cloud)
    second.check(SERVER, "w1", SMALL, {**plain(inputs), "__attempt": attempt})
    second.create(SERVER, "w1", SMALL)
    assert made.id in {item["id"] for item in cloud.named("w1")}
    assert len(cloud.named("w1")) == 2


def test_a_rule_of_an_interrupted_run_is_taken_over_once(cloud: MemoryCloud) -> None:
    wanted = {"securityGroupId": "g", "direction": "ingress", "ethertype": "IPv4", "description": "ssh"}
    rule = {"security_group_id": "g", "direction": "ingress", "ethertype": "IPv4", "description": "ssh"}
    there = cloud.add("network", "/security-group-rules", **rule)

    def refuse(method: str, path: str, body: Any) -> None:
        if method == "POST":
            raise CloudError(409, "Security group rule already exists. Rule id is 1.")

    cloud.before = refuse
    engine = Engine(cloud)
    assert engine.create(RULE, "ssh", wanted).id == there["id"]
    with pytest.raises(Refused, match="already exists"):
        engine.create(RULE, "twice", wanted)


def test_a_key_pair_of_the_same_name_with_another_key_is_somebodys(cloud: MemoryCloud) -> None:
    cloud.objects["compute", "/os-keypairs/k"] = {"name": "k", "public_key": "ssh-ed25519 AAAA"}

    def refuse(method: str, path: str, body: Any) -> None:
        if method == "POST":
            raise CloudError(409, "Key pair 'k' already exists.")

    cloud.before = refuse
    assert Engine(cloud).create(KEY, "k", {"name": "k", "publicKey": "ssh-ed25519 AAAA\n"}).id == "k"
    with pytest.raises(Refused, match=r"key pair k: Key pair 'k' already exists.*\n  fix: another one has this name"):
        Engine(cloud).create(KEY, "k", {"name": "k", "publicKey": "ssh-ed25519 BBBB"})


def test_what_others_use_is_not_removed(cloud: MemoryCloud) -> None:
    engine = Engine(cloud)
    made = engine.create(NETWORK, "n", {"name": "n"})

    def refuse(method: str, path: str, body: Any) -> None:
        if method == "DELETE":
            raise CloudError(409, "There are one or more ports still in use on the network")

    cloud.before = refuse
    with pytest.raises(Refused, match="ports still in use"):
        engine.delete(NETWORK, "n", made.id, {"name": "n"})
    assert cloud.named("n")


def test_a_balancer_that_changes_is_asked_again(cloud: MemoryCloud) -> None:
    cloud.new = {"provisioning_status": "ACTIVE"}
    engine = Engine(cloud)
    balancer = engine.create(BALANCER, "lb", {"name": "lb", "vipSubnetId": "s"})
    busy = [True, True]

    def refuse(method: str, path: str, body: Any) -> None:
        if method == "POST" and busy:
            busy.pop()
            raise CloudError(409, "Load Balancer is immutable and cannot be updated.")

    cloud.before = refuse
    listener = {"name": "l", "loadbalancerId": balancer.id, "protocol": "TCP", "protocolPort": 443}
    assert engine.create(LISTENER, "l", listener).id
    assert not busy


def test_previews_ask_nothing_of_the_cloud(cloud: MemoryCloud) -> None:
    engine = Engine(cloud)
    engine.create(SERVER, "w1", SMALL, preview=True)
    engine.diff(SERVER, SMALL, SMALL | {"flavorName": "large"})
    assert not cloud.requests


def resizing(cloud: MemoryCloud, *, room: bool) -> None:
    """Let the cloud resize servers to `large` where it has room."""
    cloud.objects["compute", "/flavors/flavor-large"] = {"name": "large"}

    def act(method: str, path: str, body: Any) -> None:
        if path.endswith("/action"):
            server = cloud.objects["compute", path.removesuffix("/action")]
            if "resize" in body and room:
                server.update(status="VERIFY_RESIZE", flavor={"original_name": "large"})
            elif "confirmResize" in body:
                server.update(status="ACTIVE")

    cloud.after = act


def test_servers_of_a_group_are_placed_one_after_the_other(cloud: MemoryCloud) -> None:
    looks: Counter[str] = Counter()

    def before(method: str, path: str, body: Any) -> None:
        servers = [item for (_, place), item in list(cloud.objects.items()) if place.startswith("/servers/")]
        if method == "POST":
            assert all(item.get("hostId") for item in servers), "another one of the group has no machine yet"
        for item in servers:
            looks[item["id"]] += path.endswith(item["id"])
            if looks[item["id"]] > 2:
                item["hostId"] = "a machine"

    cloud.before = before
    engine = Engine(cloud)
    with ThreadPoolExecutor(3) as pool:
        making = [
            pool.submit(engine.create, SERVER, name, {**SMALL, "name": name, "schedulerHints": [{"group": "apart"}]})
            for name in ("w1", "w2", "w3")
        ]
        assert len({each.result().id for each in making}) == 3


def test_a_server_is_resized_and_confirmed(cloud: MemoryCloud) -> None:
    cloud.new = {"flavor": {"original_name": "small"}}
    engine = Engine(cloud)
    made = engine.create(SERVER, "w1", SMALL)
    resizing(cloud, room=True)
    engine.update(SERVER, "w1", made.id, SMALL, {**SMALL, "flavorName": "large"})
    [live] = cloud.named("w1")
    assert (live["status"], live["flavor"]["original_name"]) == ("ACTIVE", "large")
    assert len(marks(live)) == 1


def test_a_resize_for_which_there_is_no_room_is_told(cloud: MemoryCloud) -> None:
    cloud.new = {"flavor": {"original_name": "small"}}
    engine = Engine(cloud)
    made = engine.create(SERVER, "w1", SMALL)
    resizing(cloud, room=False)
    with pytest.raises(Refused, match=r"did not resize it to large.*\n  fix: choose a flavor that fits"):
        engine.update(SERVER, "w1", made.id, SMALL, {**SMALL, "flavorName": "large"})


def test_an_image_is_uploaded_and_verified(cloud: MemoryCloud, tmp_path: Path) -> None:
    file = tmp_path / "image.raw"
    file.write_bytes(b"content")
    inputs = {"name": "i", "containerFormat": "bare", "diskFormat": "raw", "localFilePath": str(file)}
    made = Engine(cloud).create(IMAGE, "i", {**inputs, "properties": {"os_distro": "debian"}})
    assert plain(made.properties)["status"] == "active"
    assert cloud.named("i")[0]["os_distro"] == "debian"
    cloud.new = {"other_hash": "0"}
    with pytest.raises(Refused, match="the cloud has other content than the file") as caught:
        Engine(cloud).create(IMAGE, "j", {**inputs, "name": "j"})
    assert decode(caught.value.state.properties).value[FAILED] is True
    with pytest.raises(Refused, match="there is no image file /nowhere"):
        Engine(cloud).create(IMAGE, "k", {**inputs, "name": "k", "localFilePath": "/nowhere"})


def test_a_container_that_is_there_is_somebodys(cloud: MemoryCloud) -> None:
    cloud.objects["object_store", "/theirs"] = {"X-Container-Meta-Owner": "they"}
    with pytest.raises(Refused, match="container theirs: a container called theirs already exists"):
        Engine(cloud).create(CONTAINER, "c", {"name": "theirs"})
    made = Engine(cloud).create(CONTAINER, "c", {"name": "ours", "metadata": {"owner": "we"}})
    assert made.id == "ours"
    assert plain(made.properties)["metadata"] == {"owner": "we"}
    assert Engine(cloud).create(CONTAINER, "c", {"name": "ours"}).id == "ours"

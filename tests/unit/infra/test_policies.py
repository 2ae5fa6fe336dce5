"""Each rule finds what it is for, and leaves alone what is well."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from refsys.infra import environment as environments
from refsys.infra import paths
from refsys.infra.environment import SPACE, Environment
from refsys.infra.errors import UserError
from refsys.infra.plan.changes import Action, Change, Plan, Resource
from refsys.infra.policies import judge, protection
from refsys.infra.policies.rules import Subject

RULE = "openstack:networking/secGroupRule:SecGroupRule"
SCALEWAY = "scaleway:instance/securityGroup:SecurityGroup"
VOLUME = "openstack:blockstorage/volume:Volume"
CONTAINER = "openstack:objectstorage/container:Container"
SERVER = "scaleway:instance/server:Server"
INSTANCE = "openstack:compute/instance:Instance"
OPEN: dict[str, Any] = {"direction": "ingress", "protocol": "tcp", "portRangeMin": 22, "portRangeMax": 22}


def resource(kind: str, name: str = "it", **inputs: Any) -> Resource:
    return Resource(f"urn:pulumi:x::refsys::{kind}::{name}", kind, inputs)


def plan(*after: Resource, changes: tuple[Change, ...] = ()) -> Plan:
    return Plan(changes, (), after)


def found(subject: Subject) -> dict[str, str]:
    """What is refused, by rule."""
    return {each.rule: f"{each.resource} {each.what}" for each in judge.judge(subject) if each.refused}


def judged(*after: Resource, config: dict[str, Any] | None = None) -> dict[str, str]:
    return found(Subject.of(Environment.parse("x", config or {}), plan(*after)))


@pytest.mark.parametrize(
    "given",
    [
        resource(RULE, **OPEN, remoteIpPrefix="0.0.0.0/0"),
        resource(RULE, **OPEN, remoteIpPrefix="::/0"),
        resource(RULE, **OPEN),
        resource(RULE, direction="ingress"),
        resource(RULE, **OPEN | {"portRangeMin": 1, "portRangeMax": 1024}, remoteIpPrefix="0.0.0.0/0"),
        resource(SCALEWAY, inboundRules=[]),
        resource(
            SCALEWAY,
            inboundDefaultPolicy="drop",
            inboundRules=[{"action": "accept", "protocol": "TCP", "port": 22, "ipRange": "0.0.0.0/0"}],
        ),
        resource(SCALEWAY, inboundDefaultPolicy="drop", inboundRules=[{"action": "accept", "portRange": "20-30"}]),
    ],
)
def test_ssh_that_is_open_to_the_world_is_refused(given: Resource) -> None:
    assert judged(given) == {"ssh-from-anywhere": "it lets everybody come to port 22"}


@pytest.mark.parametrize(
    "given",
    [
        resource(RULE, **OPEN, remoteIpPrefix="192.0.2.0/24"),
        resource(RULE, **OPEN, remoteGroupId="nodes"),
        resource(RULE, **OPEN | {"portRangeMin": 443, "portRangeMax": 443}, remoteIpPrefix="0.0.0.0/0"),
        resource(RULE, **OPEN | {"direction": "egress"}, remoteIpPrefix="0.0.0.0/0"),
        resource(RULE, **OPEN | {"protocol": "udp"}, remoteIpPrefix="0.0.0.0/0"),
        resource(
            SCALEWAY,
            inboundDefaultPolicy="drop",
            inboundRules=[
                {"action": "accept", "port": 443},
                {"action": "accept", "port": 22, "ipRange": "192.0.2.0/24"},
                {"action": "drop", "port": 22},
            ],
        ),
    ],
)
def test_other_openings_are_none_of_it(given: Resource) -> None:
    assert judged(given) == {}


def test_volumes_are_refused_once_the_types_that_encrypt_are_named() -> None:
    volume = resource(VOLUME, volumeType="fast")
    (warning,) = judge.judge(Subject.of(Environment(name="x"), plan(volume)))
    assert (warning.rule, warning.refused) == ("unencrypted-volume", False)
    config = {"policies": {"encrypted_volume_types": ["luks"]}}
    assert judged(volume, config=config) == {"unencrypted-volume": "it is of type fast, which is not known to encrypt"}
    assert judged(resource(VOLUME, volumeType="luks"), config=config) == {}


def test_tags_may_be_a_mapping_or_texts_and_are_asked_of_what_can_have_them() -> None:
    config = {"policies": {"tags": ["owner"]}}
    assert judged(resource(INSTANCE, tags=["cost=1"]), config=config) == {"missing-tags": "it has no tag owner"}
    for tags in ({"tags": ["owner=ops"]}, {"tags": ["owner"]}, {"metadata": {"owner": "ops"}}):
        assert judged(resource(INSTANCE, **tags), config=config) == {}
    assert judged(resource("refsys:Password"), config=config) == {}


@pytest.mark.parametrize(
    ("kind", "inputs", "refused"),
    [
        (CONTAINER, {"containerRead": ".r:*,.rlistings"}, True),
        (CONTAINER, {"containerWrite": "*:*"}, True),
        (CONTAINER, {"containerRead": "project:user"}, False),
        (CONTAINER, {}, False),
        ("scaleway:object/bucketAcl:BucketAcl", {"acl": "public-read"}, True),
        ("scaleway:object/bucket:Bucket", {"acl": "private"}, False),
    ],
)
def test_buckets_are_not_public(kind: str, inputs: dict[str, str], refused: bool) -> None:
    assert ("public-bucket" in judged(resource(kind, **inputs))) is refused


def test_limits_are_of_nodes_and_processors() -> None:
    nodes = [resource("local:Node", f"w{number}", cpus=4) for number in range(3)]
    config = {"limits": {"nodes": 2, "vcpus": 8}}
    assert judged(*nodes, config=config) == {
        "too-many-nodes": "limits.nodes 3 nodes, 2 are allowed",
        "too-many-vcpus": "limits.vcpus 12 processors, 8 are allowed",
    }
    assert judged(*nodes[:2], config=config) == {}
    assert judged(*nodes) == {}
    flavours = [resource(INSTANCE, flavorName="SCS-4V-16"), resource(SERVER, type="POP2-4C-16G")]
    assert judged(*flavours, config=config) == {}
    assert judged(*flavours, config={"limits": {"vcpus": 7}}) == {
        "too-many-vcpus": "limits.vcpus 8 processors, 7 are allowed"
    }
    unknown = resource(INSTANCE, flavorName="m1.small")
    assert judged(unknown, config=config) == {"too-many-vcpus": "it is of a type whose processors are not known"}


def test_a_limit_of_costs_needs_prices() -> None:
    node = resource("pulumi-python:dynamic/local:Node", cpus=2, memory_mib=1024)
    config = {"prices": {"vcpu_hour": 0.05, "memory_gib_hour": 0.1}, "limits": {"cost_per_month": 146}}
    assert judged(node, config=config) == {}
    assert judged(node, node, config=config) == {
        "too-expensive": "limits.cost_per_month 292.00 EUR a month, 146.00 are allowed"
    }
    found = judged(resource(INSTANCE, flavorName="m1.small"), config=config)
    assert "no price of m1.small" in found["too-expensive"]


@pytest.mark.parametrize(
    ("action", "kind", "refused"),
    [
        (Action.REPLACE, "local:Node", True),
        (Action.DELETE, VOLUME, True),
        (Action.CHANGE, "local:Node", False),
        (Action.CREATE, "local:Node", False),
        (Action.DELETE, "kubernetes:core/v1:ConfigMap", False),
    ],
)
def test_a_protected_environment_keeps_its_nodes_and_volumes(action: Action, kind: str, refused: bool) -> None:
    change = Change(action, resource(kind), because=("place",) if action is Action.REPLACE else ())
    environment = Environment.parse("x", {"protected": True})
    assert ("protected" in found(Subject.of(environment, plan(changes=(change,))))) is refused
    assert found(Subject.of(environment, plan(changes=(change,)), unprotected=True)) == {}
    assert found(Subject.of(Environment(name="x"), plan(changes=(change,)))) == {}


def test_a_refusal_names_resource_rule_reason_and_fix_and_a_waiver_lifts_it() -> None:
    bucket = resource(CONTAINER, "products", containerRead=".r:*")
    with pytest.raises(UserError) as refused:
        judge.require(Subject.of(Environment(name="x"), plan(bucket)))
    for part in (
        "products",
        "rule public-bucket",
        "those who may have them",
        "fix: take the access",
        "nothing was touched",
    ):
        assert part in str(refused.value)
    waiver = {"rule": "public-bucket", "resource": "prod*", "reason": "open data, agreed with the owner"}
    environment = Environment.parse("x", {"policies": {"waivers": [waiver]}})
    (waived,) = judge.require(Subject.of(environment, plan(bucket)))
    assert waived.waived == waiver["reason"]


def test_this_machine_is_governed_only_where_the_config_asks_for_it() -> None:
    assert not judge.governed(Environment(name="x"))
    config = yaml.safe_load((paths.CHECKOUT / "Pulumi.openstack.yaml").read_text())["config"]
    fields = {key.removeprefix(SPACE): value for key, value in config.items()}
    openstack = Environment.parse("x", fields)
    assert judge.governed(openstack)
    assert found(Subject.of(openstack, plan())) == {}
    del fields["perimeter"]
    assert found(Subject.of(Environment.parse("x", fields), plan())) == {
        "ssh-from-anywhere": "perimeter.operators_from lets everybody come to SSH of the control plane"
    }
    for config in ({"protected": True}, {"limits": {"nodes": 3}}, {"policies": {"tags": ["owner"]}}):
        assert judge.governed(Environment.parse("x", config))


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("config: {refsys:protected: true}", True),
        ('config: {refsys:protected: "true", refsys:nonsense: 1}', True),
        ("config: {refsys:protected: false}", False),
        ("config: {}", False),
        ("", False),
        ("config: [", True),
    ],
)
def test_down_of_a_protected_environment_needs_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, refused: bool
) -> None:
    file = tmp_path / "Pulumi.prod.yaml"
    file.write_text(text)
    monkeypatch.setattr(protection, "config_file", lambda _: file)
    if refused:
        with pytest.raises(UserError, match="--unprotect prod"):
            protection.require_removable("prod", None)
    else:
        protection.require_removable("prod", None)
    protection.require_removable("prod", "prod")
    with pytest.raises(UserError, match="does not name"):
        protection.require_removable("prod", "production")
    assert environments.config_file("prod").name == file.name

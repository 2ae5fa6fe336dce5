"""From events as the engine writes them to what a person reads."""

import json
from typing import Any

from pulumi.automation import EngineEvent

from refsys.infra.environment import Environment
from refsys.infra.plan import show
from refsys.infra.plan.changes import Action, plan_of
from refsys.infra.plan.cost import Costs
from refsys.infra.plan.groups import group_of
from refsys.infra.plan.importable import Importable
from refsys.infra.plan.values import IS_SECRET, SECRET, SIGNATURE, UNKNOWN, Field, differences, plain

HIDDEN = {SIGNATURE: IS_SECRET, "ciphertext": "[secret]"}
NOT_KNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
NODE = "pulumi-python:dynamic/local:Node"
CONFIG_MAP = "kubernetes:core/v1:ConfigMap"


def state(kind: str, name: str, inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    urn = f"urn:pulumi:x::refsys::{kind}::{name}"
    return {"urn": urn, "type": kind, "custom": True, "inputs": inputs, "outputs": {}, **more}


def step(op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, **more: Any) -> EngineEvent:
    return event("resOutputsEvent" if op == "refresh" else "resourcePreEvent", op, old, new, **more)


def event(name: str, op: str, old: dict[str, Any] | None, new: dict[str, Any] | None, **more: Any) -> EngineEvent:
    whole = new or old or {}
    metadata = {"op": op, "urn": whole["urn"], "type": whole["type"], "old": old, "new": new, **more}
    return EngineEvent.from_json({name: {"metadata": metadata, "planning": True}})


def test_groups_counts_reasons_and_fields() -> None:
    node = {"memory_mib": 8192, "cpus": 2, "__provider": "gASV", "instance": None}
    smaller = node | {"memory_mib": 4096, "__provider": "gASW"}
    old, new = state(NODE, "w1", node), state(NODE, "w1", smaller)
    settings = {"data": {"a": "1"}, "metadata": {"name": "settings"}}
    changed = {"data": {"a": "2", "b": "3"}, "metadata": {"name": "settings"}}
    component = state("refsys:platform:Kafka", "kafka", {}) | {"custom": False}
    plan = plan_of(
        [
            step("update", state(CONFIG_MAP, "settings", settings), state(CONFIG_MAP, "settings", changed)),
            step("create", None, component),
            step("same", state(NODE, "cp1", node), state(NODE, "cp1", node)),
            step("delete-replaced", old, None, keys=["memory_mib"]),
            step("replace", old, new, keys=["memory_mib"]),
            step("create-replacement", old, new, keys=["memory_mib"]),
            step("create", None, state(NODE, "w2", node)),
            step("delete", state(CONFIG_MAP, "gone", settings), None),
        ]
    )
    assert [line.plain for line in show.lines(plan)] == [
        "nodes",
        "  ± replace  Node w1, because memory_mib can't change in place",
        "      memory_mib: 8192 → 4096",
        "  + create   Node w2",
        "",
        "cluster",
        "  - delete   ConfigMap gone",
        "  ~ change   ConfigMap settings",
        "      data.a: 1 → 2",
        "      data.b: (none) → 3",
        "",
        "1 to create, 1 to change, 1 to replace, 1 to delete, 1 stays as it is",
    ]
    document = show.as_json(plan)
    assert document["counts"] == {"create": 1, "change": 1, "replace": 1, "delete": 1, "resources": 4}
    assert json.loads(json.dumps(document)) == document


def test_secrets_and_what_is_not_known_yet_never_come_as_values() -> None:
    old = {"user": "a", "password": HIDDEN, "address": "10.0.0.1"}
    new = {"user": "a", "password": HIDDEN, "address": NOT_KNOWN}
    (change,) = plan_of([step("update", state(NODE, "w1", old), state(NODE, "w1", new))]).changes
    assert change.fields == (Field("address", "10.0.0.1", UNKNOWN),)
    # What nothing visible explains is a secret; the provider may say which.
    same = old | {"token": HIDDEN}
    states = state(CONFIG_MAP, "c", same), state(CONFIG_MAP, "c", same)
    (change,) = plan_of([step("update", *states)]).changes
    assert {each.path for each in change.fields} == {"password", "token"}
    detail = {"token": {"diffKind": "update", "inputDiff": True}}
    (change,) = plan_of([step("update", *states, detailedDiff=detail)]).changes
    assert change.fields == (Field("token", SECRET, SECRET),)


def test_drift_is_what_the_look_found() -> None:
    well = {"place": "here"}
    gone, ill, fine = (state(NODE, name, well) for name in ("gone", "ill", "fine"))
    found = ill | {"outputs": {"drift": "not running"}}
    edited = state(CONFIG_MAP, "edited", {"data": {"a": "1"}})
    live = edited | {"inputs": {"data": {"a": "9"}}}
    plan = plan_of(
        [
            step("refresh", gone, None),
            step("refresh", ill, found),
            step("refresh", fine, fine),
            step("refresh", edited, live),
            step("create", None, gone),
            step("update", found, ill),
            step("same", fine, fine),
            step("update", live, edited),
        ]
    )
    assert {change.resource.name: (change.drift, change.fields) for change in plan.drifted} == {
        "gone": ("it does not exist any more", ()),
        "ill": ("not running", ()),
        "edited": ("", (Field("data.a", "1", "9"),)),
    }
    assert {change.resource.name: change.drift for change in plan.changes} == {
        "gone": "",
        "ill": "not running",
        "edited": "",
    }
    assert {resource.name for resource in plan.before} == {"gone", "ill", "fine", "edited"}


def test_an_empty_plan_says_so() -> None:
    plan = plan_of([step("same", state(NODE, "w1", {}), state(NODE, "w1", {}))])
    assert [line.plain for line in show.lines(plan)] == ["nothing changes: all 1 resources are as the config says"]


def test_only_what_leaves_the_state_as_it_is_counts_as_settled() -> None:
    node = state(NODE, "w1", {"place": "here"})
    stack = state("pulumi:pulumi:Stack", "x", {}, custom=False, outputs={"until": "platform"})
    quiet = [step("refresh", node, node), step("same", node, node), event("resOutputsEvent", "same", node, node)]
    assert plan_of([*quiet, event("resOutputsEvent", "same", stack, stack)]).settled
    for other in (
        event("resOutputsEvent", "same", stack, stack | {"outputs": {"until": "chain"}}),
        event("resOutputsEvent", "same", node, node | {"urn": node["urn"] + "2"}),
        event("resOutputsEvent", "create", None, state(NODE, "w2", {})),
        step("update", node, node | {"inputs": {"place": "there"}}),
        step("refresh", node, node | {"outputs": {"drift": "not running"}}),
        step("refresh", node, None),
    ):
        assert not plan_of([*quiet, other]).settled
    assert not plan_of([]).settled


def test_values_differ_as_deep_as_it_can_be_told() -> None:
    old = {"text": '{"a": [1, 2], "b": 1}', "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}]}
    new = {"text": '{"a": [1, 3], "b": 1}', "env": [{"name": "C", "value": "1"}, {"name": "B", "value": "2"}]}
    assert [str(each) for each in differences(old, new)] == [
        "text.a[1]: 2 → 3",
        'env[A]: {"name": "A", "value": "1"} → (none)',
        "env[B].value: 1 → 2",
        'env[C]: (none) → {"name": "C", "value": "1"}',
    ]
    assert [str(each) for each in differences({"a": "x" * 200}, {"a": [1]})] == [f"a: {'x' * 99}… → [1]"]
    assert list(differences({"a": [1, 2]}, {"a": [1]})) == [Field("a", [1, 2], [1])]
    assert plain({"a": [HIDDEN, NOT_KNOWN], "__provider": "x"}) == {"a": [SECRET, UNKNOWN]}


def test_types_have_groups() -> None:
    groups = {
        "local:Node": "nodes",
        "openstack:compute/instance:Instance": "nodes",
        "scaleway:instance/server:Server": "nodes",
        "openstack:blockstorage/volume:Volume": "volumes and buckets",
        "scaleway:instance/securityGroup:SecurityGroup": "network",
        "openstack:networking/secGroupRule:SecGroupRule": "network",
        "local:LoadBalancer": "network",
        "refsys:Playbook": "setup of nodes",
        "kubernetes:apps/v1:Deployment": "cluster",
        "kubernetes:core/v1:PersistentVolume": "cluster",
        "refsys:SignedImages": "images",
        "refsys:SshKey": "keys, certificates and passwords",
        "refsys:File": "other",
    }
    assert {kind: group_of(kind) for kind in groups} == groups


def test_an_import_takes_the_resource_with_the_components_that_are_not_there_yet() -> None:
    document = {
        "nameTable": {"platform": "urn:platform"},
        "resources": [
            {"type": "test:Part", "name": "part", "component": True, "parent": "platform"},
            {"type": "test:Inner", "name": "inner", "component": True, "parent": "part"},
            {"type": "test:Other", "name": "other", "component": True},
            {"type": CONFIG_MAP, "name": "settings", "id": "<PLACEHOLDER>", "parent": "inner"},
        ],
    }
    wanted = Importable.parse(json.dumps(document)).of(CONFIG_MAP, "settings", "default/settings")
    assert [each["name"] for each in wanted.resources] == ["part", "inner", "settings"]
    assert wanted.resources[-1]["id"] == "default/settings"
    assert json.loads(wanted.as_json())["nameTable"] == {"platform": "urn:platform"}


def test_costs_are_told_before_and_after_with_what_makes_the_difference() -> None:
    small, large = {"cpus": 1, "memory_mib": 1024}, {"cpus": 2, "memory_mib": 1024}
    environment = Environment.parse("x", {"prices": {"vcpu_hour": 0.1, "memory_gib_hour": 0.1}})
    unknown = state("openstack:compute/instance:Instance", "w3", {"flavorName": "m1.small"})
    plan = plan_of(
        [
            step("update", state(NODE, "w1", small), state(NODE, "w1", large)),
            step("create", None, state(NODE, "w2", small)),
            step("create", None, unknown),
        ]
    )
    costs = Costs.of(environment, plan)
    assert [line.plain for line in costs.lines()] == [
        "cost a month 146.00 → 365.00 EUR  (refsys:prices)",
        "  w1 +73.00",
        "  w2 +146.00",
        "  without a price: w3: no price of m1.small; set refsys:costs.servers",
    ]
    assert costs.as_json()["differences_eur"] == {"w1": 73.0, "w2": 146.0}


def test_every_action_has_a_mark() -> None:
    assert set(show.MARKS) == set(Action)

"""Differences, immutable fields, automatic names, drift."""

from typing import Any

import pytest

from refsys.infra.plugins.common.differences import Change
from refsys.infra.plugins.common.values import UNKNOWN
from refsys.infra.plugins.kubernetes.apply import manifest_for, with_value_of
from refsys.infra.plugins.kubernetes.config import Config
from refsys.infra.plugins.kubernetes.diff import compare
from refsys.infra.plugins.kubernetes.drift import live_inputs
from refsys.infra.plugins.kubernetes.objects import Kind, kind_of, with_autoname, with_wire_names

NAMESPACES = ("default", "default")


def manifest(kind: str, api_version: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}, **fields}


def changes(old: dict[str, Any], new: dict[str, Any]) -> dict[tuple[Any, ...], Any]:
    return {item.path: (item.change, item.replaces) for item in compare(old, new, Config(), NAMESPACES).changes}


def test_fields_are_compared_one_by_one() -> None:
    old = manifest("Service", spec={"ports": [{"port": 80}], "type": "ClusterIP"}, gone=1)
    new = manifest("Service", spec={"ports": [{"port": 81}, {"port": 82}], "type": "ClusterIP", "added": UNKNOWN})
    assert changes(old, new) == {
        ("spec", "ports", 0, "port"): (Change.UPDATE, False),
        ("spec", "ports", 1): (Change.ADD, False),
        ("spec", "added"): (Change.ADD, False),
        ("gone",): (Change.DELETE, False),
    }
    assert changes(old, old) == {}


def test_true_is_not_one() -> None:
    assert changes(manifest("A", flag=True), manifest("A", flag=1))
    assert not changes(manifest("A", number=1), manifest("A", number=1.0))


@pytest.mark.parametrize(
    ("old", "new", "replaces"),
    [
        (manifest("Deployment", "apps/v1", spec={"selector": 1}), {"spec": {"selector": 2}}, True),
        (manifest("Deployment", "apps/v1", spec={"replicas": 1}), {"spec": {"replicas": 2}}, False),
        (manifest("StatefulSet", "apps/v1", spec={"serviceName": "a"}), {"spec": {"serviceName": "b"}}, True),
        (manifest("StatefulSet", "apps/v1", spec={}), {"spec": {"volumeClaimTemplates": []}}, True),
        (manifest("Job", "batch/v1", spec={"template": {"a": 1}}), {"spec": {"template": {"a": 2}}}, True),
        (manifest("Job", "batch/v1", spec={"suspend": True}), {"spec": {"suspend": False}}, False),
        (manifest("Service", spec={"clusterIP": "None"}), {"spec": {}}, True),
        (manifest("PersistentVolumeClaim", spec={"resources": 1}), {"spec": {"resources": 2}}, False),
        (manifest("PersistentVolumeClaim", spec={"storageClassName": "a"}), {"spec": {"storageClassName": "b"}}, True),
        (manifest("PersistentVolume", spec={"local": {"path": "/a"}}), {"spec": {"local": {"path": "/b"}}}, True),
        (manifest("PersistentVolume", spec={"capacity": 1}), {"spec": {"capacity": 2}}, False),
        (manifest("StorageClass", "storage.k8s.io/v1", parameters={"a": "1"}), {"parameters": {"a": "2"}}, True),
        (manifest("Pod", spec={"containers": [{"image": "a"}]}), {"spec": {"containers": [{"image": "b"}]}}, False),
        (manifest("Pod", spec={"containers": [{"name": "a"}]}), {"spec": {"containers": [{"name": "b"}]}}, True),
        (manifest("Role", metadata={"name": "a"}), {"metadata": {"name": "b"}}, True),
        (manifest("Role"), {"metadata": {"name": "a", "namespace": "default"}}, False),
        (manifest("Role"), {"metadata": {"name": "a", "namespace": "other"}}, True),
        (manifest("Role"), {"apiVersion": "other/v1"}, True),
    ],
)
def test_immutable_fields_replace(old: dict[str, Any], new: dict[str, Any], replaces: bool) -> None:
    assert compare(old, {**old, **new}, Config(), NAMESPACES).replaces is replaces


@pytest.mark.parametrize("kind", ["ConfigMap", "Secret"])
def test_data_is_replaced_unless_it_may_change_in_place(kind: str) -> None:
    old, new = manifest(kind, data={"a": "1"}), manifest(kind, data={"a": "2"})
    mutable = Config(config_map_mutable=True, secret_mutable=True)
    assert compare(old, new, Config(), NAMESPACES).replaces
    assert not compare(old, new, mutable, NAMESPACES).replaces
    assert compare({**old, "immutable": True}, {**new, "immutable": True}, mutable, NAMESPACES).replaces


def test_order_of_a_replacement() -> None:
    old, new = manifest("ConfigMap", data={"a": "1"}), manifest("ConfigMap", data={"a": "2"})
    assert compare(old, new, Config(), NAMESPACES).delete_first
    renamed = {**new, "metadata": {"name": "b"}}
    assert not compare(old, renamed, Config(), NAMESPACES).delete_first
    automatic = with_autoname({**new, "metadata": {}}, "a", b"seed", {})
    assert not compare(automatic | {"data": {}}, automatic, Config(), NAMESPACES).delete_first


def test_automatic_names() -> None:
    nameless = {"metadata": {"labels": {"a": "b"}}}
    made = with_autoname(nameless, "web", b"seed", {})
    assert made["metadata"]["name"].startswith("web-")
    assert len(made["metadata"]["name"]) == 12
    assert made == with_autoname(nameless, "web", b"seed", {})
    assert made == with_autoname(nameless, "web", b"other", made)
    assert made != with_autoname(nameless, "web", b"other", {})
    for kept in ({"metadata": {"name": "x"}}, {"metadata": {"name": UNKNOWN}}, {"metadata": {"generateName": "x-"}}):
        assert with_autoname(kept, "web", b"seed", {}) == kept


def test_kind_is_read_from_the_manifest_or_the_type() -> None:
    assert kind_of({"apiVersion": "apps/v1", "kind": "Deployment"}) == Kind("apps", "v1", "Deployment")
    assert kind_of({}, "kubernetes:core/v1:Pod") == Kind("", "v1", "Pod")
    assert kind_of({}, "kubernetes:test.example/v1:Widget") == Kind("test.example", "v1", "Widget")


def test_schema_fields_get_their_own_names() -> None:
    definition = {"kind": "CustomResourceDefinition", "spec": [{"x_kubernetes_list_type": "map", "_ref": "#"}]}
    assert with_wire_names(definition)["spec"] == [{"x-kubernetes-list-type": "map", "$ref": "#"}]
    assert with_wire_names({"kind": "ConfigMap", "data": {"_ref": "a"}})["data"] == {"_ref": "a"}


def test_text_of_a_secret_is_sent_as_data() -> None:
    sent = manifest_for(manifest("Secret", stringData={"a": "b"}, data={"c": "ZA=="}), Kind("", "v1", "Secret"))
    assert sent["data"] == {"a": "Yg==", "c": "ZA=="}
    assert "stringData" not in sent


def test_ignored_fields_keep_their_live_value() -> None:
    target = {"spec": {"replicas": 1, "containers": [{"image": "a"}, {"image": "b"}]}}
    live = {"spec": {"replicas": 5, "containers": [{"image": "x"}, {"image": "y"}]}}
    assert with_value_of(target, live, ("spec", "replicas"))["spec"]["replicas"] == 5
    images = with_value_of(target, live, ("spec", "containers", "*", "image"))["spec"]["containers"]
    assert images == live["spec"]["containers"]
    assert with_value_of(target, live, ("spec", "absent")) == target


def test_no_drift_where_the_server_only_rewrote() -> None:
    inputs = manifest("Deployment", spec={"cpu": "1000m", "labels": {}, "list": [{"name": "a", "x": 1}]})
    last = manifest("Deployment", spec={"cpu": "1", "list": [{"name": "a", "x": 1, "default": 2}]}, status={"a": 1})
    assert live_inputs(inputs, last, {**last, "status": {"a": 2}}) == inputs


def test_drift_shows_live_values_of_wanted_fields_only() -> None:
    inputs = manifest("X", spec={"kept": 1, "changed": 1, "removed": 1, "list": [{"name": "a", "v": 1}, {"name": "b"}]})
    last = {**inputs, "spec": {**inputs["spec"], "default": 1}}
    live = manifest(
        "X", spec={"kept": 1, "changed": 2, "default": 5, "list": [{"name": "new"}, {"name": "a", "v": 2, "d": 1}]}
    )
    assert live_inputs(inputs, last, live)["spec"] == {
        "kept": 1,
        "changed": 2,
        "list": [{"name": "a", "v": 2}, {"name": "new"}],
    }


def test_drift_of_plain_lists_and_secret_texts() -> None:
    inputs = manifest("X", args=["a", "b"])
    assert live_inputs(inputs, inputs, manifest("X", args=["a", "b", "c"]))["args"] == ["a", "b", "c"]
    secret, last = manifest("Secret", stringData={"a": "b"}), manifest("Secret", data={"a": "Yg=="})
    assert live_inputs(secret, last, last) == secret
    assert live_inputs(secret, last, manifest("Secret", data={"a": "Yw=="}))["stringData"] == {"a": "c"}


def test_import_takes_the_object_itself() -> None:
    live = manifest("X", spec={"a": 1}, status={"b": 2})
    live["metadata"] |= {"uid": "1", "resourceVersion": "2", "labels": {"a": "b"}}
    assert live_inputs({}, {}, live) == manifest("X", spec={"a": 1}) | {"metadata": {"name": "a", "labels": {"a": "b"}}}

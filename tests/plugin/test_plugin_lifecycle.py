"""Objects through the engine: make, change nothing, change, replace, drift, destroy."""

import base64
import time
from collections.abc import Callable
from typing import Any

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation as auto
from tests.plugin.api_server import Cluster
from tests.plugin.engine import Program, Stack

Options = Callable[..., pulumi.ResourceOptions]
PASSWORD = "correct-horse-battery"


def steps(result: Any) -> dict[str, int]:
    """Return how many resources had which step."""
    return dict(result.summary.resource_changes or {})


def settings(options: Options, data: dict[str, str], **metadata: Any) -> Program:
    """A program with one ConfigMap."""

    def program() -> None:
        k8s.core.v1.ConfigMap("settings", metadata={"namespace": "default", **metadata}, data=data, opts=options())

    return program


def test_make_twice_and_destroy(stack: Stack, options: Options, cluster: Cluster) -> None:
    def program() -> None:
        opts = options()
        space = k8s.core.v1.Namespace("space", opts=opts)
        inside = {"namespace": space.metadata.name}
        k8s.core.v1.ServiceAccount("account", metadata=inside, opts=opts)
        secret = k8s.core.v1.Secret("password", metadata=inside, string_data={"password": PASSWORD}, opts=opts)
        k8s.apps.v1.Deployment(
            "web",
            metadata=inside,
            spec={
                "replicas": 0,
                "selector": {"match_labels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "containers": [{"name": "web", "image": "web:1", "resources": {"limits": {"cpu": "1000m"}}}]
                    },
                },
            },
            opts=opts,
        )
        k8s.core.v1.Service(
            "web", metadata=inside, spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}, opts=opts
        )
        pulumi.export("namespace", space.metadata.name)
        pulumi.export("password", secret.data["password"])

    previewed = stack.preview(program)
    assert PASSWORD not in previewed.stdout
    made = stack.up(program)
    namespace = made.outputs["namespace"].value
    assert namespace.startswith("space-")
    assert len(namespace) == len("space-") + 8
    assert made.outputs["password"].secret
    assert base64.b64decode(made.outputs["password"].value).decode() == PASSWORD
    live = cluster.get(f"/api/v1/namespaces/{namespace}/secrets")["items"][0]
    assert "stringData" not in live
    state = stack.state()
    assert PASSWORD not in state
    assert base64.b64encode(PASSWORD.encode()).decode() not in state
    assert cluster.token not in state

    again = stack.up(program)
    assert set(steps(again)) == {"same"}
    assert set(steps(stack.refresh())) == {"same"}
    assert set(steps(stack.up(program))) == {"same"}

    stack.destroy()
    assert cluster.get(f"/api/v1/namespaces/{namespace}") is None


def test_change_in_place_and_remove_a_field(stack: Stack, options: Options, cluster: Cluster) -> None:
    def program(labels: dict[str, str]) -> Program:
        def run() -> None:
            k8s.core.v1.ServiceAccount(
                "account", metadata={"name": "fixed", "namespace": "default", "labels": labels}, opts=options()
            )

        return run

    path = "/api/v1/namespaces/default/serviceaccounts/fixed"
    stack.up(program({"a": "1", "b": "1"}))
    cluster.merge(path, {"metadata": {"labels": {"foreign": "1"}}})
    changed = stack.up(program({"a": "2"}))
    assert steps(changed)["update"] == 1
    assert cluster.get(path)["metadata"]["labels"] == {"a": "2", "foreign": "1"}
    manager = [item["manager"] for item in cluster.get(path)["metadata"]["managedFields"]]
    assert "pulumi-kubernetes" in manager


def test_fixed_name_is_deleted_before_it_is_replaced(stack: Stack, options: Options, cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps/fixed"
    stack.up(settings(options, {"a": "1"}, name="fixed"))
    before = cluster.get(path)["metadata"]["uid"]
    replaced = stack.up(settings(options, {"a": "2"}, name="fixed"))
    assert steps(replaced)["replace"] == 1
    assert cluster.get(path)["data"] == {"a": "2"}
    assert cluster.get(path)["metadata"]["uid"] != before


def test_automatic_name_is_made_anew_with_the_object(stack: Stack, options: Options, cluster: Cluster) -> None:
    def names() -> set[str]:
        items = cluster.get("/api/v1/namespaces/default/configmaps")["items"]
        return {item["metadata"]["name"] for item in items if item["metadata"]["name"].startswith("settings-")}

    stack.up(settings(options, {"a": "1"}))
    first = names()
    stack.up(settings(options, {"a": "2"}))
    assert len(names()) == len(first) == 1
    assert names() != first


def test_drift_is_seen_and_mended(stack: Stack, options: Options, cluster: Cluster) -> None:
    def program() -> None:
        k8s.rbac.v1.Role(
            "role",
            metadata={"name": "drifting", "namespace": "default", "labels": {"kept": "1", "lost": "1"}},
            rules=[{"api_groups": [""], "resources": ["pods"], "verbs": ["get"]}],
            opts=options(),
        )

    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/drifting"
    stack.up(program)
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    cluster.merge(path, {"metadata": {"labels": {"lost": None, "foreign": "1"}}, "rules": everything})
    assert steps(stack.refresh())["update"] == 1
    assert set(steps(stack.refresh())) == {"same"}
    mended = stack.up(program)
    assert steps(mended)["update"] == 1
    live = cluster.get(path)
    assert live["metadata"]["labels"] == {"kept": "1", "lost": "1", "foreign": "1"}
    assert live["rules"] == [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]

    cluster.request("DELETE", path)
    assert steps(stack.refresh())["delete"] == 1
    assert steps(stack.up(program))["create"] == 1
    assert cluster.get(path)


def test_kind_and_namespace_of_the_same_update(stack: Stack, options: Options, cluster: Cluster) -> None:
    """The custom resource and its namespace are named by text only, so the engine makes all at once."""

    def program() -> None:
        opts = options()
        k8s.apiextensions.CustomResource(
            "widget",
            api_version="test.example/v1",
            kind="Widget",
            metadata={"name": "one", "namespace": "late"},
            spec={"size": 3, "ratio": 0.5},
            opts=opts,
        )
        k8s.core.v1.Namespace("late", metadata={"name": "late"}, opts=opts)
        k8s.apiextensions.v1.CustomResourceDefinition(
            "widgets",
            metadata={"name": "widgets.test.example"},
            spec={
                "group": "test.example",
                "scope": "Namespaced",
                "names": {"plural": "widgets", "singular": "widget", "kind": "Widget"},
                "versions": [
                    {
                        "name": "v1",
                        "served": True,
                        "storage": True,
                        "schema": {
                            "open_apiv3_schema": k8s.apiextensions.v1.JSONSchemaPropsArgs(
                                type="object",
                                properties={
                                    "spec": k8s.apiextensions.v1.JSONSchemaPropsArgs(
                                        type="object", x_kubernetes_preserve_unknown_fields=True
                                    )
                                },
                            )
                        },
                    }
                ],
            },
            opts=opts,
        )

    stack.up(program)
    live = cluster.get("/apis/test.example/v1/namespaces/late/widgets/one")
    assert live["spec"] == {"size": 3, "ratio": 0.5}
    assert set(steps(stack.up(program))) == {"same"}
    assert set(steps(stack.refresh())) == {"same"}
    stack.destroy()
    assert cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.test.example") is None


def test_preview_before_the_cluster_is_known(stack: Stack, cluster: Cluster) -> None:
    content = cluster.kubeconfig

    class Made(pulumi.dynamic.ResourceProvider):
        def create(self, props: dict[str, Any]) -> pulumi.dynamic.CreateResult:
            return pulumi.dynamic.CreateResult("made", {"kubeconfig": content})

    class ClusterResource(pulumi.dynamic.Resource):
        kubeconfig: pulumi.Output[str]

    def program() -> None:
        made = ClusterResource(Made(), "made", {"kubeconfig": None})
        provider = k8s.Provider("later", kubeconfig=made.kubeconfig)
        opts = pulumi.ResourceOptions(provider=provider)
        space = k8s.core.v1.Namespace("space", metadata={"name": "unborn"}, opts=opts)
        k8s.core.v1.ConfigMap("settings", metadata={"namespace": space.metadata.name}, data={"a": "1"}, opts=opts)

    assert stack.preview(program).change_summary[auto.OpType.CREATE] == 5
    assert steps(stack.up(program))["create"] == 5


def test_refused_manifest_is_told_by_preview(stack: Stack, options: Options) -> None:
    def program() -> None:
        k8s.core.v1.Service(
            "web", metadata={"name": "web", "namespace": "default"}, spec={"ports": [{"port": 123456}]}, opts=options()
        )

    with pytest.raises(auto.CommandError, match="must be between 1 and 65535"):
        stack.preview(program)


def test_fields_of_others_are_taken_over(stack: Stack, options: Options, cluster: Cluster) -> None:
    path = "/api/v1/namespaces/default/configmaps/taken"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "taken"}, "data": {"a": "theirs"}}
    cluster.request("PATCH", f"{path}?fieldManager=other", body, "application/apply-patch+yaml")
    stack.up(settings(options, {"a": "ours"}, name="taken"))
    assert cluster.get(path)["data"] == {"a": "ours"}


def test_second_update_of_many_objects_is_quick(stack: Stack, options: Options) -> None:
    def program() -> None:
        opts = options()
        for number in range(60):
            k8s.core.v1.ConfigMap(
                f"many-{number}", metadata={"namespace": "default"}, data={"number": str(number)}, opts=opts
            )

    stack.up(program)
    started = time.monotonic()
    assert steps(stack.up(program)) == {"same": 62}
    assert time.monotonic() - started < 30

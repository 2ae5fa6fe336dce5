"""The provider's configuration."""

import json
from pathlib import Path

import pytest

from refsys.infra.plugins.common.errors import PluginError, redact
from refsys.infra.plugins.common.values import UNKNOWN
from refsys.infra.plugins.kubernetes.config import Config, check, default_namespace, needs_replacement


def kubeconfig(server: str = "https://one:6443", namespace: str | None = None) -> str:
    return json.dumps(
        {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "namespace": namespace}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
        }
    )


def test_kubeconfig_is_content_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(kubeconfig())
    assert Config.read({"kubeconfig": str(path)}).kubeconfig == kubeconfig()
    assert Config.read({"kubeconfig": kubeconfig()}).kubeconfig == kubeconfig()
    with pytest.raises(PluginError, match=r"can't read the kubeconfig /nowhere: No such file"):
        Config.read({"kubeconfig": "/nowhere"})


def test_unknown_kubeconfig() -> None:
    assert not Config.read({"kubeconfig": UNKNOWN}).known
    assert Config.read({}).known


def test_switches_are_booleans_or_their_text() -> None:
    config = Config.read({"deleteUnreachable": "true", "enableConfigMapMutable": True, "enableSecretMutable": "false"})
    assert (config.delete_unreachable, config.config_map_mutable, config.secret_mutable) == (True, True, False)


def test_namespace_of_objects_that_name_none() -> None:
    assert default_namespace(Config(namespace="a", kubeconfig=kubeconfig(namespace="b"))) == "a"
    assert default_namespace(Config(kubeconfig=kubeconfig(namespace="b"))) == "b"
    assert default_namespace(Config(kubeconfig=kubeconfig())) == "default"


def test_wrong_properties_are_named() -> None:
    assert check({"kubeconfig": kubeconfig()}) == []
    assert [name for name, _ in check({"kubeconfig": "a:\n  - b: ["})] == ["kubeconfig"]
    assert [name for name, _ in check({"renderYamlToDirectory": "out"})] == ["renderYamlToDirectory"]


def test_only_another_cluster_replaces_the_provider() -> None:
    one, other = {"kubeconfig": kubeconfig()}, {"kubeconfig": kubeconfig("https://two:6443")}
    assert needs_replacement(one, other) == "kubeconfig"
    assert needs_replacement(one, {"kubeconfig": kubeconfig(namespace="x")}) is None
    assert needs_replacement(one, {"kubeconfig": UNKNOWN}) is None
    assert needs_replacement({**one, "clusterIdentifier": "a"}, {**other, "clusterIdentifier": "a"}) is None


def test_secret_texts_are_taken_out_of_messages() -> None:
    assert redact("bad value: hunter2", {"hunter2", "a"}) == "bad value: [secret]"

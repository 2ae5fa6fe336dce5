from pathlib import Path

import pytest

from refsys.infra.errors import UserError
from refsys.infra.toolchain import load_lock
from refsys.platform.images import image_names, input_digest, optional_image_names
from refsys.platform.images.maven import Artifact, check_elsewhere, locked
from refsys.platform.images.recipe import chain, load, parse

EXPECTED = {
    *("pause", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns"),
    *("calico-cni", "calico-node", "calico-kube-controllers", "postgresql", "kafka", "object-store", "keycloak"),
    *("gateway", "clamav", "openldap", "openbao", "opensearch", "alertmanager", "services", "level0"),
    *("prometheus", "exporters", "kube-state-metrics", "statsd-exporter"),
}
OPTIONAL = ["mission-planning", "sra", "thanos", "xeyes"]


def test_every_image_of_the_architecture_has_a_recipe() -> None:
    assert set(image_names()) == EXPECTED
    assert optional_image_names() == OPTIONAL


@pytest.mark.parametrize("name", [*sorted(EXPECTED), *OPTIONAL])
def test_recipe_refers_to_what_exists(name: str) -> None:
    for recipe in chain(name):
        if recipe.go:
            assert recipe.go.tool in load_lock()
        if recipe.maven:
            assert locked(recipe, recipe.maven)
    assert input_digest(name).startswith("sha256:")
    assert load(name).entrypoint


ROOT_IMAGES = {
    *("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"),
    *("calico-cni", "calico-node"),
}


def test_only_node_programs_run_as_root() -> None:
    assert {name for name in EXPECTED if load(name).user == 0} == ROOT_IMAGES


def write(folder: Path, text: str) -> Path:
    path = folder / "example.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("description: x\nusr: 5", "usr = 5: Extra inputs are not permitted"),
        ("description: x\nuser: root", "user = 'root'"),
        ("description: x\nworkdir: bin/x", "not a plain absolute path"),
        ("description: x\nworkdir: /a/../b", "not a plain absolute path"),
        ("description: x\nlinks: {/bin/sh: dash}", "write /usr/bin/sh"),
        ("description: x\nmaven: {artifacts: [kafka], dest: /opt}", "maven.artifacts.0 = 'kafka'"),
        ("description: x\nmaven: {artifacts: ['a:b:1'], dest: /opt, elsewhere: {opt: [a]}}", "plain absolute path"),
        ("description: x\nfrom: a\nbootstrap: bookworm", "give only one of them"),
        ("description: x\nremove: [/etc/x]", "installs none"),
        ("- a list", "not a YAML mapping"),
        ("a: [", "not YAML"),
    ],
)
def test_mistakes_are_named_with_a_fix(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        parse(write(tmp_path, text))
    assert message in str(error.value)
    assert "fix:" in str(error.value)


def test_unknown_image_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="take one of: alertmanager, calico-cni, "):
        load("kafak")


def test_artefacts_go_where_the_recipe_says() -> None:
    recipe = load("opensearch")
    assert recipe.maven is not None
    folders: dict[str, set[str]] = {}
    for artifact in locked(recipe, recipe.maven):
        folders.setdefault(recipe.maven.folder(artifact.key), set()).add(artifact.name)
    module = "/opt/opensearch/modules/transport-netty4"
    assert set(folders) == {"/opt/opensearch/lib", module}
    assert {"transport-netty4-client", "netty-common"} <= folders[module]
    assert {"opensearch", "log4j-core"} <= folders["/opt/opensearch/lib"]
    assert not any(name.startswith("netty-") for name in folders["/opt/opensearch/lib"])


def test_a_folder_of_artefacts_that_are_not_there_is_a_mistake(tmp_path: Path) -> None:
    text = "description: x\nmaven: {artifacts: ['a:b:1'], dest: /opt, elsewhere: {/opt/m: [io.nety]}}"
    recipe = parse(write(tmp_path, text))
    assert recipe.maven is not None
    with pytest.raises(UserError, match=r"no artefact begins with 'io\.nety'"):
        check_elsewhere(recipe, recipe.maven, [Artifact(group="a", name="b", version="1", sha256="")])


def test_the_module_of_opensearch_is_of_its_version() -> None:
    recipe = load("opensearch")
    descriptor = recipe.files / "opt/opensearch/modules/transport-netty4/plugin-descriptor.properties"
    assert f"opensearch.version={recipe.version}\n" in descriptor.read_text()
    assert recipe.maven is not None
    opensearch = {a.version for a in locked(recipe, recipe.maven) if a.group.startswith("org.opensearch")}
    assert opensearch == {recipe.version}

"""Declarations of hosted applications: what is taken, and how mistakes are told."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from refsys.infra.applications import shipped
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.platform.components.names import App
from refsys.platform.images.recipe import load

OWN: dict[str, Any] = {
    "name": "notes",
    "title": "Notes",
    "image": "services",
    "roles": {"reader": {"description": "Read", "groups": ["users"]}},
}
DIGEST = f"registry.local.refsys.test:5000/refsys/notes@sha256:{'0' * 64}"


def parse(*applications: Any, **more: Any) -> Environment:
    return Environment.parse("local", {"applications": list(applications), **more})


def refused(*applications: Any, **more: Any) -> str:
    with pytest.raises(UserError) as error:
        parse(*applications, **more)
    return str(error.value)


def test_there_are_none_unless_declared() -> None:
    assert Environment(name="local").applications == []


@pytest.mark.parametrize("name", shipped())
def test_what_is_shipped_is_declared_by_its_name(name: str) -> None:
    (found,) = parse(name).applications
    assert found.name == name
    assert load(found.image).optional, "every environment would build it"
    assert found.hosted().app == App(f"app-{name}", f"app-{name}")


def test_a_shipped_one_can_be_changed() -> None:
    (found,) = parse({"shipped": "xeyes", "host": "eyes", "desktop": "shared"}).applications
    assert (found.name, found.host, found.desktop) == ("xeyes", "eyes", "shared")


def test_an_own_one_has_its_name_as_host_and_in_its_roles() -> None:
    (found,) = parse(OWN | {"image": DIGEST, "websocket": True}).applications
    hosted = found.hosted()
    assert (hosted.host, [role.name for role in hosted.roles]) == ("notes", ["notes-reader"])
    assert hosted.closed_paths == ["/health", "/metrics"] and hosted.websocket
    assert found.foreign_images == [DIGEST] and not found.of_distribution


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"host": "prip"}, "prip is a host of every environment"),
        ({"backup": {}}, "neither database nor volume"),
        ({"paths": ["/callback"]}, "/callback of notes is the login's"),
        ({"image": ""}, "needs an image or a chart, and not both"),
        ({"image": "notes:latest"}, "image"),
        ({"roles": {}}, "roles"),
        ({"roles": {"reader": {"description": "Read", "groups": ["nobody"]}}}, "given by nobody; the groups are"),
        ({"name": "node", "roles": {"admin": {"description": "x"}}}, "node-admin is a role of every environment"),
        ({"env": {"lower": "x"}}, "env"),
        ({"chart": {"manifests": "x.yaml", "service": "x"}}, "needs an image or a chart, and not both"),
        ({"volme": {}}, "there is no such field"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    assert message in refused(OWN | changes)


def test_names_that_are_not_shipped_are_told_with_those_that_are() -> None:
    assert "there is no application 'sar'; shipped are mission-planning, sra, xeyes" in refused("sar")


def test_two_have_not_the_same_name_or_host() -> None:
    assert "two applications have the name notes" in refused(OWN, OWN | {"host": "other"})
    assert "two applications have the host notes" in refused(OWN, OWN | {"name": "other", "host": "notes"})


DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "notes"},
    "spec": {"template": {"spec": {"containers": [{"name": "notes", "image": DIGEST}]}}},
}


def chart(folder: Path, *documents: dict[str, Any]) -> dict[str, Any]:
    file = folder / "notes.yaml"
    file.write_text(yaml.safe_dump_all([DEPLOYMENT, *documents]))
    return {**OWN, "image": "", "chart": {"manifests": str(file), "service": "notes"}}


def test_a_chart_is_its_manifests(tmp_path: Path) -> None:
    (found,) = parse(chart(tmp_path)).applications
    assert found.documents == [DEPLOYMENT]
    assert found.foreign_images == [DIGEST] and not found.of_distribution
    assert not found.hosted().scraped


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"kind": "Secret", "metadata": {"name": "x"}}, "Secret x can't be a part of application notes: secrets in"),
        ({"kind": "Ingress", "metadata": {"name": "x"}}, "the gateway is the only way in"),
        ({"kind": "ClusterRole", "metadata": {"name": "x"}}, "only ConfigMap, CronJob, Deployment"),
        ({"kind": "ConfigMap", "metadata": {"name": "x", "namespace": "infra"}}, "is of another namespace"),
        ({"kind": "Service", "metadata": {"name": "x"}, "spec": {"type": "NodePort"}}, "open past the gateway"),
        (
            {"kind": "Job", "metadata": {"name": "x"}, "spec": {"containers": [{"image": "x:1"}]}},
            "digest (@sha256:…): x:1",
        ),
    ],
)
def test_a_chart_brings_nothing_that_leaves_its_walls(tmp_path: Path, document: dict[str, Any], message: str) -> None:
    assert message in refused(chart(tmp_path, document))


def test_a_chart_has_no_connections_of_the_environment(tmp_path: Path) -> None:
    assert "can't have database" in refused(chart(tmp_path) | {"database": True})
    assert "can't be read" in refused({**OWN, "image": "", "chart": {"manifests": "/none.yaml", "service": "x"}})

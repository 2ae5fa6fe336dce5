"""A real OpenStack for the whole suite, and for each test a stack of its own on it."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation as auto

from refsys.infra.toolchain import tool_bin
from tests.means.engine import variables
from tests.means.openstack.cloud import Cloud, running
from tests.openstack.project import Project
from tests.plugin.engine import Stack


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    with running() as cloud:
        print(f"the cloud was ready after {cloud.ready_after:.0f} s")  # noqa: T201 pytest shows it with -s
        yield cloud


@pytest.fixture(scope="session")
def project(cloud: Cloud) -> Project:
    return Project(cloud.tester(), cloud.admin())


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return variables(tmp_path_factory.mktemp("engine"), "openstack")


@pytest.fixture(scope="session")
def image_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is taken for a machine's image: fake servers do not boot."""
    file = tmp_path_factory.mktemp("image") / "debian.raw"
    file.write_bytes(b"\0" * 2**20)
    return file


@pytest.fixture
def stack(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path, project: Project
) -> Iterator[Stack]:
    """A stack of its own; nothing but what was there before is left in the cloud afterwards."""
    workspace = auto.LocalWorkspaceOptions(
        work_dir=str(tmp_path),
        env_vars=environment,
        pulumi_command=auto.PulumiCommand(str(tool_bin("pulumi").parent), skip_version_check=True),
    )
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:40]
    before = project.everything()
    made = auto.create_or_select_stack(name, "plugin", lambda: None, opts=workspace)
    yield Stack(made, Path(environment["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi" / "stacks")
    made.destroy(color="never")
    gc.collect()  # what a failed program left is reported here, not after the tests
    assert project.everything() == before

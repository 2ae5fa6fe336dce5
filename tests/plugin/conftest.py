"""Fixtures: a real API server, the real engine, the plugin on PATH."""

import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation as auto
from tests.means.engine import variables
from tests.plugin.api_server import Cluster, running
from tests.plugin.engine import Stack

from refsys.infra.toolchain import tool_bin


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of the engine: its tools and the plugin on PATH, state in a folder."""
    return variables(tmp_path_factory.mktemp("engine"), "kubernetes") | {"KUBECONFIG": "/nonexistent"}


@pytest.fixture
def stack(
    request: pytest.FixtureRequest, environment: dict[str, str], tmp_path: Path, cluster: Cluster
) -> Iterator[Stack]:
    """A stack of its own for each test; what is left at the end is destroyed."""
    workspace = auto.LocalWorkspaceOptions(
        work_dir=str(tmp_path),
        env_vars=environment,
        pulumi_command=auto.PulumiCommand(str(tool_bin("pulumi").parent), skip_version_check=True),
    )
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "")[:40]
    made = auto.create_or_select_stack(name, "plugin", lambda: None, opts=workspace)
    yield Stack(made, Path(environment["PULUMI_BACKEND_URL"].removeprefix("file://")) / ".pulumi" / "stacks")
    made.destroy(color="never")
    gc.collect()  # what a failed program left is reported here, not after the tests


@pytest.fixture
def options(cluster: Cluster) -> Callable[..., pulumi.ResourceOptions]:
    """Make resource options with a provider for the test's cluster; to be called within a program."""

    def make(**more: object) -> pulumi.ResourceOptions:
        provider = k8s.Provider("cluster", kubeconfig=cluster.kubeconfig, delete_unreachable=True)
        return pulumi.ResourceOptions(provider=provider, **more)  # type: ignore[arg-type]

    return make

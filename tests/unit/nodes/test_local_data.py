"""A node of the local cloud on which data lies is not replaced by a change of its config."""

from pathlib import Path
from typing import Any

import pytest

from refsys.infra.clouds.local import nspawn
from refsys.infra.clouds.local.resources import _NodeProvider
from refsys.infra.errors import UserError

MADE = {
    "environment": "t",
    "node": "w1",
    "address": "10.150.7.20",
    "cidr": "10.150.7.0/24",
    "memory_mib": 4096,
    "cpus": 2,
    "public_key": "k",
    "image": "i",
    "instance": "1",
}


@pytest.fixture
def volumes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path))
    folder = nspawn.NodeSpec("t", "w1", "", "", 0, 0, "").root / "var/lib/refsys/volumes"
    for name in ("postgresql", "kafka", "jobs-s1"):
        (folder / name).mkdir(parents=True)
    (folder / "jobs-s1" / "input").write_text("can be brought again")
    return folder


def _diff(**changed: Any) -> Any:
    return _NodeProvider().diff("t/w1", MADE, MADE | changed)


def test_a_node_without_data_is_replaced(volumes: Path) -> None:
    assert _diff(memory_mib=8192).replaces == ["memory_mib"]


def test_a_node_with_data_is_kept_and_the_operator_told(volumes: Path) -> None:
    (volumes / "postgresql" / "PG_VERSION").write_text("15")
    with pytest.raises(
        UserError, match=r"another image, memory_mib of node w1 needs a new machine, .* lies postgresql"
    ):
        _diff(memory_mib=8192, image="j")
    assert not _diff().changes


def test_the_control_plane_s_state_is_data(volumes: Path) -> None:
    etcd = volumes.parents[1] / "etcd" / "member"
    etcd.mkdir(parents=True)
    with pytest.raises(UserError, match="the cluster's state"):
        _diff(cpus=1)

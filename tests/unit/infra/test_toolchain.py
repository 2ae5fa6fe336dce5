"""The toolchain's lock and how tools get into the cache."""

import hashlib
import tarfile
from pathlib import Path

import httpx
import pytest

from refsys.infra.cli import tools
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.toolchain import Source, download, ensure_tool, load_lock
from refsys.infra.toolchain.lock import MODULES, Download, Tool


def test_every_built_tool_has_its_sources_pinned_by_hash() -> None:
    for tool in load_lock().values():
        assert bool(tool.modules) != bool(tool.debian), tool.name
        if tool.modules:
            assert (MODULES / tool.name / "go.sum").stat().st_size > 1000
            assert tool.packages
            assert tool.seconds


def test_the_recipe_decides_the_digest_and_the_estimate_does_not() -> None:
    tool = load_lock()["etcd"]
    assert tool.model_copy(update={"seconds": 1}).digest == tool.digest
    assert tool.model_copy(update={"version": "0"}).digest != tool.digest


def test_an_unknown_tool_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="kubernetes"):
        ensure_tool("kubernets")


def test_download_without_a_pinned_address_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="--source build"):
        ensure_tool("etcd", Source.DOWNLOAD)
    assert not list((tmp_path / "tools" / "etcd").glob("3*"))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as tar:
        tar.add(program, "folder/program")
    return tmp_path / "a.tgz"


def _serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=content))
    monkeypatch.setattr(httpx, "stream", lambda method, url, **_: httpx.Client(transport=transport).stream(method, url))


def _tool(sha256: str) -> Tool:
    item = Download(url="https://vendor.test/a.tgz", sha256=sha256, unpack={"folder/program": "bin/program"})
    return Tool(name="x", version="1", modules={"m": "v1"}, download=[item])


def test_a_download_is_unpacked(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = archive.read_bytes()
    _serve(monkeypatch, content)
    target = tmp_path / "target"
    target.mkdir()
    download.fetch(_tool(hashlib.sha256(content).hexdigest()), target)
    assert (target / "bin/program").stat().st_mode & 0o111


def test_a_damaged_download_is_refused(tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _serve(monkeypatch, archive.read_bytes() + b"x")
    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(UserError, match="the lock says"):
        download.fetch(_tool("0" * 64), target)
    assert not (target / "bin").exists()


def test_only_what_the_environment_uses_is_built() -> None:
    every = {tool.name for tool in tools.built()}
    asking = Environment.parse("x", {"metrics_history": True})
    assert {"thanos", "grype"} & every == set()
    assert {tool.name for tool in tools.built(Environment(name="x"))} == every
    assert {tool.name for tool in tools.built(asking)} == every | {"thanos"}


def test_tools_are_named_to_build_them_before() -> None:
    assert [tool.name for tool in tools.named(["thanos", "grype"])] == ["thanos", "grype"]
    with pytest.raises(UserError, match="no tool is called 'tanos'"):
        tools.named(["tanos"])
    with pytest.raises(UserError, match="no tool is called 'containerd'"):
        tools.named(["containerd"])


@pytest.mark.parametrize("value", ["sometimes", 2])
def test_a_wrong_switch_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="metrics_history"):
        Environment.parse("x", {"metrics_history": value})

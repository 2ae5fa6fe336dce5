"""The own plugins stand in where the vendor's are not installed."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from refsys.infra import paths
from refsys.infra.cli import engine


@pytest.mark.parametrize("name", ["kubernetes", "openstack"])
def test_the_vendors_plugin_goes_first(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # the tests themselves run with the engine's
    monkeypatch.setattr(engine, "VENDOR_PLUGINS", tmp_path)
    own = str(engine.OWN_PLUGINS / name)
    assert own in engine.variables()["PATH"].split(":")
    (tmp_path / f"resource-{name}-v{version(f'pulumi-{name}')}").mkdir()
    assert own not in engine.variables()["PATH"].split(":")


def test_the_engine_fetches_plugins_only_of_clouds_that_need_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "CHECKOUT", tmp_path)
    (tmp_path / "Pulumi.here.yaml").write_text("config: {}\n")
    (tmp_path / "Pulumi.wrong.yaml").write_text("config: {refsys:cloud: moon}\n")
    assert engine.fetching("here") == {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true"}
    assert engine.fetching("wrong") == {"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "false"}


@pytest.mark.parametrize("name", ["kubernetes", "openstack"])
def test_each_plugin_starts_and_tells_its_port(name: str) -> None:
    program = engine.OWN_PLUGINS / name / f"pulumi-resource-{name}"
    with subprocess.Popen([str(program)], stdout=subprocess.PIPE, text=True) as plugin:
        assert plugin.stdout is not None
        assert 0 < int(plugin.stdout.readline()) < 65536
        plugin.terminate()

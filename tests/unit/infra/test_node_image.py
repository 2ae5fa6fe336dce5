"""The image of local nodes."""

from pathlib import Path

from refsys.infra.clouds.local.image import disable


def test_units_are_disabled_though_their_links_lead_out_of_the_image(tmp_path: Path) -> None:
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for name in ("docker-registry.service", "ssh.service"):
        (wants / name).symlink_to(f"/lib/systemd/system/of-no-machine/{name}")
    disable(tmp_path, ["docker-registry.service", "auditd.service"])
    assert [link.name for link in wants.iterdir()] == ["ssh.service"]


def test_units_are_disabled_that_are_scripts_of_runlevels(tmp_path: Path) -> None:
    runlevel = tmp_path / "etc/rc3.d"
    runlevel.mkdir(parents=True)
    for name in ("S01samhain", "S01ssh"):
        (runlevel / name).symlink_to(f"../init.d/{name[3:]}")
    disable(tmp_path, ["samhain.service"])
    assert sorted(link.name for link in runlevel.iterdir()) == ["K01samhain", "S01ssh"]

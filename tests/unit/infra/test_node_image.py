"""The image of local nodes."""

from pathlib import Path

from refsys.infra.clouds.local.image import disable


def test_units_are_disabled_though_their_links_lead_out_of_the_image(tmp_path: Path) -> None:
    wants = tmp_path / "multi-user.target.wants"
    wants.mkdir()
    for name in ("docker-registry.service", "ssh.service"):
        (wants / name).symlink_to(f"/lib/systemd/system/of-no-machine/{name}")
    disable(tmp_path, ["docker-registry.service", "auditd.service"])
    assert [link.name for link in wants.iterdir()] == ["ssh.service"]

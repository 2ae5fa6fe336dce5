"""Vulnerabilities: Grype itself over real bills of materials, with a small database made here."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.means.grype_database import GO, Vulnerability, make
from typer.testing import CliRunner

from refsys.infra.cli.app import app
from refsys.infra.errors import UserError
from refsys.infra.toolchain import ensure_tool, load_lock
from refsys.infra.toolchain.install import tools_folder
from refsys.platform.images import build, sbom
from refsys.security.scans import bills, database, grype, hosts, vulnerabilities, waivers

PACKAGES = """\
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
ID=debian
VERSION_ID="12"

installed\tlibssl3\t3.0.17-1~deb12u2\tamd64\topenssl (3.0.17-1~deb12u2)
installed\tlibgcc-s1\t12.2.0-14\tamd64\tgcc-12 (12.2.0-14)
installed\ttar\t1.34+dfsg-1.2\tamd64\ttar (1.34+dfsg-1.2)
config-files\tgone\t1\tall\tgone (1)
"""


def test_bill_of_a_node() -> None:
    bill = hosts.bill("cp1", PACKAGES)
    assert bill["metadata"]["component"]["type"] == "device"
    assert [entry["purl"] for entry in bill["components"]] == [
        "pkg:deb/debian/libgcc-s1@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12%4012.2.0-14",
        "pkg:deb/debian/libssl3@3.0.17-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl%403.0.17-1~deb12u2",
        "pkg:deb/debian/tar@1.34%2Bdfsg-1.2?arch=amd64&distro=debian-12",
    ]
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None


@pytest.mark.parametrize(
    ("source", "qualifier"),
    [
        ("", ""),
        ("tar", ""),
        ("tar (1)", ""),
        ("tar (0.9)", "&upstream=tar%400.9"),
        ("other", "&upstream=other%401"),
        ("other (2)", "&upstream=other%402"),
    ],
)
def test_source_of_a_debian_package(source: str, qualifier: str) -> None:
    url = f"pkg:deb/debian/tar@1?arch=all&distro=debian-12{qualifier}"
    assert sbom.debian_package("tar", "1", "all", source) == url


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, with the tools of the real one."""
    tools = tools_folder()
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("REFSYS_HOME", str(tmp_path / "home"))
    (tmp_path / "cache").mkdir()
    tools.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache" / "tools").symlink_to(tools)
    return tmp_path / "cache"


def test_without_a_database_the_fix_is_named(cache: Path) -> None:
    with pytest.raises(UserError, match="no vulnerability database") as error:
        database.current()
    assert "scan database import" in error.value.fix


def test_only_files_and_https_are_imported(cache: Path) -> None:
    with pytest.raises(UserError, match="only https"):
        database.import_from("http://mirror.test/db.tar.zst")
    with pytest.raises(UserError, match="no file"):
        database.import_from(str(cache / "absent.tar.zst"))


def test_the_scanner_is_not_built_for_environments() -> None:
    assert load_lock()["grype"].optional
    assert not load_lock()["kubernetes"].optional


@pytest.fixture
def scanner() -> None:
    ensure_tool("grype")


@pytest.mark.long
@pytest.mark.usefixtures("scanner")
def test_age_of_the_database(cache: Path, tmp_path: Path) -> None:
    database.import_from(str(make(tmp_path, [], datetime.now(UTC) - timedelta(days=8))))
    assert 7.9 < database.current().days < 8.1
    assert database.fresh(9)
    with pytest.raises(UserError, match="too old"):
        database.fresh(7)
    (file,) = grype.database_folder().glob("*/vulnerability.db")
    file.write_bytes(file.read_bytes() + b"x")
    with pytest.raises(UserError, match="damaged"):
        database.current()


@pytest.mark.long
@pytest.mark.usefixtures("scanner")
def test_what_an_image_has_is_found_and_can_be_waived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bill = build("openldap").sbom_path  # before the cache is another one
    tools = tools_folder()
    monkeypatch.setenv("REFSYS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tools").symlink_to(tools)
    (tmp_path / "tools.json").write_text(json.dumps(bills.of_tools()))
    database.import_from(
        str(
            make(
                tmp_path,
                [
                    Vulnerability("CVE-2099-0001", "openldap", "high", "99:1"),
                    Vulnerability("CVE-2099-0002", "tar", "low", "99:1"),
                    Vulnerability("CVE-2099-0003", "tar", "critical", "0.1"),
                    Vulnerability("CVE-2099-0004", GO, "critical", "99.0.0"),
                ],
            )
        )
    )
    waiver = waivers.Waiver(
        id="CVE-2099-0001", package="slapd", reason="the affected overlay is not loaded", until=datetime.now(UTC).date()
    )
    monkeypatch.setattr(waivers, "load", lambda: [waiver])
    result = vulnerabilities.examine({"openldap": bill, "tools": tmp_path / "tools.json"}, 1)
    found = {(finding.id, finding.what): finding for finding in result.findings}
    # By their source package.
    assert ("CVE-2099-0001", "libldap-2.5-0") in found
    assert found["CVE-2099-0004", "stdlib"].where == ("tools",)
    assert [finding.what for finding, _ in result.accepted] == ["slapd"]
    assert {(finding.id, finding.what) for finding in result.below} == {("CVE-2099-0002", "tar")}
    assert not [name for name in found if name[0] == "CVE-2099-0003"]


@pytest.mark.long
@pytest.mark.usefixtures("scanner")
def test_import_on_the_command_line(cache: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["scan", "database", "import", str(make(tmp_path, []))])
    assert done.exit_code == 0, done.output
    assert "0.0 days old; the policy allows 7 days" in done.output

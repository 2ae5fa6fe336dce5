import json
import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from refsys.platform.images import build, debian, golang, keystore, sbom
from refsys.platform.images.store import Store


def test_image_is_reproducible_and_cached(tmp_path: Path) -> None:
    lines: list[str] = []
    stores = [Store(tmp_path / "first"), Store(tmp_path / "second")]
    first, second = (build("pause", lines.append, store) for store in stores)
    assert first.digest == second.digest
    assert first.sbom_path.read_bytes() == second.sbom_path.read_bytes()
    lines.clear()
    assert build("pause", lines.append, stores[0]) == first
    assert lines == []


def test_manifest_and_configuration_follow_the_image_specification(tmp_path: Path) -> None:
    store = Store(tmp_path)
    image = build("pause", store=store)
    manifest = json.loads(image.manifest_path.read_text())
    assert manifest["schemaVersion"] == 2
    for part in [manifest["config"], *manifest["layers"]]:
        assert store.blob(part["digest"]).stat().st_size == part["size"]
    config = json.loads(store.blob(manifest["config"]["digest"]).read_text())
    assert config["config"]["User"] == "65532:65532"
    assert config["config"]["Entrypoint"] == ["/pause"]
    assert len(config["rootfs"]["diff_ids"]) == len(manifest["layers"])


def test_lost_blob_is_built_again(tmp_path: Path) -> None:
    store = Store(tmp_path)
    image = build("pause", store=store)
    layer = json.loads(image.manifest_path.read_text())["layers"][0]["digest"]
    store.blob(layer).unlink()
    assert build("pause", store=store) == image
    assert store.blob(layer).is_file()


def test_bill_of_materials_is_sorted_and_without_doubles() -> None:
    entries = [
        sbom.component("library", name, "1+b2", f"pkg:deb/debian/{name}@{sbom.quote('1+b2')}", ["MIT"])
        for name in ("z", "a", "z")
    ]
    bill = sbom.document("image", "1", ["sha256:1"], entries)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert [c["name"] for c in bill["components"]] == ["a", "z"]
    assert bill == sbom.document("image", "1", ["sha256:1"], entries[::-1])
    validation = pytest.importorskip("cyclonedx.validation.json")
    schema = pytest.importorskip("cyclonedx.schema")
    validator = validation.JsonStrictValidator(schema.SchemaVersion.V1_6)
    assert validator.validate_str(json.dumps(bill)) is None


def test_package_database_gives_components(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    (tmp_path / "var/lib/dpkg/status").write_text(
        "Package: tar\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.34+dfsg-1\n"
        "Description: x\n continued: y\n\nPackage: gone\nStatus: deinstall ok config-files\n"
        "Architecture: all\nVersion: 1\n"
    )
    folder = tmp_path / "usr/share/doc/tar"
    folder.mkdir(parents=True)
    (folder / "copyright").write_text("Format: https://x\n\nFiles: *\nLicense: GPL-3+\n text\n\nLicense: GPL-3+\n")
    (component,) = debian.installed(tmp_path)
    assert component["purl"] == "pkg:deb/debian/tar@1.34%2Bdfsg-1?arch=amd64&distro=debian-12"
    assert component["licenses"] == [{"license": {"name": "GPL-3+"}}]


def test_build_information_is_what_go_prints() -> None:
    program = Path(os.path.realpath(str(shutil.which("go"))))
    printed = subprocess.run(["go", "version", "-m", program], capture_output=True, text=True, check=True).stdout
    components = golang.modules(program)
    assert components[0]["name"] == "stdlib"
    assert components[0]["version"] in printed
    dependencies = [line.split()[1] for line in printed.splitlines() if line.strip().startswith("dep")]
    assert [c["name"] for c in components[1:]] == dependencies


def test_keystore_keeps_certificates_and_loses_dates() -> None:
    def store(names: list[bytes], date: int) -> bytes:
        entries = b"".join(
            struct.pack(">IH", 2, len(n)) + n + struct.pack(">QH", date, 5) + b"X.509" + struct.pack(">I", 1) + n[:1]
            for n in names
        )
        return struct.pack(">III", keystore.MAGIC, 2, len(names)) + entries + b"\0" * 20

    one, two = (keystore.with_dates(store(n, d), 5) for n, d in (([b"b", b"a"], 7), ([b"a", b"b"], 9)))
    assert one == two
    with pytest.raises(ValueError, match="JKS"):
        keystore.with_dates(b"\0" * 40, 5)

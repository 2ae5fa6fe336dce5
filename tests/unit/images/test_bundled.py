"""What the jars of a distribution say of themselves, and what the cache has."""

from pathlib import Path
from zipfile import ZipFile

import pytest

from refsys.platform.images import build, cached
from refsys.platform.images.maven import _bundled
from refsys.platform.images.store import Store

POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><licenses>
<license><name>Apache License,
  Version 2.0</name></license></licenses></project>"""
MANIFEST = "Manifest-Version: 1.0\r\nBundle-License: https://one.test/a, https://two.te\r\n st/b\r\n"
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"


@pytest.mark.parametrize(
    ("files", "licences"),
    [
        ({"META-INF/maven/g/a/pom.xml": POM, "META-INF/MANIFEST.MF": MANIFEST}, ["Apache License, Version 2.0"]),
        (
            {"META-INF/maven/g/a/pom.xml": "<project/>", "META-INF/MANIFEST.MF": MANIFEST},
            ["https://one.test/a", "https://two.test/b"],
        ),
        ({"META-INF/MANIFEST.MF": "Bundle-License: Apache License, Version 2.0\n"}, ["Apache License, Version 2.0"]),
        ({"META-INF/LICENSE.txt": MIT, "META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n"}, ["MIT"]),
        ({}, []),
    ],
)
def test_licences_of_jars(tmp_path: Path, files: dict[str, str], licences: list[str]) -> None:
    with ZipFile(tmp_path / "a.jar", "w") as jar:
        jar.writestr("META-INF/maven/g/a/pom.properties", "groupId=g\nartifactId=a\nversion=1\n")
        for name, text in files.items():
            jar.writestr(name, text)
    (component,) = _bundled(tmp_path)
    assert component["purl"] == "pkg:maven/g/a@1?type=jar"
    assert [entry["license"]["name"] for entry in component.get("licenses", [])] == licences


def test_the_cache_has_what_was_built(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert cached("pause", store) is None
    built = build("pause", store=store)
    assert cached("pause", store) == built

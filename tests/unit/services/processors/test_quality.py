"""The format check finds what is wrong with a product."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.means.downlink import generate

from refsys.services.processors import quality
from refsys.services.processors.level0.job import Options, run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    generate(folder / "in", "S1A", 1_400_000)
    outcome = run(Options((folder / "in",), folder / "out"))
    return folder / "out" / next(name for name in outcome.products if "_IW_" in name)


def _first(product: Path) -> Path:
    return min(product.glob("measurement/*.dat"))


def _flip(product: Path) -> None:
    content = bytearray(_first(product).read_bytes())
    content[10] ^= 1
    _first(product).write_bytes(content)


def _append(product: Path) -> None:
    with _first(product).open("ab") as file:
        file.write(b"x")


def _break(product: Path) -> None:
    with (product / "manifest.safe").open("a") as file:
        file.write("<more>")


def _unknown(product: Path) -> None:
    path = product / "manifest.safe"
    path.write_text(path.read_text().replace('"MD5"', '"CRC-64"'))


def _later(product: Path) -> None:
    path = product / "manifest.safe"
    path.write_text(path.read_text().replace("startTime>2024-05-06", "startTime>2024-05-05"))


def _outside(product: Path) -> None:
    path = product / "manifest.safe"
    path.write_text(path.read_text().replace('href="./', 'href="../'))


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_flip, "MD5"),
        (_append, "octets"),
        (lambda product: _first(product).unlink(), "is missing"),
        (lambda product: (product / "more.dat").write_text("x"), "is not in manifest"),
        (lambda product: (product / "more.xml").write_text("<a><b></a>"), "malformed"),
        (lambda product: (product / "more.dat").symlink_to("/etc/hostname"), "no ordinary file"),
        (lambda product: (product / "manifest.safe").unlink(), "no manifest"),
        (_break, "manifest.safe"),
        (_unknown, "unknown kind"),
        (_later, "its name says"),
        (_outside, "no place within the product"),
    ],
)
def test_what_is_wrong(made: Path, tmp_path: Path, damage: Callable[[Path], object], problem: str) -> None:
    product = tmp_path / made.name
    shutil.copytree(made, product)
    assert quality.check(product) == []
    damage(product)
    problems = quality.check(product)
    assert any(problem in each for each in problems), problems
    assert quality.main([str(product)]) == 202


def test_wrong_names(made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    product = tmp_path / "S1A_SOMETHING.SAFE"
    shutil.copytree(made, product)
    assert "none of the known conventions" in quality.check(product)[0]
    assert quality.check(tmp_path / "nothing.SAFE")[-1] == "it is no folder"
    assert quality.main([str(made)]) == 0
    assert '"good": true' in capsys.readouterr().out

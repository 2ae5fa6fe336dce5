"""`./refsys doctor`: the archive holds what it should, and none of the secrets that were planted."""

import base64
import json
import stat
import tarfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.means.operators_environment import PASSWORD, Paper, lay_out
from typer.testing import CliRunner

from refsys.infra.cli import doctor
from refsys.infra.cli.app import app
from refsys.infra.doctor import collect, known
from refsys.infra.doctor.archive import Archive
from refsys.infra.doctor.masks import MASK, Masks
from refsys.infra.errors import UserError
from refsys.infra.plan.values import IS_SECRET, SIGNATURE

SECRET = {SIGNATURE: IS_SECRET}
DATABASE = "pW-of_the+database/9"
KEY_BODY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgx7Zq1vY0fT2nPq8w"
KEY = f"-----BEGIN PRIVATE KEY-----\n{KEY_BODY}\n-----END PRIVATE KEY-----\n"
WEAK = "sesame"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJkZW1vIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
STATE = {
    "resources": [
        {
            "type": "pulumi:pulumi:Stack",
            "urn": "urn:pulumi:paper::refsys::pulumi:pulumi:Stack::refsys-paper",
            "outputs": {
                "prip_url": "https://prip.paper.test",
                "first_passwords": {**SECRET, "plaintext": json.dumps({"anna": "first-of-anna-77"})},
            },
        },
        {
            "type": "kubernetes:core/v1:Secret",
            "urn": "urn:pulumi:paper::refsys::kubernetes:core/v1:Secret::database",
            "created": "2026-11-22T08:00:00Z",
            "inputs": {
                "stringData": {
                    "password": {**SECRET, "plaintext": json.dumps(DATABASE)},
                    "tls.key": {**SECRET, "plaintext": json.dumps(KEY)},
                    "stations.json": {
                        **SECRET,
                        "plaintext": json.dumps(json.dumps({"ADGS": {"password": WEAK, "name": "ADGS_1"}})),
                    },
                    "user": {**SECRET, "plaintext": json.dumps("refsys")},
                },
                "metadata": {"name": "database", "labels": {"app": "refsys"}},
            },
        },
    ]
}
SECRETS = (DATABASE, WEAK, TOKEN, PASSWORD, "first-of-anna-77")
FORMS = (
    lambda text: text,
    lambda text: json.dumps(text)[1:-1],
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: quote(text, safe=""),
)


def members(file: Path) -> dict[str, str]:
    """Names and texts of an archive."""
    with tarfile.open(file) as archive:
        found = {}
        for member in archive.getmembers():
            assert stat.S_IMODE(member.mode) == 0o600
            content = archive.extractfile(member)
            assert content
            found[member.name.partition("/")[2]] = content.read().decode()
    return found


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paper:
    found = lay_out(tmp_path, monkeypatch)
    monkeypatch.setattr(known, "state", lambda _: STATE)
    monkeypatch.setattr(collect, "ON_MACHINE", {"disk": "df -h /"})
    logs = found.home / "logs"
    logs.mkdir()
    planted = "\n".join(
        [
            "task ok",
            f"connecting to postgresql://refsys:{quote(DATABASE, safe='')}@postgresql/refsys",
            f"Authorization: Bearer {TOKEN}",
            KEY,
            base64.b64encode(KEY.encode()).decode(),
            KEY_BODY,
            *(form(secret) for secret in SECRETS for form in FORMS),
        ]
    )
    (logs / "pulumi.log").write_text(planted)
    return found


def run(*arguments: str) -> tuple[str, Path]:
    done = CliRunner().invoke(app, ["doctor", *arguments])
    if done.exception:
        raise done.exception
    return done.output, Path(done.output.splitlines()[-1].partition(" (")[0])


def test_evidence_of_an_environment_that_is_down_without_its_secrets(paper: Paper, tmp_path: Path) -> None:
    paper.answers.clear()
    output, file = run("paper")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "✗ cluster not all: https://api.paper.test:6443 doesn't answer" in output
    assert "environment paper is not well" in output
    found = members(file)
    assert {"summary.txt", "summary.json", "not-collected.txt", "machine/disk.txt", "logs/pulumi.log"} <= set(found)
    assert {"versions/tools.json", "config/endpoints.json", "stack/outputs.json", "stack/resources.json"} <= set(found)
    assert "nothing from the API server" in found["summary.txt"]
    assert json.loads(found["stack/outputs.json"]) == {"prip_url": "https://prip.paper.test"}
    assert "Secret::database" in found["stack/resources.json"]
    assert found["logs/pulumi.log"].startswith("task ok\nconnecting to postgresql://")
    everything = "\n".join(found.values())
    for secret in SECRETS:
        for form in FORMS:
            assert form(secret).rstrip("=") not in everything, secret
    assert KEY_BODY not in everything
    assert base64.b64encode(KEY.encode()).decode()[:60] not in everything
    assert not list(file.parent.glob(".*"))


def test_without_the_state_files_and_patterns_tell_what_is_secret(
    paper: Paper, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: str) -> Any:
        raise OSError("no engine")

    monkeypatch.setattr(known, "state", broken)
    found = members(run("paper")[1])
    assert "no engine" in found["not-collected.txt"]
    everything = "\n".join(found.values())
    for secret in (PASSWORD, TOKEN, KEY):
        assert secret not in everything


def test_no_such_environment(paper: Paper) -> None:
    with pytest.raises(UserError, match="there is no environment nowhere"):
        run("nowhere")


def test_an_archive_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "doctor" / "a.tar.gz"
    with pytest.raises(KeyboardInterrupt), Archive(file, Masks([])) as archive:
        archive.add("a.txt", "a")
        raise KeyboardInterrupt
    assert not list(file.parent.iterdir())


def test_of_too_much_text_the_end_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refsys.infra.doctor.archive.FILE_BYTES", 10)
    file = tmp_path / "a.tar.gz"
    with Archive(file, Masks([])) as archive:
        archive.add("a.txt", "x" * 30 + "the end")
    assert members(file)["a.txt"].endswith("left out)\nxxxthe end")


def test_names_of_secret_documents_are_no_secrets() -> None:
    found = known.of_state(STATE)
    assert {DATABASE, WEAK, "first-of-anna-77"} <= found
    assert not found & {"refsys", "ADGS_1", "https://prip.paper.test"}


@pytest.mark.parametrize(
    "line",
    [
        "password: hunter2-and-more",
        '{"client_secret": "abc-def-ghi"}',
        "REFSYS_API_KEY=abcdefgh",
        "--token abcdef.0123456789abcdef",
        "client-key-data: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQo=",
        "https://user:hunter2@example.org/x",
        "Authorization: Basic dXNlcjpwYXNz",
        "root:$6$rounds=65536$abcdef$0123456789abcdefghij:19000",
        "hvs.CAESIJ0123456789abcdefghij",
        "userPassword: {SSHA512}AAAAAAAAAAAAAAAAAAAAAAAAAA",
        "secure: v1:AAAAAAAAAAAAAAAA:BBBBBBBBBBBBBBBBBBBB",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_x7Kq2Zr9Lm4Vt8Wb1Nc6Yd3Fg5Hj0Ps2QaRe",
    ],
)
def test_what_looks_like_a_secret_is_masked(line: str) -> None:
    masks = Masks([])
    assert MASK in masks(line)
    assert masks.count >= 1


@pytest.mark.parametrize(
    "line",
    [
        "Image: registry.local.refsys.test:5000/refsys/kafka@sha256:a9e8f8b72a4be01daaea7d7747f92e9c59bd0d7c9f",
        "urn:pulumi:local::refsys::kubernetes:core/v1:Secret::openbao-tls",
        "token_url: /realms/refsys/protocol/openid-connect/token",
        "tokens: 3",
        'password: ""',
        "secret: true",
        "S1A_OPER_AUX_RESORB_OPOD_20240101T000001_V20240101T000000_20240101T010000.EOF",
    ],
)
def test_what_is_none_is_left(line: str) -> None:
    assert Masks([])(line) == line


def test_the_count_is_told(paper: Paper) -> None:
    output, _ = run("paper")
    assert "secrets masked)" in output.splitlines()[-1]
    assert doctor.doctor.__doc__

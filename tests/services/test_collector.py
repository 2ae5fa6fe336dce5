"""What a node's real rsyslog makes of lines: long ones whole, and no secret in any."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.means.processes import running
from tests.means.rsyslog import PROGRAM, log_in, rendered
from tests.services.conftest import wait_until

from refsys.services.common.messages import utc_now
from refsys.services.logs.records import document_of

BEFORE = "2026-11-22T05:00:00.123456789Z stdout "
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm5hIn0.c2lnbmF0dXJl"
SECRETS = {
    f"Authorization: Bearer {TOKEN} and another Bearer abcdefghijklmnop01": [TOKEN, "abcdefghijklmnop01"],
    f"refused {TOKEN} of anna": [TOKEN],
    "login of anna password=correct-horse token: battery-staple": ["correct-horse", "battery-staple"],
    '{"user": "anna", "password": "correct-horse", "client_secret":"battery-staple"}': [
        "correct-horse",
        "battery-staple",
    ],
    "copied to https://anna:correct-horse@mirror.example/file": ["correct-horse"],
    "-----BEGIN PRIVATE KEY-----MIIEvQIBADANBgkqhkiG-----END PRIVATE KEY-----": ["MIIEvQIBADANBgkqhkiG"],
}
HARMLESS = (
    "Failed password for root from 192.0.2.7 port 22 ssh2",
    '{"verb": "get", "resource": "secrets", "namespace": "iam"}',
    'type="REFRESH_TOKEN", refresh_token_type="Refresh", token_id="6f1d2c3b"',
    "GET https://prip.example/odata/v1/Products?$top=1",
)
SEND = re.compile(r'  action\(\n    type="omkafka".*?\n  \)\n', re.DOTALL)


def collected(folder: Path, lines: list[str]) -> list[dict[str, Any]]:
    """The records of a container's lines, as they would go to Kafka."""
    text, sent = rendered("127.0.0.1:1", folder), folder / "sent"
    found, count = SEND.subn(f'  action(type="omfile" file="{sent}" template="record")\n', text)
    assert count == 1
    (folder / "spool").mkdir()
    configuration, pid = folder / "rsyslog.conf", folder / "pid"
    configuration.write_text(found.replace('module(load="omkafka")\n', ""))
    log = log_in(folder / "pods", "processing", "catalogue")
    command: list[str | Path] = [PROGRAM, "-n", "-f", configuration, "-i", pid]
    with running(command, folder / "rsyslog.log", ready=pid.exists, seconds=30):
        log.write_text("".join(f"{BEFORE}{line}\n" for line in [*lines, "F the last one"]))
        wait_until(lambda: sent.exists() and "the last one" in sent.read_text(), 15)
    return [json.loads(line) for line in sent.read_text().splitlines()]


def test_what_containerd_cuts_is_one_record_again(tmp_path: Path) -> None:
    line = json.dumps({"header": {"type": "LOG"}, "message": {"content": "x" * 40_000}, "custom": {}})
    cut = [line[start : start + 16_384] for start in range(0, len(line), 16_384)]
    records = collected(tmp_path, [*(f"P {piece}" for piece in cut[:-1]), f"F {cut[-1]}", "F a short one"])
    assert len(records) == 3
    document, _ = document_of(json.dumps(records[0]).encode(), utc_now())
    assert document["message"] == "x" * 40_000
    assert "pieces" not in document
    assert records[1]["message"] == "a short one"


def test_secrets_stay_on_their_node(tmp_path: Path) -> None:
    records = collected(tmp_path, [f"F {text}" for text in (*SECRETS, *HARMLESS)])
    messages = [record["message"] for record in records]
    for message, (text, hidden) in zip(messages, SECRETS.items(), strict=False):
        expected = text
        for secret in hidden:
            expected = expected.replace(secret, "***")
        assert message == expected
    assert tuple(messages[len(SECRETS) : -1]) == HARMLESS


@pytest.mark.parametrize("mark", ["pieces", "other"])
def test_only_pieces_are_put_together(mark: str) -> None:
    record = {"message": rf"a\n{BEFORE}F b", mark: "yes"}
    document, _ = document_of(json.dumps(record).encode(), utc_now())
    assert document["message"] == ("ab" if mark == "pieces" else record["message"])

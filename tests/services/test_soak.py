"""A hundred kills at random moments, of every process and every server: each file and product arrives once, whole.

`REFSYS_SOAK_KILLS` changes the number; the seed of the kills is printed, and `REFSYS_SOAK_SEED` repeats it.
"""

import hashlib
import os
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_fixed
from tests.means.cadip import Cadip
from tests.means.chain import Chain, chain
from tests.means.generator import generate
from tests.means.processes import Server
from tests.means.station import Station
from tests.services.conftest import wait_until

KILLS = int(os.environ.get("REFSYS_SOAK_KILLS", "100"))
SEED = int(os.environ.get("REFSYS_SOAK_SEED", str(time.time_ns() % 10**6)))
PROCESSES = ("ingestion-trigger", "ingestion-worker", "catalogue", "publisher")
SETTLE_SECONDS = 600

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]


def entry(means: Station, kind: str, name: str, folder: Path) -> dict[str, Any]:
    password = folder / f"{name}.password"
    password.write_text(means.password)
    return {
        "name": name,
        "type": kind,
        "url": means.url,
        "token_url": means.token_url,
        "client_id": means.client_id,
        "username": means.username,
        "password_file": str(password),
        "poll_seconds": 1,
    }


@retry(retry=retry_if_exception_type(RuntimeError), stop=stop_after_attempt(10), wait=wait_fixed(1), reraise=True)
def start_again(server: Server) -> None:
    """A server whose children still end, or whose port is still held, is started once more."""
    server.start()


def count(running: Chain, query: str) -> int:
    with running.engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())


def bytes_of(running: Chain, bucket: str, key: str) -> bytes:
    return (running.s3.folder / bucket / key).read_bytes()


def test_a_hundred_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    random = Random(SEED)  # noqa: S311  # when and whom to kill
    print(f"seed {SEED}, {KILLS} kills")  # noqa: T201  # to repeat it
    (tmp_path / "station").mkdir()
    with Station(tmp_path / "station") as auxip, Cadip() as cadip:
        stations = [entry(auxip, "auxip", "AUXIP", tmp_path), entry(cadip, "cadip", "CADIP", tmp_path)]
        with chain(tmp_path, stations) as running:
            files, killed = feed_and_kill(running, auxip, cadip, random)
            wait_until(lambda: count(running, PUBLISHED) == len(files), SETTLE_SECONDS, "every product published")
            blocks = cadip.blocks()
            dsibs = sum(session.channels for session in cadip.sessions.values())
            wait_until(lambda: count(running, SESSION_FILES) == len(blocks) + dsibs, SETTLE_SECONDS, "every block")
            print(f"{len(files)} products, {len(blocks)} session files, kills: {killed}")  # noqa: T201  # what was done
            every_product_once(running, files)
            for block in blocks:
                stored = bytes_of(running, "rs-session-files", f"{block.session_id}/ch_{block.channel}/{block.name}")
                assert stored == b"".join(block.content()), block.name
            assert count(running, "SELECT count(*) FROM ingestion.quarantine") == 0
            assert {name: server.stop() for name, server in running.processes.items()} == dict.fromkeys(PROCESSES, 0)


PUBLISHED = "SELECT count(*) FROM distribution.product WHERE bucket <> 'rs-session-files'"
SESSION_FILES = "SELECT count(*) FROM ingestion.stored_file WHERE family = 'EDRS_SESSION'"


def feed_and_kill(
    running: Chain, auxip: Station, cadip: Cadip, random: Random
) -> tuple[dict[str, Path], dict[str, int]]:
    """Kill by turns at random moments while files and sessions come in; return the files by name, and the kills."""
    running.start(*PROCESSES)
    servers = {"postgresql": running.postgresql.server, "kafka": running.kafka.server, "s3": running.s3.server}
    killed: dict[str, int] = {}
    files: dict[str, Path] = {}
    for number in range(KILLS):
        if number % 5 == 0:
            made = generate(running.folder / "made", 5, seed=number + 1, size=random.randrange(10_000, 3_000_000))
            files |= {path.name: path.rename(auxip.folder / path.name) for path in made}  # whole when it is listed
        if number % 20 == 0:
            cadip.add_session(channels=2, blocks=3, size=5_000_000)
        time.sleep(random.uniform(0.2, 2.5))
        # A server's kill costs more than a process's: one in five.
        name = random.choice(list(servers) if number % 5 == 4 else list(running.processes))
        victim = servers.get(name) or running.processes[name]
        assert victim is not None
        victim.kill()
        time.sleep(random.uniform(0, 1.5))
        if name in servers:
            start_again(victim)
        else:
            victim.launch()
        killed[name] = killed.get(name, 0) + 1
    return files, killed


def every_product_once(running: Chain, files: dict[str, Path]) -> None:
    with running.engine.connect() as connection:
        columns = "name, bucket, object_key, content_length"
        query = f"SELECT {columns} FROM distribution.product WHERE bucket <> 'rs-session-files'"  # noqa: S608
        rows = connection.execute(text(query)).all()
    assert sorted(row.name for row in rows) == sorted(files)
    for row in rows:
        stored = bytes_of(running, row.bucket, row.object_key)
        assert len(stored) == row.content_length
        assert hashlib.sha256(stored).digest() == hashlib.sha256(files[row.name].read_bytes()).digest(), row.name

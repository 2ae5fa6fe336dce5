"""A small vulnerability database in Grype's own format (v6), for Debian packages."""

import json
import sqlite3
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

# The tables that hold data; Grype adds the others and all indexes when it imports.
TABLES = """
CREATE TABLE blobs (id integer, value text NOT NULL, PRIMARY KEY (id));
CREATE TABLE db_metadata (build_timestamp datetime NOT NULL, model integer NOT NULL, revision integer NOT NULL,
  addition integer NOT NULL);
CREATE TABLE providers (id text, version text, processor text, date_captured datetime, input_digest text,
  PRIMARY KEY (id));
CREATE TABLE vulnerability_handles (id integer, name text NOT NULL, status text NOT NULL, published_date datetime,
  modified_date datetime, withdrawn_date datetime, provider_id text NOT NULL, blob_id integer, PRIMARY KEY (id));
CREATE TABLE operating_systems (id integer, name text, release_id text, major_version text, minor_version text,
  label_version text, codename text, channel text, eol_date datetime, eoas_date datetime, PRIMARY KEY (id));
CREATE TABLE packages (id integer, ecosystem text, name text, PRIMARY KEY (id), UNIQUE (ecosystem, name));
CREATE TABLE affected_package_handles (id integer, vulnerability_id integer NOT NULL, operating_system_id integer,
  package_id integer, blob_id integer, PRIMARY KEY (id));
CREATE TABLE cpes (id integer, part text NOT NULL, vendor text, product text NOT NULL, edition text, language text,
  software_edition text, target_hardware text, target_software text, other text, PRIMARY KEY (id));
CREATE TABLE affected_cpe_handles (id integer, vulnerability_id integer NOT NULL, cpe_id integer, blob_id integer,
  PRIMARY KEY (id));
"""
GO = "go"


@dataclass(frozen=True)
class Vulnerability:
    """One vulnerability of a Debian 12 source package, or of Go itself, mended in a version."""

    id: str
    source: str
    severity: str
    mended: str


def make(folder: Path, vulnerabilities: Iterable[Vulnerability], built: datetime | None = None) -> Path:
    """Write the database as an archive, as a mirror has it."""
    file = folder / "vulnerability.db"
    file.unlink(missing_ok=True)
    moment = (built or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M:%S+00:00")
    with sqlite3.connect(file) as database:
        database.executescript(TABLES)
        database.execute("INSERT INTO db_metadata VALUES (?, 6, 1, 4)", [moment])
        database.execute("INSERT INTO providers VALUES ('debian', '1', 'tests', ?, 'sha256:0')", [moment])
        database.execute("INSERT INTO providers VALUES ('nvd', '1', 'tests', ?, 'sha256:0')", [moment])
        database.execute("INSERT INTO cpes VALUES (1, 'a', 'golang', 'go', '', '', '', '', '', '')")
        database.execute(
            "INSERT INTO operating_systems VALUES (1, 'debian', 'debian', '12', '', '', 'bookworm', '', NULL, NULL)"
        )
        for number, one in enumerate(vulnerabilities, 1):
            _add(database, number, one)
    database.close()
    archive = folder / "vulnerability-db.tar.zst"
    subprocess.run(["tar", "--zstd", "-C", folder, "-cf", archive, file.name], check=True)
    return archive


def _add(database: sqlite3.Connection, number: int, one: Vulnerability) -> None:
    about = {"id": one.id, "severities": [{"scheme": "CHMLN", "value": one.severity, "rank": 1}]}
    affected = {
        "cves": [one.id],
        "ranges": [
            {
                "version": {"type": "unknown" if one.source == GO else "dpkg", "constraint": f"< {one.mended}"},
                "fix": {"version": one.mended, "state": "fixed"},
            }
        ],
    }
    database.execute("INSERT INTO blobs VALUES (?, ?)", [2 * number, json.dumps(about)])
    database.execute("INSERT INTO blobs VALUES (?, ?)", [2 * number + 1, json.dumps(affected)])
    provider = "nvd" if one.source == GO else "debian"
    database.execute(
        "INSERT INTO vulnerability_handles VALUES (?, ?, 'active', NULL, NULL, NULL, ?, ?)",
        [number, one.id, provider, 2 * number],
    )
    if one.source == GO:
        database.execute("INSERT INTO affected_cpe_handles VALUES (?, ?, 1, ?)", [number, number, 2 * number + 1])
        return
    database.execute("INSERT OR IGNORE INTO packages (ecosystem, name) VALUES ('deb', ?)", [one.source])
    ((package,),) = database.execute("SELECT id FROM packages WHERE name = ?", [one.source])
    database.execute(
        "INSERT INTO affected_package_handles VALUES (?, ?, 1, ?, ?)", [number, number, package, 2 * number + 1]
    )

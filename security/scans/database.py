"""The vulnerability database: an artefact that an operator brings in from a mirror, with a limit of age."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from refsys.infra.errors import UserError
from refsys.infra.shell import CommandError
from refsys.security.scans import grype

FIX = "./refsys scan database import FILE|URL with Grype's database (v6), of your mirror of https://grype.anchore.io"


@dataclass(frozen=True)
class Database:
    """What is known of the imported database."""

    built: datetime
    schema: str

    @property
    def days(self) -> float:
        """Its age."""
        return (datetime.now(UTC) - self.built).total_seconds() / 86400

    def __str__(self) -> str:
        """As reports show it."""
        return f"schema {self.schema}, built {self.built:%Y-%m-%d %H:%M} UTC, {self.days:.1f} days old"


def current() -> Database:
    """The imported database.

    Raises:
        UserError: there is none, or it was damaged.
    """
    grype.database_folder().mkdir(parents=True, exist_ok=True)
    if not any(grype.database_folder().glob("*/vulnerability.db")):
        raise UserError("there is no vulnerability database", fix=FIX)
    # 1: the answer says what is wrong.
    answer = grype.call("db", "status", "--output=json", ok=(0, 1))
    status = json.loads(answer) if answer.strip() else {}
    if not status.get("valid"):
        reason = status.get("error") or "it can't be read"
        raise UserError(f"the vulnerability database is damaged: {reason}", fix=FIX)
    return Database(datetime.fromisoformat(status["built"]), status["schemaVersion"])


def fresh(days: int) -> Database:
    """The imported database, not older than that many days.

    Raises:
        UserError: there is none, or it is too old.
    """
    database = current()
    if database.days > days:
        raise UserError(f"the vulnerability database is too old: {database}; the policy allows {days} days", fix=FIX)
    return database


def import_from(reference: str) -> Database:
    """Take a database, an archive as the vendor publishes it, in place of the one before.

    Raises:
        UserError: there is no such file, the address is not https, or it holds no database of Grype.
    """
    if "://" in reference:
        if not reference.startswith("https://"):
            raise UserError(f"{reference} is not fetched: only https is", fix="serve the mirror by https")
        source = reference
    else:
        source = str(Path(reference).resolve())
        if not Path(source).is_file():
            raise UserError(f"there is no file {reference}", fix="name a file or an https address")
    grype.database_folder().mkdir(parents=True, exist_ok=True)
    try:
        grype.call("db", "import", source)
    except CommandError as error:
        raise UserError(f"{reference} can't be imported: {error}", fix=FIX) from None
    return current()

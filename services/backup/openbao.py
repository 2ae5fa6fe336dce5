"""The `openbao-backup` process: a copy of all secrets, encrypted as on their volume, goes to the object store."""

import hashlib
import io
import tarfile
from datetime import timedelta

from refsys.services.common import logs
from refsys.services.common.families import BACKUPS_BUCKET
from refsys.services.common.messages import utc_now
from refsys.services.common.secrets import SecretsSettings, log_in, open_client
from refsys.services.common.settings import S3Settings, load
from refsys.services.common.store import ObjectStore

FOLDER = "openbao/"
KEPT = timedelta(days=14)
SUMS = "SHA256SUMS"


class DamagedError(Exception):
    """The copy is not whole."""


def main() -> None:
    """Make one copy, then remove those that are old."""
    logs.configure("openbao-backup")
    log = logs.get_logger()
    store = ObjectStore(load(S3Settings))
    settings = load(SecretsSettings)
    client = open_client(settings)
    log_in(client, settings)
    try:
        copy = client.sys.take_raft_snapshot().content
    finally:
        client.auth.token.revoke_self()
    check(copy)
    now = utc_now()
    key = f"{FOLDER}{now:%Y%m%dT%H%M%SZ}.snap"
    store.put(BACKUPS_BUCKET, key, [copy], len(copy))
    log.info("secrets are saved", key=key, size=len(copy))
    for found in list(store.list(BACKUPS_BUCKET)):
        if found.key.startswith(FOLDER) and found.modified < now - KEPT:
            store.delete(BACKUPS_BUCKET, found.key)


def check(copy: bytes) -> None:
    """Compare a copy with the sums in it.

    Raises:
        DamagedError: it could not be restored.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(copy), mode="r:gz") as archive:
            files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
            sums = {
                name: hashlib.sha256(file.read()).hexdigest() for name, file in files.items() if file and name != SUMS
            }
            told = archive.extractfile(SUMS)
            lines = told.read().decode().splitlines() if told else []
    except (tarfile.TarError, EOFError, KeyError, OSError) as error:
        raise DamagedError(f"the copy of the secrets is no archive: {error}; run the job again") from None
    wrong = [line for line in lines if sums.get(line.split()[1]) != line.split()[0]]
    if wrong or not lines:
        raise DamagedError(f"the copy of the secrets has other sums than it says: {wrong}; run the job again")

"""Make OpenBao hold what files say; runs in a pod of the `services` image.

It sets what the files name, every time, and removes the policies and roles that they no longer name. Stopped at any
point, the next run goes on. It stands alone (the image has `hvac`, not this package) and takes environment variables:
`OPENBAO_URL`, `OPENBAO_CA_FILE`, `OPENBAO_TOKEN_FILE` (the pod's token), `WANTED_FILE` (JSON of
`openbao_config.wanted`) and `SECRETS_FILE` (JSON: `database_password`, `authority` as PEM with its key, `values` by
holder).
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import hvac
from hvac.exceptions import VaultError
from requests import RequestException

ADMINISTRATOR = "administrator"
KEPT_POLICIES = frozenset({"root", "default", ADMINISTRATOR})
ENGINES = {"database": {}, "kv": {"version": "1"}, "pki": {}}
PKI_MAX_TTL = "8760h"
START_SECONDS = 240
RETRY_SECONDS = 3

Document = dict[str, Any]


class OpenBao:
    """One server, as its administrator."""

    def __init__(self, client: hvac.Client) -> None:
        """`client` carries an administrator's token."""
        self._client = client

    def apply(self, wanted: Document, secrets: Document) -> None:
        """Make everything be as wanted."""
        self._engines()
        for name, policy in wanted["policies"].items():
            self._write(f"sys/policies/acl/{name}", {"policy": json.dumps(policy)})
        for name, values in secrets["values"].items():
            self._write(f"kv/{name}", values)
        self._authority(secrets["authority"])
        for name, role in wanted["certificate_roles"].items():
            self._write(f"pki/roles/{name}", role)
        self._write("database/config/postgresql", {**wanted["database"], "password": secrets["database_password"]})
        for name, role in wanted["database_roles"].items():
            self._write(f"database/roles/{name}", role)
        # Last: who logs in finds all that it may read.
        for name, role in wanted["roles"].items():
            self._write(f"auth/kubernetes/role/{name}", role)
        self._remove("auth/kubernetes/role", {ADMINISTRATOR, *wanted["roles"]})
        self._remove("database/roles", wanted["database_roles"])
        self._remove("pki/roles", wanted["certificate_roles"])
        self._remove("kv", secrets["values"])
        self._remove("sys/policies/acl", {*KEPT_POLICIES, *wanted["policies"]})

    def _engines(self) -> None:
        present = self._client.sys.list_mounted_secrets_engines()["data"]
        for engine, options in ENGINES.items():
            if f"{engine}/" not in present:
                self._client.sys.enable_secrets_engine(engine, path=engine, options=options or None)
                _say("engine made", engine=engine)
        self._client.sys.tune_mount_configuration("pki", max_lease_ttl=PKI_MAX_TTL)

    def _authority(self, bundle: str) -> None:
        """Let certificates be issued by that authority; the one before stays, for what it issued."""
        found = self._write("pki/issuers/import/bundle", {"pem_bundle": bundle})["data"]
        issuer = next(issuer for issuer, key in found["mapping"].items() if key)
        self._write("pki/config/issuers", {"default": issuer})

    def _remove(self, path: str, kept: Any) -> None:
        answer = self._client.list(path)
        for name in sorted(set(answer["data"]["keys"] if answer else ()) - set(kept)):
            self._client.delete(f"{path}/{name}")
            _say("removed what is no longer wanted", path=f"{path}/{name}")

    def _write(self, path: str, data: Document) -> Any:
        return self._client.write_data(path, data=data)


def log_in(client: hvac.Client, token_file: Path) -> None:
    """Get an administrator's token; a server that only begins to run is waited for."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            client.auth.kubernetes.login(role=ADMINISTRATOR, jwt=token_file.read_text())
            return
        except (VaultError, RequestException) as error:
            if time.monotonic() > end:
                raise
            _say("OpenBao is not ready yet", error=_first_line(error))
            time.sleep(RETRY_SECONDS)


def main() -> int:
    """Apply the files; 0 when OpenBao holds what they say, 1 with the reason otherwise."""
    url = os.environ["OPENBAO_URL"]
    client = hvac.Client(url=url, verify=os.environ["OPENBAO_CA_FILE"], timeout=30)
    try:
        log_in(client, Path(os.environ["OPENBAO_TOKEN_FILE"]))
        OpenBao(client).apply(_read_json("WANTED_FILE"), _read_json("SECRETS_FILE"))
        client.auth.token.revoke_self()
    except VaultError as error:
        _say("OpenBao refused; what came before is done, the next run goes on from there", error=_first_line(error))
        return 1
    except RequestException as error:
        _say("no answer from OpenBao; is the pod openbao-0 in namespace security ready?", url=url, error=str(error))
        return 1
    _say("OpenBao holds what is wanted")
    return 0


def _read_json(variable: str) -> Any:
    return json.loads(Path(os.environ[variable]).read_text())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _say(message: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"message": message, **fields}) + "\n")


if __name__ == "__main__":
    sys.exit(main())

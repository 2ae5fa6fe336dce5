"""Make a Keycloak realm be as a file says; runs in a pod of the `services` image.

Keycloak's own import acts only on a realm that does not exist. This sets what the file names, every time, and
leaves alone what it does not name: users, role grants and settings made by an operator stay.

It stands alone (the image has `httpx`, not this package) and takes environment variables: `KEYCLOAK_URL`,
`KEYCLOAK_CA_FILE`, `KEYCLOAK_CLIENT_ID`, `KEYCLOAK_CLIENT_SECRET_FILE`, `REALM_FILE` (Keycloak's realm
representation) and `USER_PASSWORDS_FILE` (JSON, user name to password).
"""

import json
import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

Representation = dict[str, Any]
REALM_CHILDREN = ("roles", "clients", "users")


class Realm:
    """One realm through Keycloak's admin API."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        """`http` carries the server's address and an administrator's token."""
        self._http = http
        self._name = name

    def apply(self, wanted: Representation, passwords: dict[str, str]) -> None:
        """Make the realm, its roles, clients and users be as `wanted`."""
        settings = {key: value for key, value in wanted.items() if key not in REALM_CHILDREN}
        if self._call("GET", "", missing_ok=True) is None:
            self._http.post("/admin/realms", json=settings).raise_for_status()
            _say("realm made", realm=self._name)
        else:
            self._call("PUT", "", settings)
        for role in wanted["roles"]["realm"]:
            self._apply_role(role)
        for client in wanted["clients"]:
            self._apply_client(client)
        for user in wanted["users"]:
            self._apply_user(user, passwords[user["username"]])

    def _apply_role(self, role: Representation) -> None:
        path = f"/roles/{role['name']}"
        present = self._call("GET", path, missing_ok=True)
        if present is None:
            self._call("POST", "/roles", role)
            _say("role made", role=role["name"])
        else:
            self._call("PUT", path, {**present, **role})

    def _apply_client(self, client: Representation) -> None:
        client_id = client["clientId"]
        found = self._call("GET", "/clients", params={"clientId": client_id})
        if not found:
            self._call("POST", "/clients", client)
            _say("client made", client=client_id)
            return
        present = found[0]
        path = f"/clients/{present['id']}"
        settings = {key: value for key, value in client.items() if key != "protocolMappers"}
        attributes = {**present.get("attributes", {}), **client.get("attributes", {})}
        self._call("PUT", path, {**present, **settings, "attributes": attributes})
        mappers = {mapper["name"]: mapper for mapper in present.get("protocolMappers", [])}
        for mapper in client.get("protocolMappers", []):
            old = mappers.get(mapper["name"])
            if old is None:
                self._call("POST", f"{path}/protocol-mappers/models", mapper)
            else:
                self._call("PUT", f"{path}/protocol-mappers/models/{old['id']}", {**old, **mapper})

    def _apply_user(self, user: Representation, password: str) -> None:
        name = user["username"]
        profile = {key: value for key, value in user.items() if key != "realmRoles"}
        search = {"username": name, "exact": "true"}
        found = self._call("GET", "/users", params=search)
        if not found:
            self._call("POST", "/users", profile)
            _say("user made", user=name)
            found = self._call("GET", "/users", params=search)
        present = found[0]
        path = f"/users/{present['id']}"
        self._call("PUT", path, {**present, **profile})
        credential = {"type": "password", "value": password, "temporary": False}
        self._call("PUT", f"{path}/reset-password", credential)
        roles = [self._call("GET", f"/roles/{role}") for role in user["realmRoles"]]
        self._call("POST", f"{path}/role-mappings/realm", roles)

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: dict[str, str] | None = None,
        missing_ok: bool = False,
    ) -> Any:
        url = f"/admin/realms/{self._name}{path}"
        answer = self._http.request(method, url, json=body, params=params)
        if missing_ok and answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return answer.json() if answer.content else None


def admin_token(http: httpx.Client, client_id: str, secret: str) -> str:
    """Return an access token of the master realm for service account `client_id`."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret}
    answer = http.post("/realms/master/protocol/openid-connect/token", data=form)
    answer.raise_for_status()
    token: str = answer.json()["access_token"]
    return token


def main() -> int:
    """Apply the realm file; 0 when Keycloak has it, 1 with the reason otherwise."""
    wanted = _read_json("REALM_FILE")
    passwords = _read_json("USER_PASSWORDS_FILE")
    trust = ssl.create_default_context(cafile=os.environ["KEYCLOAK_CA_FILE"])
    url = os.environ["KEYCLOAK_URL"]
    try:
        with httpx.Client(base_url=url, verify=trust, timeout=30) as http:
            secret = Path(os.environ["KEYCLOAK_CLIENT_SECRET_FILE"]).read_text()
            token = admin_token(http, os.environ["KEYCLOAK_CLIENT_ID"], secret)
            http.headers["Authorization"] = f"Bearer {token}"
            Realm(http, wanted["realm"]).apply(wanted, passwords)
    except httpx.HTTPStatusError as error:
        request, answer = error.request, error.response
        _say(
            "Keycloak refused; the realm is as it was before this step, the next run goes on from there",
            request=f"{request.method} {request.url.path}",
            status=answer.status_code,
            answer=answer.text[:500],
        )
        return 1
    except httpx.HTTPError as error:
        _say("no answer from Keycloak; is the pod keycloak in namespace iam ready?", url=url, error=str(error))
        return 1
    _say("realm is as wanted", realm=wanted["realm"])
    return 0


def _read_json(variable: str) -> Any:
    return json.loads(Path(os.environ[variable]).read_text())


def _say(message: str, **fields: object) -> None:
    log: Callable[[str], int] = sys.stdout.write
    log(json.dumps({"message": message, **fields}) + "\n")


if __name__ == "__main__":
    sys.exit(main())

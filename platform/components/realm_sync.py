"""Make a Keycloak realm be as a file says; runs in a pod of the `services` image.

Keycloak's own import acts only on a realm that does not exist. This sets what the file names, every time, and
leaves alone what it does not name: users, role grants and settings made by an operator stay.

Groups that the file names give the roles that it names, and no others. Roles and clients of hosted applications that
it no longer names are removed.

It stands alone (the image has `httpx`, not this package) and takes environment variables: `KEYCLOAK_URL`,
`KEYCLOAK_CA_FILE`, `KEYCLOAK_CLIENT_ID`, `KEYCLOAK_CLIENT_SECRET_FILE`, `REALM_FILE` (Keycloak's realm
representation, and beside it `flows`, `groups`, `scopes`, `service_roles` and `federation`),
`USER_PASSWORDS_FILE` (JSON, user name to password), `CLIENT_SECRETS_FILE` (JSON, client to secret),
`FEDERATION_PASSWORD_FILE` (of the account that reads the directory), and for the own directory `MUST_CHANGE_FILE`
(JSON, names of users whose password is still the first one).
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
REALM_CHILDREN = ("roles", "clients", "users", "flows", "groups", "scopes", "service_roles", "federation")
FLOW_SETTINGS = ("browserFlow", "directGrantFlow")
FEDERATION = "org.keycloak.storage.UserStorageProvider"
MARK = "refsys.application"
"""Attribute of roles and clients of hosted applications."""
MAPPER = "org.keycloak.storage.ldap.mappers.LDAPStorageMapper"


class Realm:
    """One realm through Keycloak's admin API."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        """`http` carries the server's address and an administrator's token."""
        self._http = http
        self._name = name

    def apply(self, wanted: Representation, passwords: dict[str, str], secrets: dict[str, str]) -> None:
        """Make the realm, its roles, clients, flows and users be as `wanted`."""
        # A realm may name its flows only when they are there.
        settings = {key: value for key, value in wanted.items() if key not in (*REALM_CHILDREN, *FLOW_SETTINGS)}
        if self._call("GET", "", missing_ok=True) is None:
            self._http.post("/admin/realms", json=settings).raise_for_status()
            _say("realm made", realm=self._name)
        else:
            self._call("PUT", "", settings)
        for role in wanted["roles"]["realm"]:
            self._apply_role(role)
        for client in wanted["clients"]:
            hidden = {"secret": secrets[client["clientId"]]} if client["clientId"] in secrets else {}
            self._apply_client({**client, **hidden})
        for name, roles in wanted["scopes"].items():
            client = self._call("GET", "/clients", params={"clientId": name})[0]
            self._grant(f"/clients/{client['id']}/scope-mappings/realm", roles)
        for name, roles in wanted["service_roles"].items():
            client = self._call("GET", "/clients", params={"clientId": name})[0]
            user = self._call("GET", f"/clients/{client['id']}/service-account-user")
            self._grant(f"/users/{user['id']}/role-mappings/realm", roles)
        self._remove_applications(wanted)
        for name, steps in wanted["flows"].items():
            self._apply_flow(name, steps)
        self._call("PUT", "", {name: wanted[name] for name in FLOW_SETTINGS})
        for user in wanted["users"]:
            self._apply_user(user, passwords[user["username"]])

    def federate(self, wanted: Representation, password: str, groups: dict[str, list[str]]) -> None:
        """Read users and groups from the directory, and let those `groups` give their roles."""
        config = {**wanted["config"], "bindCredential": password}
        realm = self._call("GET", "")["id"]
        directory = self._apply_component(wanted["name"], FEDERATION, "ldap", realm, config)
        for name, mapper in wanted["mappers"].items():
            made = self._apply_component(name, MAPPER, mapper["kind"], directory, mapper["config"])
            if mapper["kind"] == "group-ldap-mapper":
                path = f"/user-storage/{directory}/mappers/{made}/sync"
                self._call("POST", path, params={"direction": "fedToKeycloak"})
        done = self._call("POST", f"/user-storage/{directory}/sync", params={"action": "triggerFullSync"})
        _say("users read", **{key: done[key] for key in ("added", "updated", "removed", "failed")})
        found = {group["name"]: group["id"] for group in self._call("GET", "/groups", params={"max": "1000"})}
        for name, roles in groups.items():
            if name in found:
                self._grant(f"/groups/{found[name]}/role-mappings/realm", roles)
            else:
                _say("the directory has no such group: its roles are given to nobody", group=name)

    def ask_for_new_passwords(self, names: list[str]) -> None:
        """Let users change their password at the next login."""
        for name in names:
            for user in self._call("GET", "/users", params={"username": name, "exact": "true"}):
                actions = sorted({*user.get("requiredActions", []), "UPDATE_PASSWORD"})
                if actions != sorted(user.get("requiredActions", [])):
                    self._call("PUT", f"/users/{user['id']}", {"requiredActions": actions})
                    _say("password must be changed at the next login", user=name)

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

    def _remove_applications(self, wanted: Representation) -> None:
        """Remove the roles and clients of applications that are no longer there."""
        clients = {client["clientId"] for client in wanted["clients"]}
        for client in self._call("GET", "/clients", params={"max": "1000"}):
            if MARK in client.get("attributes", {}) and client["clientId"] not in clients:
                self._call("DELETE", f"/clients/{client['id']}")
                _say("client removed", client=client["clientId"])
        roles = {role["name"] for role in wanted["roles"]["realm"]}
        for role in self._call("GET", "/roles", params={"max": "1000", "briefRepresentation": "false"}):
            if MARK in role.get("attributes", {}) and role["name"] not in roles:
                self._call("DELETE", f"/roles/{role['name']}")
                _say("role removed", role=role["name"])

    def _grant(self, path: str, names: list[str]) -> None:
        """Let what is at `path` have exactly these realm roles."""
        present = {role["name"]: role for role in self._call("GET", path)}
        if missing := [self._call("GET", f"/roles/{name}") for name in names if name not in present]:
            self._call("POST", path, missing)
        if extra := [role for name, role in present.items() if name not in names]:
            self._call("DELETE", path, extra)

    def _apply_component(self, name: str, kind: str, provider: str, parent: str, config: dict[str, str]) -> str:
        wanted: Representation = {
            "name": name,
            "providerType": kind,
            "providerId": provider,
            "parentId": parent,
            "config": {key: [value] for key, value in config.items()},
        }
        query = {"parent": parent, "type": kind, "name": name}
        if found := self._call("GET", "/components", params=query):
            present = found[0]
            settings = {**present.get("config", {}), **wanted["config"]}
            self._call("PUT", f"/components/{present['id']}", {**present, "config": settings})
        else:
            self._call("POST", "/components", wanted)
            _say("component made", component=name)
            found = self._call("GET", "/components", params=query)
        return str(found[0]["id"])

    def _apply_flow(self, name: str, steps: list[Representation]) -> None:
        if name not in {flow["alias"] for flow in self._call("GET", "/authentication/flows")}:
            top = {"alias": name, "providerId": "basic-flow", "topLevel": True, "builtIn": False}
            self._call("POST", "/authentication/flows", top)
            _say("flow made", flow=name)
        self._apply_steps(name, name, steps)

    def _apply_steps(self, top: str, name: str, steps: list[Representation]) -> None:
        """Make the flow `name`, which is somewhere in `top`, have these steps; a killed run left the first ones."""
        for step in steps:
            if not self._find(top, name, step):
                path = f"/authentication/flows/{name}/executions"
                if "flow" in step:
                    made = {"alias": step["flow"], "type": "basic-flow", "provider": "registration-page-form"}
                    self._call("POST", f"{path}/flow", made)
                else:
                    self._call("POST", f"{path}/execution", {"provider": step["provider"]})
            present = self._find(top, name, step)
            if present is None:
                raise LookupError(f"Keycloak made no step {step} in flow {name}")
            if present["requirement"] != step["requirement"]:
                changed = {**present, "requirement": step["requirement"]}
                self._call("PUT", f"/authentication/flows/{top}/executions", changed)
            if "config" in step and not present.get("authenticationConfig"):
                config = {"alias": f"{name}-{step['name']}", "config": step["config"]}
                self._call("POST", f"/authentication/executions/{present['id']}/config", config)
            if "flow" in step:
                self._apply_steps(top, step["flow"], step["steps"])

    def _find(self, top: str, name: str, step: Representation) -> Representation | None:
        """Return the execution of a step that is directly in the flow `name`."""
        within: list[str] = [top]
        for execution in self._call("GET", f"/authentication/flows/{top}/executions"):
            level = execution["level"]
            del within[level + 1 :]
            is_flow = bool(execution.get("authenticationFlow"))
            wanted = execution["displayName"] == step.get("flow") if is_flow else False
            wanted = wanted or (not is_flow and execution.get("providerId") == step.get("provider"))
            if within[-1] == name and wanted:
                found: Representation = execution
                return found
            if is_flow:
                within.append(execution["displayName"])
        return None

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
    passwords, secrets = _read_json("USER_PASSWORDS_FILE"), _read_json("CLIENT_SECRETS_FILE")
    trust = ssl.create_default_context(cafile=os.environ["KEYCLOAK_CA_FILE"])
    url = os.environ["KEYCLOAK_URL"]
    try:
        with httpx.Client(base_url=url, verify=trust, timeout=30) as http:
            secret = Path(os.environ["KEYCLOAK_CLIENT_SECRET_FILE"]).read_text()
            token = admin_token(http, os.environ["KEYCLOAK_CLIENT_ID"], secret)
            http.headers["Authorization"] = f"Bearer {token}"
            realm = Realm(http, wanted["realm"])
            realm.apply(wanted, passwords, secrets)
            password = Path(os.environ["FEDERATION_PASSWORD_FILE"]).read_text()
            realm.federate(wanted["federation"], password, wanted["groups"])
            if "MUST_CHANGE_FILE" in os.environ:
                realm.ask_for_new_passwords(_read_json("MUST_CHANGE_FILE"))
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

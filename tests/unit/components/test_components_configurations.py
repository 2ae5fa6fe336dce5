"""Configuration that others read: stations file, Kafka, Keycloak, realm, SQL."""

import base64
import json
from pathlib import Path
from typing import Any

from tests.unit.components.mocked_stack import DOMAIN, Made

from refsys.platform.components.directory_config import slapd_conf
from refsys.platform.components.gateway import PORTAL
from refsys.platform.components.kafka import cluster_id, server_properties
from refsys.platform.components.keycloak import keycloak_conf
from refsys.platform.components.people import Federation, Group, People, Person, wanted
from refsys.platform.components.postgresql_config import CREDENTIALS_ROLE, ROLES, USERS, pg_hba_conf, roles_sql
from refsys.platform.components.realm import (
    CLIENT,
    KUBERNETES_CLIENT,
    KUBERNETES_ROLES,
    NODE_ROLES,
    PORTAL_CLIENT,
    SERVICE_ROLES,
    realm,
)
from refsys.platform.components.realm_flows import SECOND_FACTOR
from refsys.platform.components.secrets import SECRETS_DIRECTORY
from refsys.services.cadip.api import USER as CADIP_USER
from refsys.services.distribution.access import DEFAULT
from refsys.services.distribution.auth import OPERATOR, USER
from refsys.services.ingestion.stations import load_stations
from refsys.services.ingestion.stations.odata import AuxipStation
from refsys.services.ingestion.stations.s3 import S3Station
from refsys.services.ingestor.api import USER as INGESTOR_USER
from refsys.services.ondemand.api import USER as ORDERS_USER
from refsys.services.routing.rules import load_routing

DIRECTORY = Federation("ldaps://openldap.iam.svc:6636", "ou=people", "ou=groups", "cn=keycloak", writable=True)
PEOPLE = People(
    [Person("anna", "Anna", "A", "anna@example.org", ["operators"], ["ssh-ed25519 AAAA"], 20_001)],
    [Group("operators", 20_002, ["operator", "node-login"]), Group("users", 20_003, ["prip-user"])],
)


def realm_of(*, demo_user: bool) -> dict[str, Any]:
    return realm(DOMAIN, PEOPLE, DIRECTORY, demo_user=demo_user)


def _moved(text: str, folder: Path) -> str:
    """A file with the paths that it has in this test."""
    text = text.replace(SECRETS_DIRECTORY, f"{folder}-secrets")
    return text.replace(f"/etc/refsys/{folder.name}", str(folder))


def test_the_services_can_read_the_stations_file(made: list[Made], tmp_path: Path) -> None:
    config = next(item for item in made if item.kind == "ConfigMap" and item.name == "stations")
    folder = tmp_path / "stations"
    secrets = dict.fromkeys(("demo.password", "INGESTOR.access-key", "INGESTOR.secret-key"), "x")
    for place, files in ((folder, config.inputs["data"]), (tmp_path / "stations-secrets", secrets)):
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(_moved(text, folder))
    found = load_stations(folder / "stations.yaml")
    station, uploads = found.stations
    assert isinstance(station, AuxipStation) and isinstance(uploads, S3Station)
    assert (station.name, station.ca_file) == ("demo", folder / "demo.crt")
    assert station.inboxes[0].match.pattern == ".*"
    assert (uploads.name, uploads.type, uploads.history_days) == ("INGESTOR", "s3", None)
    assert (uploads.bucket, uploads.ca_file) == ("rs-uploads", folder / "INGESTOR.crt")
    assert [window.minutes for window in found.sampling["S1"]] == [240]
    assert "S2" not in found.sampling


def test_the_router_can_read_the_routing_file(made: list[Made], tmp_path: Path) -> None:
    config = next(item for item in made if item.kind == "ConfigMap" and item.name == "routing")
    folder = tmp_path / "routing"
    for place, files in ((folder, config.inputs["data"]), (tmp_path / "routing-secrets", {"src.pass": "x"})):
        place.mkdir()
        for name, text in files.items():
            (place / name).write_text(_moved(text, folder))
    routing = load_routing(folder / "routing.yaml")
    assert [remote.name for remote in routing.remotes] == ["src", "dst"]
    assert routing.rules[0].target == "dst:in"
    assert routing.ca_file == folder / "ca.crt"


def test_kafka_cluster_id_is_sixteen_bytes_and_no_option() -> None:
    for number in range(200):
        name = cluster_id(f"{number}.example")
        assert len(base64.urlsafe_b64decode(name + "==")) == 16
        assert not name.startswith("-")


def test_kafka_listens_with_mutual_tls_alone() -> None:
    properties = dict(line.split("=", 1) for line in server_properties("local.test").splitlines())
    assert properties["listener.security.protocol.map"] == "CLIENT:SSL,NODES:SSL,CONTROLLER:SSL"
    assert properties["ssl.client.auth"] == "required"
    assert properties["allow.everyone.if.no.acl.found"] == "false"
    assert properties["super.users"] == "User:CN=kafka;User:CN=topics"


def test_keycloak_has_no_plain_listener_for_users() -> None:
    settings = dict(line.split("=", 1) for line in keycloak_conf(DOMAIN).splitlines())
    assert settings["http-enabled"] == "false"
    assert settings["hostname"] == f"https://auth.{DOMAIN}"
    assert not [name for name in settings if "password" in name or "secret" in name]


def test_only_the_demonstration_has_a_user_and_password_grants() -> None:
    demo, production = realm_of(demo_user=True), realm_of(demo_user=False)
    assert [user["username"] for user in demo["users"]] == ["demo"]
    assert demo["users"][0]["realmRoles"] == ["prip-user", "cadip-user", "ingestor-user", "ondemand-user", "operator"]
    assert production["users"] == []
    assert demo["clients"][0]["directAccessGrantsEnabled"] is True
    assert production["clients"][0]["directAccessGrantsEnabled"] is False
    assert "credentials" not in json.dumps(demo)


def test_realm_has_the_roles_of_the_collections() -> None:
    assert set(SERVICE_ROLES) == {USER, CADIP_USER, INGESTOR_USER, ORDERS_USER, OPERATOR, *DEFAULT}
    roles = {role["name"] for role in realm_of(demo_user=False)["roles"]["realm"]}
    assert roles == {*SERVICE_ROLES, *KUBERNETES_ROLES, *NODE_ROLES, SECOND_FACTOR}


def test_realm_limits_guessing_and_token_lifetimes() -> None:
    settings = realm_of(demo_user=False)
    assert (settings["accessTokenLifespan"], settings["ssoSessionIdleTimeout"]) == (600, 3600)
    assert settings["bruteForceProtected"] is True
    assert settings["sslRequired"] == "all"


def test_the_search_may_delete_products_but_not_change_them() -> None:
    grants = [line for line in roles_sql("/passwords").splitlines() if line.endswith("TO metadata_search;")]
    on_tables = [line for line in grants if "ALL TABLES" in line]
    assert on_tables == [
        "GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA catalogue TO metadata_search;",
        "GRANT SELECT, DELETE ON ALL TABLES IN SCHEMA distribution TO metadata_search;",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA search TO metadata_search;",
    ]
    assert len(ROLES) == len(set(ROLES))


def test_the_prip_writes_only_what_belongs_to_its_users() -> None:
    lines = [line for line in roles_sql("/passwords").splitlines() if line.endswith("TO prip;")]
    writing = [line for line in lines if "INSERT" in line]
    assert len(writing) == 4
    assert all("SCHEMA quota" in line or "SCHEMA delivery" in line for line in writing)


def test_nobody_logs_in_as_a_role_of_services_and_all_over_tls() -> None:
    sql = roles_sql("/passwords")
    for role in ROLES:
        assert f"ALTER ROLE {role} NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS NOLOGIN NOCREATEROLE" in sql
        assert f"/passwords/{role}`" not in sql
    for user in USERS:
        assert f"\\set password `cat /passwords/{user}`" in sql
        assert f"ALTER ROLE {user} NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS LOGIN" in sql
    assert [line for line in sql.splitlines() if "LOGIN CREATEROLE" in line] == [
        f"ALTER ROLE {CREDENTIALS_ROLE} NOSUPERUSER NOCREATEDB NOREPLICATION NOBYPASSRLS LOGIN CREATEROLE "
        "PASSWORD :'password';"
    ]
    rules = [line.split() for line in pg_hba_conf().splitlines()]
    assert all(rule[0] == "hostssl" and rule[-1] == "scram-sha-256" for rule in rules if rule[0] != "local")


def test_the_ingestor_only_reads_what_others_know_of_uploads() -> None:
    grants = [line for line in roles_sql("/passwords").splitlines() if line.endswith("TO ingestor;")]
    on_tables = {line.partition(" ON ")[0] + line.rpartition("SCHEMA")[2] for line in grants if "ALL TABLES" in line}
    assert on_tables == {
        "GRANT SELECT, INSERT, UPDATE, DELETE ingestor TO ingestor;",
        "GRANT SELECT ingestion TO ingestor;",
        "GRANT SELECT catalogue TO ingestor;",
        "GRANT SELECT distribution TO ingestor;",
    }


def test_tokens_of_a_client_name_the_roles_of_its_purpose_alone() -> None:
    found = realm_of(demo_user=False)
    assert {client["clientId"]: client["fullScopeAllowed"] for client in found["clients"]} == {
        CLIENT: False,
        KUBERNETES_CLIENT: False,
        PORTAL_CLIENT: False,
    }
    assert found["scopes"] == {
        CLIENT: list(SERVICE_ROLES),
        KUBERNETES_CLIENT: list(KUBERNETES_ROLES),
        PORTAL_CLIENT: [OPERATOR],
    }
    assert not any(client["implicitFlowEnabled"] or client["serviceAccountsEnabled"] for client in found["clients"])


def test_the_client_of_the_portal_takes_codes_alone_and_leads_to_one_address() -> None:
    clients = {client["clientId"]: client for client in realm_of(demo_user=True)["clients"]}
    portal = clients.pop(PORTAL_CLIENT)
    assert all(client["publicClient"] and not client["standardFlowEnabled"] for client in clients.values())
    assert (portal["publicClient"], portal["standardFlowEnabled"], portal["directAccessGrantsEnabled"]) == (
        False,
        True,
        False,
    )
    assert portal["redirectUris"] == [f"https://operations.{DOMAIN}{PORTAL.callback}"]
    assert portal["attributes"]["pkce.code.challenge.method"] == "S256"
    assert "secret" not in portal


def test_only_the_privileged_must_show_a_second_factor() -> None:
    groups = realm_of(demo_user=False)["groups"]
    assert groups == {"operators": ["operator", "node-login", SECOND_FACTOR], "users": ["prip-user"]}


def test_an_outside_directory_is_only_read() -> None:
    outside = Federation("ldaps://ipa.example.org", "cn=users,cn=accounts", "cn=groups", "uid=reader", freeipa=True)
    settings = realm(DOMAIN, People(), outside, demo_user=False)["federation"]["config"]
    assert (settings["editMode"], settings["vendor"], settings["uuidLDAPAttribute"]) == (
        "READ_ONLY",
        "rhds",
        "ipaUniqueID",
    )


def test_a_declared_user_is_an_entry_without_a_password() -> None:
    found = wanted(DOMAIN, PEOPLE)
    (anna,) = found["users"]
    assert anna["dn"] == "uid=anna,ou=people,dc=test,dc=example"
    assert "password" not in json.dumps(found["users"]).lower()
    operators, users = found["groups"]
    assert operators["member"] == ["ou=groups,dc=test,dc=example", anna["dn"]]
    assert users["member"] == ["ou=groups,dc=test,dc=example"]


def test_the_directory_lets_nobody_in_without_a_password_and_listens_with_tls_alone() -> None:
    text = slapd_conf(DOMAIN)
    assert "disallow bind_anon" in text
    assert "rootpw" not in text
    assert "TLSProtocolMin 3.3" in text

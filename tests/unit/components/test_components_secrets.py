"""Secrets are in Secrets alone, and marked as such for the engine."""

import base64
import json
from typing import Any

from tests.unit.components.mocked_stack import SECRET_MARK, Made

from refsys.platform.components.names import API_CLIENTS


def values(made: list[Made]) -> dict[str, dict[str, str]]:
    """Secret name → file → text."""
    found = {}
    for item in made:
        if item.kind == "Secret":
            data: dict[str, Any] = item.inputs["data"]
            assert SECRET_MARK in data, f"{item.name} is not secret for the engine"
            found[item.name] = {key: base64.b64decode(text).decode() for key, text in data["value"].items()}
    return found


def test_no_secret_outside_secrets(made: list[Made]) -> None:
    for item in made:
        if item.kind != "Secret":
            text = json.dumps(item.inputs)
            assert "PASSWORD-" not in text, (item.kind, item.name)
            assert "PRIVATE" not in text, (item.kind, item.name)
            assert SECRET_MARK not in text, f"{item.kind} {item.name} would be unreadable in a preview"


def handed_over(made: list[Made]) -> dict[str, Any]:
    """What the job that sets OpenBao up is given."""
    found: dict[str, Any] = json.loads(values(made)["openbao-setup"]["secrets.json"])
    return found


def wanted(made: list[Made]) -> dict[str, Any]:
    """Policies and roles, as the job is given them."""
    (config,) = (item for item in made if item.kind == "ConfigMap" and item.name == "openbao-setup")
    found: dict[str, Any] = json.loads(config.inputs["data"]["wanted.json"])
    return found


def test_a_process_gets_no_more_than_its_own(made: list[Made]) -> None:
    given = handed_over(made)["values"]
    assert set(given["publisher"]) == {"kafka.crt", "kafka.key"}
    assert given["publisher"]["kafka.crt"].startswith("certificate kafka-publisher/publisher/")
    assert set(given["notifier"]) == {"delivery-key", "kafka.crt", "kafka.key"}
    assert given["notifier"]["delivery-key"] == given["prip"]["delivery-key"]
    assert "delivery-key" not in given["cadip"]
    assert set(given["topics"]) == {"kafka.crt", "kafka.key"}
    assert given["router"] == {"src.pass": "PASSWORD-src"}
    assert set(given["compression-filter"]) == {"kafka.crt", "kafka.key"}
    polling = {"demo.password", "INGESTOR.access-key", "INGESTOR.secret-key", "kafka.crt", "kafka.key"}
    assert set(given["ingestion-trigger"]) == polling
    assert set(given["openbao-backup"]) == {"s3-access-key", "s3-secret-key"}
    assert "delivery-key" not in given["ingestor"]
    assert "stac" not in given


def test_the_gateway_and_keycloak_know_the_same_secret_of_the_portal(made: list[Made]) -> None:
    given = handed_over(made)["values"]["gateway"]
    texts = {
        name: json.loads(text)["resources"][0]["generic_secret"]["secret"]["inline_string"]
        for name, text in given.items()
    }
    assert texts == {
        "portal-client.json": "PASSWORD-keycloak-portal",
        "portal-cookies.json": "PASSWORD-gateway-cookies",
    }
    assert json.loads(values(made)["keycloak-realm"]["clients.json"]) == {"portal": "PASSWORD-keycloak-portal"}


def test_secrets_of_processes_are_not_in_kubernetes(made: list[Made]) -> None:
    found = {(item.namespace, item.name) for item in made if item.kind == "Secret"}
    assert not [name for namespace, name in found if namespace in ("processing", "networking")]
    mounted = [
        (item.name, volume["secret"]["secretName"])
        for item in made
        if item.pod and item.namespace in ("processing", "networking")
        for volume in item.pod["volumes"]
        if "secret" in volume
    ]
    assert mounted == []


def test_a_policy_opens_what_its_holder_has_and_nothing_else(made: list[Made]) -> None:
    own = {"auth/token/renew-self", "auth/token/revoke-self", "sys/leases/renew"}
    document = wanted(made)
    for name, policy in document["policies"].items():
        paths = {path: rule["capabilities"] for path, rule in policy["path"].items() if path not in own}
        snapshot = {"sys/storage/raft/snapshot"} if name == "openbao-backup" else set()
        assert set(paths) <= {f"kv/{name}", f"database/creds/{name}", f"pki/issue/{name}"} | snapshot, name
        assert all(rights in (["read"], ["update"]) for rights in paths.values()), name
        assert (f"kv/{name}" in paths) == (name in handed_over(made)["values"])
        assert (f"database/creds/{name}" in paths) == (name in document["database_roles"])
    assert "database/creds/prip" in document["policies"]["prip"]["path"]
    assert "*" not in json.dumps(document["policies"])


def test_who_logs_in_is_one_service_account_of_one_namespace(made: list[Made]) -> None:
    accounts = {(item.namespace, item.name) for item in made if item.kind == "ServiceAccount"}
    for name, role in wanted(made)["roles"].items():
        (account,), (namespace,) = role["bound_service_account_names"], role["bound_service_account_namespaces"]
        assert (namespace, account) in accounts
        assert (account, role["token_policies"], role["audience"]) == (name, [name], "openbao")
        assert role["token_no_default_policy"] is True


def test_users_of_the_database_have_the_rights_of_one_role(made: list[Made]) -> None:
    roles = wanted(made)["database_roles"]
    for process, role in (("ingestion-worker", "ingestion"), ("migrate", "migrate"), ("prip", "prip")):
        made_by = " ".join(roles[process]["creation_statements"])
        assert f'IN ROLE "{role}"' in made_by
        assert "VALID UNTIL" in made_by
    assert set(wanted(made)["database"]["allowed_roles"]) == set(roles)


def test_only_who_asks_the_api_server_has_its_token(made: list[Made]) -> None:
    audiences = {}
    for item in made:
        for volume in (item.pod or {}).get("volumes", []):
            for source in volume.get("projected", {}).get("sources", []):
                if "serviceAccountToken" in source:
                    audiences[item.name] = source["serviceAccountToken"].get("audience")
    assert {name for name, audience in audiences.items() if audience is None} == {app.name for app in API_CLIENTS}
    assert set(audiences.values()) == {None, "openbao"}
    assert {"prip", "gateway", "openbao-backup"} <= set(audiences)


def test_kafka_reads_key_and_certificate_from_one_file(made: list[Made]) -> None:
    keystore = values(made)["kafka-tls"]["keystore.pem"]
    assert keystore.index("PRIVATE kafka") < keystore.index("certificate kafka/kafka/")
    assert "localhost" in keystore


def test_server_certificates_carry_the_names_clients_use(made: list[Made]) -> None:
    secrets = values(made)
    for secret, host in (
        ("postgresql-tls", "postgresql.database.svc"),
        ("object-store-tls", "object-store.infra.svc"),
        ("keycloak-tls", "keycloak.iam.svc"),
        ("openbao-tls", "openbao.security.svc"),
    ):
        assert host in secrets[secret]["tls.crt"], secret
    hosts = ("prip", "auxip", "metadata", "stac", "ondemand", "cadip", "ingestor", "operations", "auth")
    names = {name: role["allowed_domains"] for name, role in wanted(made)["certificate_roles"].items()}
    assert names.pop("gateway") == [f"{host}.test.example" for host in hosts]
    assert {name: found[0] for name, found in names.items()} == {
        name: f"{name}.processing.svc"
        for name in ("prip", "metadata-search", "stac", "ondemand", "cadip", "ingestor", "operations")
    }

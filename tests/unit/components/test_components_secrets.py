"""Secrets are in Secrets alone, and marked as such for the engine."""

import base64
import json
from typing import Any

from tests.unit.components.mocked_stack import SECRET_MARK, Made


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


def test_a_process_gets_no_more_than_its_own(made: list[Made]) -> None:
    secrets = values(made)
    assert set(secrets["publisher"]) == {"database-password", "kafka.crt", "kafka.key"}
    assert secrets["publisher"]["database-password"] == "PASSWORD-postgresql-publisher"
    assert secrets["publisher"]["kafka.crt"].startswith("certificate kafka-publisher/publisher/")
    assert set(secrets["notifier"]) == {"database-password", "delivery-key"}
    assert secrets["notifier"]["delivery-key"] == secrets["prip"]["delivery-key"]
    assert "delivery-key" not in secrets["cadip"]
    assert set(secrets["topics"]) == {"kafka.crt", "kafka.key"}
    assert secrets["routing"] == {"src.pass": "PASSWORD-src"}
    assert set(secrets["router"]) == {"database-password"}
    assert set(secrets["compression-filter"]) == {"kafka.crt", "kafka.key"}
    assert set(secrets["stations"]) == {"demo.password", "INGESTOR.access-key", "INGESTOR.secret-key"}
    assert "delivery-key" not in secrets["ingestor"]


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
        (
            "gateway-tls",
            "prip.test.example,auxip.test.example,metadata.test.example,stac.test.example,"
            "cadip.test.example,ingestor.test.example,operations.test.example,auth.test.example",
        ),
        ("prip", "prip.processing.svc"),
        ("metadata-search", "metadata-search.processing.svc"),
        ("stac", "stac.processing.svc"),
        ("cadip", "cadip.processing.svc"),
        ("ingestor", "ingestor.processing.svc"),
        ("operations", "operations.processing.svc"),
    ):
        assert host in secrets[secret]["tls.crt"], secret

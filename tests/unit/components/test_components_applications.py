"""Hosted applications under Pulumi's mocks: what is made for each, who reaches it, and what it may have."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.components.mocked_stack import DOMAIN, Made, build

from refsys.infra.applications import Application, expanded

PLANNING, SRA, EYES = (Application.model_validate(each) for each in expanded(["mission-planning", "sra", "xeyes"]))
OWN = Application.model_validate(
    {
        "name": "notes",
        "title": "Notes",
        "image": f"registry.{DOMAIN}:5000/refsys/notes@sha256:{'a' * 64}",
        "host": "memos",
        "roles": {"writer": {"description": "Write notes", "groups": ["operators"]}},
        "database": True,
        "object_store": True,
        "kafka": True,
        "interfaces": ["cadip"],
        "volume": {"size": "1Gi"},
        "backup": {"days": 3},
        "networks": [{"cidr": "192.0.2.7/32", "port": 8443}],
        "quota": {"pods": 3, "cpus": 0.5, "memory_mib": 768},
        "env": {"NOTES_COLOUR": "blue"},
    }
)


@pytest.fixture(scope="module")
def hosted() -> list[Made]:
    return build(applications=[PLANNING, SRA, EYES, OWN])


def of(made: list[Made], kind: str, namespace: str, name: str | None = None) -> Made:
    (found,) = [
        item for item in made if item.kind == kind and item.namespace == namespace and item.name == (name or namespace)
    ]
    return found


def env(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry.get("value", "") for entry in container.get("env", [])}


def pod(made: list[Made], namespace: str, kind: str = "Deployment") -> dict[str, Any]:
    found = of(made, kind, namespace).pod
    assert found is not None
    return found


def gateway(made: list[Made]) -> dict[str, Any]:
    (found,) = [item for item in made if item.kind == "ConfigMap" and item.name == "gateway-config"]
    config: dict[str, Any] = yaml.safe_load(found.inputs["data"]["envoy.yaml"])
    return config


def realm(made: list[Made]) -> dict[str, Any]:
    (found,) = [item for item in made if item.kind == "ConfigMap" and item.name == "keycloak-realm"]
    document: dict[str, Any] = json.loads(found.inputs["data"]["realm.json"])
    return document


def test_nothing_of_them_is_there_unless_declared(made: list[Made]) -> None:
    assert not [item for item in made if (item.namespace or item.name).startswith("app-")]
    assert "app-" not in json.dumps(gateway(made))
    assert not [role for role in realm(made)["roles"]["realm"] if "attributes" in role]


def test_each_has_a_closed_namespace_with_limits(hosted: list[Made]) -> None:
    for name in ("app-mission-planning", "app-sra", "app-xeyes", "app-notes"):
        (namespace,) = [item for item in hosted if item.kind == "Namespace" and item.name == name]
        assert namespace.inputs["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        denial = of(hosted, "NetworkPolicy", name, "default-deny").inputs["spec"]
        assert denial["policyTypes"] == ["Ingress", "Egress"] and not denial.get("egress")
        assert of(hosted, "ServiceAccount", name, "default").inputs["automountServiceAccountToken"] is False
    hard = of(hosted, "ResourceQuota", "app-notes", "application").inputs["spec"]["hard"]
    assert (hard["pods"], hard["requests.cpu"], hard["requests.memory"]) == ("3", "500m", "768Mi")
    assert hard["services.nodeports"] == "0"
    (limits,) = of(hosted, "LimitRange", "app-notes", "application").inputs["spec"]["limits"]
    assert limits["default"] == {"memory": "128Mi"}


def test_what_runs_fits_into_the_quota_twice(hosted: list[Made]) -> None:
    """An update starts the new pod before it ends the old one."""
    for application in (PLANNING, SRA, EYES):
        found = pod(hosted, f"app-{application.name}")
        containers = [*found["containers"], *found["initContainers"]]
        memory = sum(int(each["resources"]["requests"]["memory"].removesuffix("Mi")) for each in containers)
        assert 2 * memory <= application.quota.memory_mib


def reached(
    made: list[Made], namespace: str, name: str | None = None
) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    spec = of(made, "NetworkPolicy", namespace, name).inputs["spec"]

    def peers(rules: list[dict[str, Any]], side: str) -> set[tuple[str, int]]:
        found = set()
        for rule in rules:
            (peer,), (port,) = rule[side], rule["ports"]
            block = peer.get("ipBlock", {}).get("cidr")
            app = peer.get("podSelector", {}).get("matchLabels", {})
            found.add((block or app.get("app.kubernetes.io/name") or app["k8s-app"], port["port"]))
        return found

    return peers(spec.get("ingress", []), "from"), peers(spec.get("egress", []), "to")


def test_only_what_is_declared_is_open(hosted: list[Made]) -> None:
    names = {("kube-dns", 53), ("openbao", 8200)}
    comes, goes = reached(hosted, "app-xeyes")
    assert comes == {("gateway", 8443), ("prometheus", 9902), ("prometheus", 8080)}
    assert goes == names
    comes, goes = reached(hosted, "app-sra")
    assert goes == names | {("postgresql", 5432), ("keycloak", 8443), ("prip", 8443), ("ingestor", 8443)}
    comes, goes = reached(hosted, "app-notes")
    assert goes == names | {
        *(("postgresql", 5432), ("object-store", 7070), ("kafka", 9093)),
        *(("keycloak", 8443), ("cadip", 8443), ("192.0.2.7/32", 8443)),
    }
    comes, goes = reached(hosted, "app-notes", "app-notes-backup")
    assert (comes, goes) == (set(), names | {("postgresql", 5432), ("object-store", 7070)})
    _, prometheus = reached(hosted, "monitoring", "prometheus")
    assert ("app-sra", 8080) in prometheus


def test_pods_are_restricted_and_know_no_token(hosted: list[Made]) -> None:
    for item in hosted:
        if item.pod is None or not (item.namespace or "").startswith("app-"):
            continue
        assert item.pod["automountServiceAccountToken"] is False
        assert item.pod["securityContext"]["runAsNonRoot"] is True
        for container in [*item.pod["containers"], *item.pod["initContainers"]]:
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] is True and context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert "@sha256:" in container["image"]
        own = item.pod["containers"][0]
        mounts = {mount["name"]: mount["readOnly"] for mount in own["volumeMounts"]}
        assert "openbao-token" not in mounts
        assert mounts["secrets"] is True


def test_an_application_is_told_where_what_is(hosted: list[Made]) -> None:
    found = env(pod(hosted, "app-sra")["containers"][0])
    assert found["REFSYS_APPLICATION"] == "sra"
    assert found["REFSYS_PUBLIC_URL"] == f"https://sra.{DOMAIN}"
    assert found["REFSYS_DATABASE_SCHEMA"] == "app_sra"
    assert found["REFSYS_DATABASE_URL"].startswith("postgresql+psycopg://app_sra@postgresql.database.svc")
    assert found["REFSYS_DATABASE_URL"].endswith("options=-csearch_path%3Dapp_sra%2Cpublic")
    assert found["REFSYS_AUXIP_URL"] == "https://prip.processing.svc.cluster.local:8443"
    assert found["REFSYS_INGESTOR_URL"] == "https://ingestor.processing.svc.cluster.local:8443"
    assert found["REFSYS_OAUTH_CLIENT_ID"] == "app-sra-service"
    assert found["REFSYS_OAUTH_CLIENT_SECRET_FILE"] == "/run/refsys/secrets/client-secret"
    assert "REFSYS_S3_BUCKET" not in found and "REFSYS_KAFKA_TOPIC" not in found
    own = pod(hosted, "app-notes", "StatefulSet")
    found = env(own["containers"][0])
    assert (found["REFSYS_S3_BUCKET"], found["REFSYS_KAFKA_TOPIC"]) == ("app-notes", "app-notes")
    assert found["NOTES_COLOUR"] == "blue"
    assert {"name": "data", "mountPath": "/data", "readOnly": False} in own["containers"][0]["volumeMounts"]
    assert env(pod(hosted, "app-xeyes")["containers"][0])["REFSYS_DESKTOP_SESSIONS"] == "user"


def test_secrets_come_from_openbao_alone(hosted: list[Made]) -> None:
    for item in hosted:
        if (item.namespace or "").startswith("app-"):
            assert "PASSWORD-" not in json.dumps(item.inputs) and item.kind != "Secret"
    (setup,) = [item for item in hosted if item.kind == "ConfigMap" and item.name == "openbao-setup"]
    wanted = json.loads(setup.inputs["data"]["wanted.json"])
    assert wanted["roles"]["app-sra"]["bound_service_account_namespaces"] == ["app-sra"]
    assert set(wanted["policies"]["app-xeyes"]["path"]) & {"kv/app-xeyes", "database/creds/app-xeyes"} == set()
    assert "database/creds/app-sra" in wanted["policies"]["app-sra"]["path"]
    assert wanted["database_roles"]["app-sra"]["creation_statements"][0].endswith('IN ROLE "app_sra"')
    assert f"sra.{DOMAIN}" in wanted["certificate_roles"]["gateway"]["allowed_domains"]


def test_the_realm_has_roles_and_clients_of_each(hosted: list[Made]) -> None:
    found = realm(hosted)
    marked = {role["name"] for role in found["roles"]["realm"] if "attributes" in role}
    assert marked == {"mission-planning-viewer", "sra-viewer", "sra-planner", "xeyes-viewer", "notes-writer"}
    clients = {client["clientId"]: client for client in found["clients"]}
    login, service = clients["app-sra"], clients["app-sra-service"]
    assert login["redirectUris"] == [f"https://sra.{DOMAIN}/callback"]
    assert (login["standardFlowEnabled"], login["serviceAccountsEnabled"]) == (True, False)
    assert (service["standardFlowEnabled"], service["serviceAccountsEnabled"]) == (False, True)
    assert all(clients[name]["fullScopeAllowed"] is False for name in ("app-sra", "app-sra-service"))
    assert "app-xeyes-service" not in clients
    assert found["scopes"]["app-sra"] == ["sra-viewer", "sra-planner"]
    assert found["service_roles"]["app-sra-service"] == ["ingestor-user", "prip-user"]
    assert set(found["groups"]["operators"]) >= {"operator", "sra-planner", "notes-writer", "second-factor"}
    assert set(found["users"][0]["realmRoles"]) >= marked


def test_the_database_has_a_schema_of_each_and_drops_others(hosted: list[Made], made: list[Made]) -> None:
    def sql(items: list[Made]) -> str:
        (found,) = [item for item in items if item.kind == "ConfigMap" and item.name == "postgresql-roles"]
        return str(found.inputs["data"]["roles.sql"])

    assert "CREATE SCHEMA IF NOT EXISTS app_sra AUTHORIZATION app_sra;" in sql(hosted)
    assert "GRANT applications TO app_sra;" in sql(hosted)
    kept = "NOT IN ('', 'app_mission_planning', 'app_sra', 'app_notes')"
    assert sql(hosted).count(kept) == 3
    assert sql(made).count("NOT IN ('')") == 3


def test_buckets_and_topics_are_told_to_their_jobs(hosted: list[Made]) -> None:
    for job, variable in (("buckets", "REFSYS_APPLICATIONS_BUCKETS"), ("topics", "REFSYS_APPLICATIONS_TOPICS")):
        (found,) = [item for item in hosted if item.kind == "Job" and item.name.startswith(f"{job}-")]
        assert found.pod is not None
        assert env(found.pod["containers"][0])[variable] == '["app-notes"]'


def test_what_is_saved_and_how_long(hosted: list[Made]) -> None:
    jobs = {item.name for item in hosted if item.kind == "CronJob" and (item.namespace or "").startswith("app-")}
    assert jobs == {
        "app-sra-backup",
        "app-notes-backup",
    }
    item = of(hosted, "CronJob", "app-notes", "app-notes-backup")
    assert item.pod is not None
    secrets, dump = item.pod["initContainers"]
    assert secrets["restartPolicy"] == "Always" and "restartPolicy" not in dump
    assert "--schema=app_notes" in dump["args"][0] and "PASSWORD" not in json.dumps(dump["env"] or [])
    found = env(item.pod["containers"][0])
    assert json.loads(found["REFSYS_BACKUP_FOLDERS"]) == {"volume": "/data", "database": "/var/lib/refsys/dump"}
    assert found["REFSYS_BACKUP_DAYS"] == "3"
    mounts = {mount["name"]: mount["readOnly"] for mount in item.pod["containers"][0]["volumeMounts"]}
    assert mounts["data"] is True


def test_a_chart_stands_behind_envoy_inside_the_namespaces_walls(tmp_path: Path) -> None:
    container = {"name": "web", "image": OWN.image}
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web"}},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}
    (tmp_path / "chart.yaml").write_text(yaml.safe_dump_all([deployment, service]))
    made = build(
        applications=[
            Application.model_validate(
                {
                    "name": "charted",
                    "title": "Chart",
                    "chart": {"manifests": str(tmp_path / "chart.yaml"), "service": "web"},
                    "roles": {"reader": {"description": "Read"}},
                    "networks": [{"cidr": "192.0.2.7/32", "port": 443}],
                }
            )
        ]
    )
    web = of(made, "Deployment", "app-charted", "web").inputs
    assert web["spec"] == deployment["spec"]
    assert web["metadata"]["labels"]["app.kubernetes.io/name"] == "web"
    assert web["metadata"]["labels"]["app.kubernetes.io/part-of"] == "refsys"
    assert of(made, "Service", "app-charted", "web").inputs["spec"] == service["spec"]
    front = pod(made, "app-charted")
    assert [each["name"] for each in front["containers"]] == ["app-charted"]
    assert front["containers"][0]["image"].partition("@")[0].endswith("/gateway")
    (config,) = [
        item for item in made if item.kind == "ConfigMap" and item.namespace == "app-charted" and item.name == "envoy"
    ]
    assert "web.app-charted.svc.cluster.local" in config.inputs["data"]["envoy.yaml"]
    inside = of(made, "NetworkPolicy", "app-charted", "inside").inputs["spec"]
    assert inside["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert {"ipBlock": {"cidr": "192.0.2.7/32"}} in [rule["to"][0] for rule in inside["egress"]]

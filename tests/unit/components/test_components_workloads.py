"""What every workload must be: least privilege, probed, bounded, pinned."""

from typing import Any

from tests.unit.components.mocked_stack import DOMAIN, Made, build

from refsys.platform.components import Mirror, StationNetwork, names
from refsys.platform.components.volume import NODE_FOLDERS, VOLUME_NAMES

RUNNING = ("Deployment", "StatefulSet")
RESTRICTED_VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
ALL = {value for value in vars(names).values() if isinstance(value, names.App)}
ON_REQUEST = {names.THANOS_COMPACTOR, names.THANOS_QUERY, names.THANOS_STORE}
CATALOGUE_OF_APPS = {app for app in ALL if app.namespace != names.SYSTEM} - ON_REQUEST


def pods(made: list[Made]) -> list[tuple[str, dict[str, Any]]]:
    return [(item.name, item.pod) for item in made if item.pod is not None]


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["containers"], *pod.get("initContainers", [])]


def find(made: list[Made], kind: str, name: str) -> Made:
    return next(item for item in made if item.kind == kind and item.name == name)


def test_all_workloads_are_there(made: list[Made]) -> None:
    running = {(item.namespace, item.name) for item in made if item.kind in RUNNING}
    jobs = {(item.namespace, item.name.rpartition("-")[0]) for item in made if item.kind == "Job"}
    scheduled = {(item.namespace, item.name) for item in made if item.kind == "CronJob"}
    made_of = {
        (item.namespace, item.pod["serviceAccountName"]) for item in made if item.kind == "PodTemplate" and item.pod
    }
    assert running | jobs | scheduled | made_of == CATALOGUE_OF_APPS


def test_pods_meet_pod_security_restricted(made: list[Made]) -> None:
    for name, pod in pods(made):
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] > 0, name
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(pod):
            own = dict(container["securityContext"])
            assert own.pop("runAsUser", 1) > 0, name
            assert own == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
        for volume in pod["volumes"]:
            assert set(volume) - {"name"} <= RESTRICTED_VOLUMES, name


def test_namespaces_enforce_pod_security(made: list[Made]) -> None:
    namespaces = [item for item in made if item.kind == "Namespace"]
    assert {item.name for item in namespaces} == set(names.NAMESPACES)
    for item in namespaces:
        labels = item.inputs["metadata"]["labels"]
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "warn", "audit")} == {"restricted"}


def test_pods_have_their_own_account_without_token(made: list[Made]) -> None:
    kept = [item for item in made if item.kind == "ServiceAccount" and item.name != "default"]
    accounts = {(item.namespace, item.name) for item in kept}
    for item in made:
        if item.pod is None:
            continue
        assert (item.namespace, item.pod["serviceAccountName"]) in accounts
        assert item.pod["automountServiceAccountToken"] is False
    assert accounts == CATALOGUE_OF_APPS


def test_running_pods_are_probed_and_bounded(made: list[Made]) -> None:
    for item in made:
        if item.pod is None:
            continue
        container = item.pod["containers"][0]
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}, item.name
        assert set(container["resources"]["limits"]) == {"memory"}, item.name
        if item.kind in RUNNING:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container), item.name


def test_everything_fits_the_smallest_environment(made: list[Made]) -> None:
    cpu = memory = 0
    for _, pod in ((item.name, item.pod) for item in made if item.pod is not None and item.kind != "PodTemplate"):
        for container in containers(pod):
            requests = container["resources"]["requests"]
            cpu += int(requests["cpu"].removesuffix("m"))
            memory += int(requests["memory"].removesuffix("Mi"))
    assert cpu < 1500  # of the 2000 of the worker
    assert memory < 6272  # of the 8192


def test_images_are_pinned_by_digest(made: list[Made]) -> None:
    for name, pod in pods(made):
        assert all("@sha256:" in container["image"] for container in containers(pod)), name


def test_services_point_at_ports_that_pods_open(made: list[Made]) -> None:
    opened = {
        (item.namespace, item.name): {
            port["containerPort"] for container in containers(item.pod) for port in container.get("ports", [])
        }
        for item in made
        if item.kind in RUNNING and item.pod
    }
    for item in made:
        if item.kind == "Service":
            for port in item.inputs["spec"]["ports"]:
                app = item.inputs["spec"]["selector"]["app.kubernetes.io/name"]
                assert port["targetPort"] in opened[item.namespace, app]


def test_local_volumes_lie_on_the_given_node(made: list[Made]) -> None:
    for volume in (item for item in made if item.kind == "PersistentVolume"):
        spec = volume.inputs["spec"]
        if spec["claimRef"]["name"] in NODE_FOLDERS:
            continue
        assert spec["local"]["path"] == f"/var/lib/refsys/volumes/{spec['claimRef']['name']}"
        (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
        assert term["matchExpressions"] == [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["w1"]}]
        claim = find(made, "PersistentVolumeClaim", spec["claimRef"]["name"])
        assert claim.inputs["spec"]["volumeName"] == volume.name
        assert claim.inputs["spec"]["storageClassName"] == "local"


def test_a_cluster_with_a_provisioner_gets_claims_alone() -> None:
    made = build(volume_node=None)
    assert not [item for item in made if item.kind in ("PersistentVolume", "StorageClass")]
    claims = [item for item in made if item.kind == "PersistentVolumeClaim"]
    assert sorted(item.name for item in claims) == sorted(VOLUME_NAMES)
    assert all("storageClassName" not in item.inputs["spec"] for item in claims)


def job_names(made: list[Made]) -> dict[str, str]:
    return {item.name.rpartition("-")[0]: item.name for item in made if item.kind == "Job"}


def test_a_job_is_made_anew_when_its_input_changes(made: list[Made]) -> None:
    before, after = job_names(made), job_names(build(services="2"))
    changed = {job for job in before if before[job] != after[job]}
    assert changed == {"migrate", "topics", "buckets", "keycloak-realm", "openbao-setup"}  # all of the changed image


def test_the_same_input_makes_the_same_objects(made: list[Made]) -> None:
    def plain(items: list[Made]) -> list[str]:
        return sorted(repr((item.kind, item.inputs)) for item in items)

    assert plain(build()) == plain(made)


def test_each_process_has_its_own_identities(made: list[Made]) -> None:
    roles = {}
    polling = ("ingestion-trigger", "ingestion-worker", "catalogue", "compression-worker", "publisher", "lifecycle")
    answering = ("prip", "stac", "cadip", "notifier", "operations", "router")
    without_kafka = {"stac", "operations", "router"}  # the others tell traces
    for process in (*polling, "dlq", *answering):
        item = find(made, "Deployment", process)
        assert item.pod is not None
        env = {entry["name"]: entry.get("value") for entry in item.pod["containers"][0]["env"]}
        roles[process] = env["REFSYS_DATABASE_URL"].partition("//")[2].partition("@")[0]
        assert "sslmode=verify-full" in env["REFSYS_DATABASE_URL"]
        assert ("REFSYS_KAFKA_BOOTSTRAP" in env) == (process not in without_kafka)
    assert roles == {
        "ingestion-trigger": "ingestion",
        "ingestion-worker": "ingestion",
        "catalogue": "catalogue",
        "compression-worker": "compression",
        "router": "router",
        "publisher": "publisher",
        "prip": "prip",
        "stac": "stac",
        "cadip": "cadip",
        "notifier": "notifier",
        "lifecycle": "lifecycle",
        "dlq": "dlq",
        "operations": "operations",
    }


def test_reconciliation_runs_once_a_day_and_never_twice_at_once(made: list[Made]) -> None:
    item = find(made, "CronJob", "reconcile")
    assert item.inputs["spec"]["schedule"] == "15 3 * * *"
    assert item.inputs["spec"]["concurrencyPolicy"] == "Forbid"
    assert item.pod is not None
    assert item.pod["containers"][0]["args"] == ["reconcile"]  # it reports; repair is an operator's decision


def test_the_operators_api_has_its_key_as_a_file(made: list[Made]) -> None:
    item = find(made, "Deployment", "operations")
    assert item.pod is not None
    env = {entry["name"]: entry.get("value") for entry in item.pod["containers"][0]["env"]}
    assert env["REFSYS_API_KEY_FILE"] == "/run/refsys/secrets/api-key"
    assert env["REFSYS_PUBLIC_URL"] == f"https://operations.{DOMAIN}"
    assert "PASSWORD-" not in str(item.inputs)


def test_uploads_lie_on_a_volume_of_one_pod(made: list[Made]) -> None:
    item = find(made, "StatefulSet", "ingestor")
    assert item.pod is not None
    (container,) = item.pod["containers"]
    env = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert env["REFSYS_DATABASE_URL"].startswith("postgresql+psycopg://ingestor@")
    assert (env["REFSYS_CLAMD_HOST"], env["REFSYS_CLAMD_PORT"]) == ("clamav.infra.svc.cluster.local", "3310")
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert mounts[env["REFSYS_INGESTOR_FOLDER"]]["name"] == "uploads"
    assert {"name": "uploads", "persistentVolumeClaim": {"claimName": "ingestor"}} in item.pod["volumes"]


def test_signatures_come_from_a_mirror_only_if_there_is_one(made: list[Made]) -> None:
    bare = find(made, "Deployment", "clamav").pod
    assert bare is not None
    assert [container["name"] for container in bare["containers"]] == ["clamav"]
    mirror = Mirror("https://10.0.0.3/clamav", StationNetwork("10.0.0.3/32", 443))
    built = build(signatures=mirror)
    pod = find(built, "Deployment", "clamav").pod
    assert pod is not None
    daemon, update = pod["containers"]
    assert update["command"] == ["/usr/bin/clamav-update"]
    assert update["env"] == [{"name": "CLAMAV_MIRROR", "value": "https://10.0.0.3/clamav"}]
    assert update["volumeMounts"] == daemon["volumeMounts"]
    assert update["securityContext"] == daemon["securityContext"]
    policy = find(built, "NetworkPolicy", "clamav").inputs["spec"]
    assert {"ipBlock": {"cidr": "10.0.0.3/32"}} in [rule["to"][0] for rule in policy["egress"]]
    assert find(made, "NetworkPolicy", "clamav").inputs["spec"].get("egress", []) == []


FRONTED = {
    "log-store": names.LOG_STORE_PORT,
    "alertmanager": names.ALERTMANAGER_PORT,
    "prometheus": names.PROMETHEUS_PORT,
}


def test_servers_that_know_no_users_are_reached_through_envoy_alone(made: list[Made]) -> None:
    for name, port in FRONTED.items():
        pod = find(made, "StatefulSet", name).pod
        assert pod is not None
        (server, *_), (envoy,) = pod["containers"], pod["initContainers"]
        assert envoy["restartPolicy"] == "Always"  # it starts before the server and ends after it
        opened = [*envoy["ports"], *server["ports"]]
        assert {item["containerPort"] for item in opened} == {port, 8080, 9902}
        assert all(item["name"].startswith("metrics") for item in server["ports"])  # Envoy's too
        assert server["readinessProbe"]["httpGet"]["port"] == 8080
        (listed,) = find(made, "Service", name).inputs["spec"]["ports"]
        assert listed["targetPort"] == port


def test_the_log_store_has_memory_beside_its_heap(made: list[Made]) -> None:
    pod = find(made, "StatefulSet", "log-store").pod
    assert pod is not None
    (server,) = pod["containers"]
    assert server["env"] == [{"name": "OPENSEARCH_HEAP_OPTS", "value": "-Xms512m -Xmx512m"}]
    assert server["resources"]["limits"] == {"memory": "1331Mi"}

"""Production jobs in the deployment: what an order becomes on the declared pod is a pod that the cluster lets run."""

import json
from uuid import uuid4

from tests.unit.components.mocked_stack import Made, build
from tests.unit.components.test_components_workloads import find

from refsys.platform.components import names
from refsys.services.components.production import CLASSES, PROCESSORS, RIGHTS
from refsys.services.execution import manifests, places
from refsys.services.execution.kubernetes import Json
from refsys.services.production.order import Order

IMAGE = f"registry/refsys/level0@sha256:{'a' * 64}"


def order(priority: int = 100) -> Order:
    return Order.model_validate(
        {
            "jobId": uuid4(),
            "chain": "s1-l0",
            "taskTable": "S1_L0",
            "mission": "S1",
            "satellite": "S1A",
            "priority": priority,
            "processor": {"image": "level0", "name": "level0"},
            "tasks": [{"name": "Level0", "command": ["python3", "-m", "level0"]}],
            "outputs": [{"productType": "X", "family": "L0_SLICE", "pattern": ".*"}],
            "cpus": 2,
            "memoryMib": 4096,
            "workdirMib": 500,
        }
    )


def job_of(made: list[Made], given: Order) -> Json:
    [template] = [item for item in made if item.kind == "PodTemplate" and item.namespace == "production-s1"]
    return manifests.job(given, template.inputs["template"], {"level0": IMAGE})


def test_an_order_on_the_declared_pod_is_restricted_and_bounded(made: list[Made]) -> None:
    given = order()
    job = job_of(made, given)
    pod = job["spec"]["template"]["spec"]
    assert job["metadata"]["name"] == f"job-{given.job_id}-0"
    assert job["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] == "jobs-s1"
    assert pod["automountServiceAccountToken"] is False and pod["serviceAccountName"] == "jobs-s1"
    runner, processor = pod["containers"]
    assert processor["image"] == IMAGE
    assert processor["securityContext"] == runner["securityContext"]
    assert processor["resources"] == {"requests": {"cpu": "2", "memory": "4096Mi"}, "limits": {"memory": "4096Mi"}}
    # The processor sees its work folder, how it is told to begin, and the node's inputs; no secret, no token.
    seen = {mount["name"]: mount.get("readOnly", False) for mount in processor["volumeMounts"]}
    assert seen == {"work": False, "tasks": True, "inputs": True, "processor-temporary": False}
    assert {"secrets", "openbao-token", "order"} <= {mount["name"] for mount in runner["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["work"]["emptyDir"] == {"sizeLimit": "500Mi"}
    assert not any("hostPath" in volume for volume in pod["volumes"])
    assert runner["args"] == ["job-runner"]
    assert "initContainers" not in pod
    assert "run-tasks" in runner["lifecycle"]["postStart"]["exec"]["command"][-1]
    json.dumps(job)


def test_all_say_the_same_of_where_jobs_run() -> None:
    assert names.PRODUCTION == places.NAMESPACES
    assert {app.namespace: app.name for app in names.JOBS.values()} == places.RUNNERS


def test_urgent_jobs_go_first_and_none_before_the_platform(made: list[Made]) -> None:
    values = {item.name: item.inputs for item in made if item.kind == "PriorityClass"}
    assert set(values) == set(CLASSES)
    chosen = [values[manifests.class_of(priority)] for priority in (100, 500, 900)]
    assert [each["value"] for each in chosen] == sorted((each["value"] for each in chosen), reverse=True)
    assert all(each["value"] < 0 for each in chosen)
    assert chosen[-1]["preemptionPolicy"] == "Never"
    assert job_of(made, order(900))["spec"]["template"]["spec"]["priorityClassName"] == manifests.LOWEST_CLASS


def test_each_mission_has_its_quota_and_some_of_it_is_for_urgent_jobs(made: list[Made]) -> None:
    quotas = {(item.namespace, item.name): item.inputs["spec"] for item in made if item.kind == "ResourceQuota"}
    assert len(quotas) == 6
    everything, less = (quotas["production-s2", name] for name in ("all", "less-urgent"))
    assert everything["hard"] == {"pods": "4", "requests.cpu": "8000m", "requests.memory": "32768Mi"}
    assert less["hard"] == {"pods": "3", "requests.cpu": "6000m", "requests.memory": "24576Mi"}
    (scope,) = less["scopeSelector"]["matchExpressions"]
    assert manifests.PRIORITY_CLASSES[0][1] not in scope["values"]


def test_execution_may_do_no_more_than_it_does(made: list[Made]) -> None:
    roles = [item for item in made if item.kind == "Role" and item.name == "execution"]
    assert {item.namespace for item in roles} == set(names.PRODUCTION.values())
    for item in roles:
        assert len(item.inputs["rules"]) == len(RIGHTS)
        assert not any("secrets" in rule["resources"] or "*" in rule["verbs"] for rule in item.inputs["rules"])
    pod = find(made, "Deployment", "execution").pod
    assert pod is not None
    env = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    assert set(json.loads(env["REFSYS_EXECUTION_IMAGES"])) == set(PROCESSORS)
    assert "api-token" in {volume["name"] for volume in pod["volumes"]}


def test_inputs_are_kept_on_nodes_that_are_ours(made: list[Made]) -> None:
    volumes = [item.inputs["spec"] for item in made if item.kind == "PersistentVolume"]
    kept = [each for each in volumes if "hostPath" in each]
    assert {each["hostPath"]["path"] for each in kept} == {
        f"/var/lib/refsys/volumes/jobs-{mission}" for mission in ("s1", "s2", "s3")
    }
    assert all("nodeAffinity" not in each and each["accessModes"] == ["ReadWriteMany"] for each in kept)
    elsewhere = build(volume_node=None)
    [template] = [item for item in elsewhere if item.kind == "PodTemplate" and item.namespace == "production-s1"]
    job = manifests.job(order(), template.inputs["template"], {"level0": IMAGE})
    assert "inputs" not in {volume["name"] for volume in job["spec"]["template"]["spec"]["volumes"]}

"""An order as a Kubernetes Job: the pod that the deployment declares for its mission, and the processor in it."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from refsys.services.execution.errors import JobError
from refsys.services.execution.places import MISSIONS, NAMESPACES
from refsys.services.execution.tasks import Place, command
from refsys.services.production.order import Order

JOB_LABEL, ATTEMPT_LABEL = "refsys/job", "refsys/attempt"
PROCESSOR = "processor"
TEMPLATE = "production-job"
"""The PodTemplate in a mission's namespace."""
WORK, TASKS, INPUTS = "work", "tasks", "inputs"
"""Volumes of that template that the processor sees too."""
WORK_FOLDER, TASKS_FOLDER, INPUTS_FOLDER = Path("/work"), Path("/run/refsys/tasks"), Path("/var/cache/refsys/inputs")
ORDER_FOLDER, ORDER_FILE = "/etc/refsys/order", "order.json"
PRIORITY_CLASSES = ((100, "refsys-production-urgent"), (500, "refsys-production-standard"))
LOWEST_CLASS = "refsys-production-low"
KEPT_SECONDS = 3600
LOST_NODE_SECONDS = 60
TRANSFER_SECONDS = 1800
TRANSFER_MIB_A_SECOND = 10
MIB = 2**20

Json = dict[str, Any]


def namespace_of(mission: str) -> str:
    """Return the namespace of a mission's jobs."""
    if mission not in NAMESPACES:
        raise JobError(f"there are no jobs of mission {mission!r}, only of {', '.join(MISSIONS)}")
    return NAMESPACES[mission]


def name_of(job: UUID, attempt: int) -> str:
    """Return the name of an attempt, by which it is made once."""
    return f"job-{job}-{attempt}"


def class_of(priority: int) -> str:
    """Return the priority class."""
    return next((name for limit, name in PRIORITY_CLASSES if priority <= limit), LOWEST_CLASS)


def image_of(order: Order, images: Mapping[str, str]) -> str:
    """Return the reference of the processor's image."""
    image = order.processor.image
    if image in images:
        return images[image]
    if "@sha256:" not in image:
        known = ", ".join(sorted(images)) or "none"
        raise JobError(f"processor image {image!r} is neither one of this environment ({known}) nor has it a digest")
    return image


def labels_of(order: Order) -> dict[str, str]:
    """Return the labels by which what belongs to an attempt is found."""
    return {
        "app.kubernetes.io/part-of": "refsys",
        JOB_LABEL: str(order.job_id),
        ATTEMPT_LABEL: str(order.attempt),
    }


def job(order: Order, template: Json, images: Mapping[str, str], *, suspended: bool = False) -> Json:
    """Return the Job of an attempt; `template` is the mission's pod."""
    name = name_of(order.job_id, order.attempt)
    pod = copy.deepcopy(template)
    metadata, spec = pod.setdefault("metadata", {}), pod["spec"]
    metadata["labels"] = metadata.get("labels", {}) | labels_of(order)
    brought = [*order.inputs, *(order.bench.reference if order.bench else ())]
    inputs = -(-sum(given.size for given in brought) // MIB)
    for volume in spec["volumes"]:
        if volume["name"] == WORK:
            # Inputs lie in it as well where the node keeps none.
            volume["emptyDir"] = {"sizeLimit": f"{order.workdir_mib + inputs}Mi"}
    spec["volumes"] += [
        {"name": "order", "configMap": {"name": name, "defaultMode": 0o444}},
        {"name": "processor-temporary", "emptyDir": {"sizeLimit": f"{order.workdir_mib}Mi"}},
    ]
    runner = spec["containers"][0]
    runner.setdefault("volumeMounts", []).append({"name": "order", "mountPath": ORDER_FOLDER, "readOnly": True})
    spec["containers"].append(_processor(order, spec, image_of(order, images)))
    spec["priorityClassName"] = class_of(order.priority)
    transfers = TRANSFER_SECONDS + (inputs + order.workdir_mib) // TRANSFER_MIB_A_SECOND
    spec["activeDeadlineSeconds"] = order.total_timeout_seconds + transfers
    spec["restartPolicy"] = "Never"
    spec["tolerations"] = spec.get("tolerations", []) + [
        {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}
        for key, seconds in (("not-ready", LOST_NODE_SECONDS), ("unreachable", LOST_NODE_SECONDS))
    ]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels_of(order)},
        "spec": {
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "suspend": suspended,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {"metadata": metadata, "spec": spec},
        },
    }


def _processor(order: Order, spec: Json, image: str) -> Json:
    place = Place(TASKS_FOLDER)
    work = WORK_FOLDER / "job"
    mounts = [
        {"name": WORK, "mountPath": str(WORK_FOLDER)},
        {"name": TASKS, "mountPath": str(TASKS_FOLDER), "readOnly": True},
        {"name": "processor-temporary", "mountPath": "/tmp"},  # noqa: S108 - the container's own
    ]
    if any(volume["name"] == INPUTS for volume in spec["volumes"]):
        mounts.append({"name": INPUTS, "mountPath": str(INPUTS_FOLDER), "readOnly": True})
    memory = f"{order.memory_mib}Mi"
    cpu = {"cpu": f"{order.cpus:g}"}
    return {
        "name": PROCESSOR,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command(order, place, work, work / "JobOrder.xml"),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - the container's own
        "volumeMounts": mounts,
        "resources": {
            "requests": cpu | {"memory": memory},
            # Others may use more where there is room; what a bench run takes must not depend on its neighbours.
            "limits": {"memory": memory} | (cpu if order.bench else {}),
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def order_map(order: Order, owner: Json) -> Json:
    """Return the ConfigMap with the order, which goes with its Job."""
    metadata = owner["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": metadata["name"],
            "labels": labels_of(order),
            "ownerReferences": [
                {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
            ],
        },
        "immutable": True,
        "data": {ORDER_FILE: order.model_dump_json(by_alias=True)},
    }

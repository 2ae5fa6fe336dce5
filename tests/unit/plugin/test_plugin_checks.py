"""Readiness checks and the reasons they give."""

from typing import Any

import pytest

from refsys.infra.plugins.kubernetes.objects import Kind
from refsys.infra.plugins.kubernetes.readiness import check_for, diagnose


class Objects:
    """Other objects of a cluster, as plain data."""

    def __init__(self, *objects: dict[str, Any], log: str = "") -> None:
        self.objects = objects
        self.log = log

    def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        return next((item for item in self.list(kind, namespace) if item["metadata"]["name"] == name), None)

    def list(self, kind: Kind, namespace: str | None, **query: str) -> list[dict[str, Any]]:
        return [item for item in self.objects if item["kind"] == kind.name]

    def log_tail(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        return f"{self.log} ({previous=})" if self.log else ""


def state(group: str, kind: str, live: dict[str, Any], *others: dict[str, Any]) -> tuple[bool, bool]:
    check = check_for(Kind(group, "v1", kind))
    assert check is not None
    result = check[0]({"metadata": {"generation": 2}, "spec": {}, **live}, Objects(*others))
    assert result.ready or result.missing
    return result.ready, result.failed


def conditions(**values: str) -> list[dict[str, str]]:
    return [{"type": key, "status": value, "reason": "Because", "message": "why"} for key, value in values.items()]


SEEN = {"observedGeneration": 2}
ROLLED = {**SEEN, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}
SET = {**SEEN, "updatedReplicas": 2, "readyReplicas": 2, "currentRevision": "b", "updateRevision": "b"}
DAEMON = {**SEEN, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2}
TWO = {"replicas": 2}
LATE = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]
READY, WAITING, FAILED = (True, False), (False, False), (False, True)


@pytest.mark.parametrize(
    ("group", "kind", "live", "expected"),
    [
        ("apps", "Deployment", {"spec": TWO, "status": ROLLED}, READY),
        ("apps", "Deployment", {"spec": {"replicas": 0}, "status": SEEN}, READY),
        ("apps", "Deployment", {"spec": TWO, "status": {**ROLLED, "observedGeneration": 1}}, WAITING),
        ("apps", "Deployment", {"spec": TWO, "status": {**ROLLED, "replicas": 3}}, WAITING),
        ("apps", "Deployment", {"spec": TWO, "status": {**ROLLED, "availableReplicas": 1}}, WAITING),
        ("apps", "Deployment", {"spec": TWO, "status": {**SEEN, "conditions": LATE}}, FAILED),
        ("apps", "StatefulSet", {"spec": TWO, "status": SET}, READY),
        ("apps", "StatefulSet", {"spec": TWO, "status": {**SET, "currentRevision": "a"}}, WAITING),
        ("apps", "StatefulSet", {"spec": TWO, "status": {**SET, "readyReplicas": 1}}, WAITING),
        (
            "apps",
            "StatefulSet",
            {"spec": {**TWO, "updateStrategy": {"type": "OnDelete"}}, "status": {**SET, "currentRevision": "a"}},
            READY,
        ),
        ("apps", "DaemonSet", {"status": DAEMON}, READY),
        ("apps", "DaemonSet", {"status": SEEN}, READY),
        ("apps", "DaemonSet", {"status": {**DAEMON, "updatedNumberScheduled": 1}}, WAITING),
        ("apps", "DaemonSet", {"status": {**DAEMON, "numberAvailable": 1}}, WAITING),
        ("batch", "Job", {"status": {"conditions": conditions(Complete="True")}}, READY),
        ("batch", "Job", {"status": {"active": 1}}, WAITING),
        ("batch", "Job", {"status": {"conditions": conditions(Failed="True")}}, FAILED),
        ("batch", "Job", {"spec": {"suspend": True}}, READY),
        ("", "Pod", {"status": {"conditions": conditions(Ready="True")}}, READY),
        ("", "Pod", {"status": {"phase": "Failed"}}, FAILED),
        ("", "Namespace", {"status": {"phase": "Active"}}, READY),
        ("", "Namespace", {"status": {"phase": "Terminating"}}, WAITING),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            {"status": {"conditions": conditions(NamesAccepted="True", Established="True")}},
            READY,
        ),
        ("apiextensions.k8s.io", "CustomResourceDefinition", {}, WAITING),
        (
            "apiextensions.k8s.io",
            "CustomResourceDefinition",
            {"status": {"conditions": conditions(NamesAccepted="False")}},
            FAILED,
        ),
    ],
)
def test_checks(group: str, kind: str, live: dict[str, Any], expected: tuple[bool, bool]) -> None:
    assert state(group, kind, live) == expected


@pytest.mark.parametrize(
    ("mode", "phase", "expected"),
    [
        ("Immediate", "Pending", WAITING),
        ("WaitForFirstConsumer", "Pending", READY),
        ("Immediate", "Bound", READY),
        ("Immediate", "Lost", FAILED),
    ],
)
def test_claims_wait_only_for_immediate_binding(mode: str, phase: str, expected: tuple[bool, bool]) -> None:
    storage = {"kind": "StorageClass", "metadata": {"name": "fast"}, "volumeBindingMode": mode}
    live = {"spec": {"storageClassName": "fast"}, "status": {"phase": phase}}
    assert state("", "PersistentVolumeClaim", live, storage) == expected


def test_other_kinds_are_ready_at_once() -> None:
    assert check_for(Kind("", "v1", "ConfigMap")) is None


def test_diagnosis_tells_reasons_exit_codes_last_lines_and_events() -> None:
    pod = {
        "kind": "Pod",
        "metadata": {"name": "web-1", "namespace": "a", "uid": "2"},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "full"}],
            "containerStatuses": [
                {
                    "name": "web",
                    "ready": False,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}},
                    "lastState": {"terminated": {"exitCode": 3, "reason": "Error"}},
                }
            ],
        },
    }
    event = {
        "kind": "Event",
        "metadata": {"name": "e"},
        "reason": "FailedCreate",
        "message": "quota exceeded",
        "count": 4,
    }
    live = {
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "a", "uid": "1"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}},
    }
    text = "\n".join(diagnose(live, Objects(pod, event, log="cannot open database")))
    for part in (
        "pod web-1: Pending",
        "not scheduled: Unschedulable: full",
        "container web waits: CrashLoopBackOff: back-off",
        "exit code 3 - Error",
        "| cannot open database (previous=True)",
        "event of Deployment web: FailedCreate: quota exceeded (4 times)",
    ):
        assert part in text

"""Why a pod ended without a result, and whether that is tried again."""

from typing import Any

import pytest

from refsys.services.execution.tables import Phase
from refsys.services.execution.verdict import has_ended, killed, phase, runner_ended, verdict
from refsys.services.production.states import Outcome

Json = dict[str, Any]


def pod(created: str = "1", **status: Any) -> Json:
    return {"metadata": {"creationTimestamp": created}, "spec": {}, "status": status}


def disrupted(reason: str) -> Json:
    return pod(conditions=[{"type": "DisruptionTarget", "status": "True", "reason": reason, "message": "m"}])


def container(name: str, **state: Json) -> Json:
    return {"name": name, "state": state}


@pytest.mark.parametrize(
    ("pods", "again", "counts", "reason"),
    [
        ([], True, True, "its pod was lost"),
        ([disrupted("PreemptionByScheduler")], True, False, "more urgent"),
        ([disrupted("DeletionByTaintManager")], True, True, "its node was lost"),
        ([disrupted("EvictionByEvictionAPI")], True, True, "its node was emptied"),
        ([disrupted("Another")], True, True, "m"),
        ([pod(reason="Evicted", message="The node had condition: [DiskPressure].")], True, True, "DiskPressure"),
        ([pod(reason="Evicted", message="Usage of EmptyDir volume exceeds the limit")], False, True, "it wrote more"),
        ([pod(reason="Evicted", message="Pod ephemeral local storage usage exceeds")], False, True, "it wrote more"),
        ([pod(reason="DeadlineExceeded")], False, True, "took too long"),
        ([pod(reason="NodeShutdown")], True, True, "NodeShutdown"),
        ([pod(reason="OutOfmemory")], True, True, "OutOfmemory"),
        (
            [pod(containerStatuses=[container("jobs-s1", terminated={"exitCode": 1, "reason": "Error"})])],
            True,
            True,
            "its jobs-s1 failed: Error, exit code 1",
        ),
        (
            [pod(initContainerStatuses=[container("tasks", terminated={"exitCode": 1})])],
            True,
            True,
            "its tasks failed",
        ),
        ([pod("2", phase="Failed"), pod("1", reason="DeadlineExceeded")], True, True, "without a result"),
    ],
)
def test_only_what_is_not_the_job_s_fault_is_tried_again(
    pods: list[Json], again: bool, counts: bool, reason: str
) -> None:
    found = verdict(pods)
    assert (found.again, found.counts) == (again, counts)
    assert reason in found.reason
    assert found.outcome is (Outcome.TIMEOUT if "too long" in reason else Outcome.NOK)


def test_a_pod_that_is_being_deleted_is_tried_again() -> None:
    deleted = pod()
    deleted["metadata"]["deletionTimestamp"] = "2026-11-22T12:00:00Z"
    assert verdict([deleted]).reason == "its pod was deleted"


def test_a_container_without_memory_has_a_name() -> None:
    ended = pod(containerStatuses=[container("processor", terminated={"exitCode": 137, "reason": "OOMKilled"})])
    assert killed([ended], 512) == "the processor took more memory than its limit of 512 MiB"
    assert killed([pod()], 512) is None
    assert not runner_ended([ended])
    assert runner_ended([pod(containerStatuses=[container("jobs-s1", terminated={"exitCode": 0})])])


def test_a_job_has_ended_when_the_cluster_gave_it_up() -> None:
    for kind, ended in (("Complete", True), ("Failed", True), ("FailureTarget", True), ("Suspended", False)):
        assert has_ended({"status": {"conditions": [{"type": kind, "status": "True"}]}}) is ended
    assert not has_ended({"status": {"conditions": [{"type": "Failed", "status": "False"}]}})
    assert not has_ended({})


def test_where_a_job_is_has_a_reason() -> None:
    job: Json = {"spec": {}}
    assert phase({"spec": {"suspend": True}}, []) == (Phase.SUSPENDED, "held by an operator", "")
    assert phase(job, [])[:2] == (Phase.QUEUED, "waits until the mission's quota has room")
    unscheduled = pod(conditions=[{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}])
    assert phase(job, [unscheduled])[:2] == (Phase.QUEUED, "waits for a node: 0/2 nodes")
    pulling = pod(containerStatuses=[container("processor", waiting={"reason": "ErrImagePull", "message": "gone"})])
    assert "container processor can't start: ErrImagePull: gone" in phase(job, [pulling])[1]
    running = pod(phase="Running")
    running["spec"]["nodeName"] = "w1"
    assert phase(job, [running]) == (Phase.RUNNING, "", "w1")

"""Orders as JobOrder files, their class and image, and whose REPORT lines are believed."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from refsys.services.execution.errors import JobError
from refsys.services.execution.manifests import class_of, image_of, job
from refsys.services.kpi import lines
from refsys.services.processors.jobs import read_job_order
from refsys.services.production.order import Order, job_order_xml


def order(**more: Any) -> Order:
    values = {
        "jobId": uuid4(),
        "chain": "s1-aiop",
        "taskTable": "S1_AIOP",
        "mission": "S1",
        "satellite": "S1A",
        "processor": {"image": "level0", "name": "LEVEL0", "version": "1.0"},
        "tasks": [{"name": "LEVEL0", "command": ["level0"]}],
        "parameters": {"Processing_Station": "SGS_", "Satellite": "S1A"},
        "inputs": [
            {"name": name, "productType": "DSDB", "family": "EDRS_SESSION", "bucket": "b", "key": name, "size": 1}
            for name in ("DCS_01_X_ch1_DSDB_00001.raw", "DCS_01_X_ch1_DSDB_00002.raw")
        ],
        "outputs": [{"productType": "IW_RAW__0S", "family": "L0_SEGMENT", "pattern": ".*"}],
    }
    return Order.model_validate(values | more)


def test_the_level_0_processor_reads_the_job_order(tmp_path: Path) -> None:
    path = tmp_path / "job" / "JobOrder.xml"
    path.parent.mkdir()
    path.write_bytes(job_order_xml(order()))
    read = read_job_order(path)
    assert [each.name for each in read.inputs["DSDB"]] == ["DCS_01_X_ch1_DSDB_00001.raw", "DCS_01_X_ch1_DSDB_00002.raw"]
    assert read.outputs == {"IW_RAW__0S": tmp_path / "job"}
    assert (read.station, read.parameters["Satellite"]) == ("SGS_", "S1A")


def test_priority_and_image() -> None:
    assert [class_of(each).rpartition("-")[2] for each in (1, 100, 101, 500, 900)] == [
        "urgent",
        "urgent",
        "standard",
        "standard",
        "low",
    ]
    pinned = f"registry.example.org/refsys/ipf@sha256:{'a' * 64}"
    assert image_of(order(), {"level0": pinned}) == pinned
    assert image_of(order(processor={"image": pinned, "name": "x"}), {}) == pinned
    with pytest.raises(JobError, match="neither one of this environment"):
        image_of(order(), {})


def test_of_a_job_s_pod_only_the_runner_is_believed() -> None:
    task = {"uid": str(uuid4()), "name": "Processing", "event": "BEGIN", "satellite": "S1A", "input": {}}
    header = {
        "type": "REPORT",
        "timestamp": "2026-11-22T12:00:00.000000Z",
        "mission": "S1",
        "rs_chain_name": "x",
        "rs_chain_version": "1",
        "workflow": "NOMINAL",
    }
    text = json.dumps({"header": header, "task": task})

    def read(**record: str) -> bool:
        return lines.read(json.dumps({"message": text, **record}).encode()) is not None

    assert read(namespace="processing", container="catalogue")
    assert read(namespace="production-s1", container="jobs-s1")
    assert not read(namespace="production-s1", container="processor")
    assert not read(namespace="production-s2", container="jobs-s1")
    assert not read(namespace="production-s1")


def test_a_job_goes_to_the_nodes_of_its_template_and_leaves_lost_ones() -> None:
    toleration = {"key": "refsys/pool", "operator": "Equal", "value": "processing"}
    template: dict[str, Any] = {"spec": {"containers": [{"name": "runner"}], "volumes": []}}
    plain = job(order(), template, {"level0": "r@sha256:1"})["spec"]["template"]["spec"]
    lost = [each["key"] for each in plain["tolerations"]]
    assert lost == ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
    template["spec"] |= {"nodeSelector": {"refsys/pool": "processing"}, "tolerations": [toleration]}
    placed = job(order(), template, {"level0": "r@sha256:1"})["spec"]["template"]["spec"]
    assert placed["nodeSelector"] == {"refsys/pool": "processing"}
    assert placed["tolerations"] == [toleration, *plain["tolerations"]]

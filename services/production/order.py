"""The order of a production job: all that execution needs, as a message and as JobOrder XML."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from lxml import etree
from pydantic import Field

from refsys.services.common.messages import Model, Timestamp

TASK_SECONDS = 600
RETRIES_LIMIT = 10
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class Processor(Model):
    """The program that does the job: `image` is a name of the distribution's images, or a reference with digest."""

    image: str = Field(min_length=1)
    name: str = Field(min_length=1)
    version: str = ""


class Task(Model):
    """A step of the processor: a command that gets the JobOrder's path as its last argument."""

    name: str = Field(pattern=NAME)
    command: list[str] = Field(min_length=1)
    timeout_seconds: int = Field(default=TASK_SECONDS, gt=0)


class InputChecksum(Model):
    """What an input's bytes must add up to."""

    algorithm: str
    value: str


class Input(Model):
    """A product in the object store that the job reads, one object or the folder of objects below `key`."""

    name: str = Field(pattern=NAME)
    product_type: str
    family: str
    bucket: str
    key: str
    size: int = Field(ge=0)
    checksum: InputChecksum | None = None
    folder: bool = False
    mandatory: bool = True
    start_time: Timestamp | None = None
    stop_time: Timestamp | None = None


class Output(Model):
    """A kind of product that the job makes; `pattern` matches whole names."""

    product_type: str
    family: str
    pattern: str
    mandatory: bool = True
    end_to_end: bool = True
    oqc_check: bool = False


class Bench(Model):
    """A run of the processor bench: it is held to its cores, and nothing of it is stored or published.

    Its outputs are compared with `reference` by `rules` (`refsys.services.bench.rules`).
    """

    reference: list[Input] = Field(default_factory=list)
    rules: dict[str, Any] = Field(default_factory=dict)


class Order(Model):
    """The order of a production job."""

    job_id: UUID
    attempt: int = Field(default=0, ge=0)
    chain: str
    task_table: str
    mission: str
    satellite: str
    timeliness: str = ""
    priority: int = 900
    processor: Processor
    tasks: list[Task] = Field(min_length=1)
    total_timeout_seconds: int = Field(default=3600, gt=0)
    retries: int = Field(default=0, ge=0, le=RETRIES_LIMIT)
    """How often it is tried again after an error of its own."""
    cpus: float = Field(default=1, gt=0)
    memory_mib: int = Field(default=1024, gt=0)
    workdir_mib: int = Field(default=1024, gt=0)
    start_time: Timestamp | None = None
    stop_time: Timestamp | None = None
    processing_mode: str = "NOMINAL"
    parameters: dict[str, str] = Field(default_factory=dict)
    inputs: list[Input] = Field(default_factory=list)
    outputs: list[Output] = Field(min_length=1)
    t0_pdgs_date: Timestamp | None = None
    bench: Bench | None = None
    traceparent: str = ""

    def key(self) -> str:
        """The Kafka key."""
        return str(self.job_id)


def job_order_xml(order: Order) -> bytes:
    """Return the JobOrder file; names of files are below the folder it lies in."""
    root = etree.Element("Ipf_Job_Order")
    configuration = _add(root, "Ipf_Conf")
    _add(configuration, "Processor_Name", order.processor.name)
    _add(configuration, "Version", order.processor.version)
    _add(configuration, "Order_Type", order.processing_mode)
    _add(configuration, "Processing_Station", order.parameters.get("Processing_Station", ""))
    _add(configuration, "Stdout_Log_Level", "INFO")
    _add(configuration, "Stderr_Log_Level", "INFO")
    _add(configuration, "Test", "false")
    _add(configuration, "Breakpoint_Enable", "false")
    if order.start_time and order.stop_time:
        sensing = _add(configuration, "Sensing_Time")
        _add(sensing, "Start", _time(order.start_time))
        _add(sensing, "Stop", _time(order.stop_time))
    parameters = _listed(configuration, "List_of_Dynamic_Processing_Parameters", len(order.parameters))
    for name, value in order.parameters.items():
        parameter = _add(parameters, "Processing_Parameter")
        _add(parameter, "Name", name)
        _add(parameter, "Value", value)
    tasks = _listed(root, "List_of_Ipf_Procs", len(order.tasks))
    for task in order.tasks:
        element = _add(tasks, "Ipf_Proc")
        _add(element, "Task_Name", task.name)
        _add(element, "Task_Version", order.processor.version)
        _inputs(element, order.inputs)
        _outputs(element, order.outputs)
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return text


def _inputs(task: etree._Element, inputs: Iterable[Input]) -> None:
    kinds: dict[str, list[Input]] = {}
    for each in inputs:
        kinds.setdefault(each.product_type, []).append(each)
    listed = _listed(task, "List_of_Inputs", len(kinds))
    for kind, files in kinds.items():
        element = _add(listed, "Input")
        _add(element, "File_Type", kind)
        _add(element, "File_Name_Type", "Physical")
        names = _listed(element, "List_of_File_Names", len(files))
        for each in files:
            _add(names, "File_Name", each.name)
        timed = [each for each in files if each.start_time and each.stop_time]
        intervals = _listed(element, "List_of_Time_Intervals", len(timed))
        for each in timed:
            interval = _add(intervals, "Time_Interval")
            _add(interval, "Start", _time(each.start_time))
            _add(interval, "Stop", _time(each.stop_time))
            _add(interval, "File_Name", each.name)


def _outputs(task: etree._Element, outputs: Iterable[Output]) -> None:
    outputs = list(outputs)
    listed = _listed(task, "List_of_Outputs", len(outputs))
    for each in outputs:
        element = _add(listed, "Output")
        _add(element, "Mandatory", str(each.mandatory).lower())
        _add(element, "File_Type", each.product_type)
        _add(element, "File_Name_Type", "Directory")
        _add(element, "File_Name", ".")


def _time(moment: datetime | None) -> str:
    return f"{moment:%Y%m%d_%H%M%S%f}" if moment else ""


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    element = etree.SubElement(parent, name)
    element.text = text
    return element


def _listed(parent: etree._Element, name: str, count: int) -> etree._Element:
    element = etree.SubElement(parent, name)
    element.set("count", str(count))
    return element

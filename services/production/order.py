"""The job order: what a processor's job is made of, as a message to the execution and as the processor's XML."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from uuid import UUID

from lxml import etree
from pydantic import Field

from refsys.services.common.messages import Model, Timestamp

EXECUTION_JOB = "execution-job"
STATION = "Processing_Station"
"""The parameter that says which station a session came from; the XML has it in a place of its own."""


class Processor(Model):
    """The image of a processor, and what the processor calls itself."""

    image: str
    name: str
    version: str


class OrderTask(Model):
    """A program of the processor, and how long it may take."""

    name: str
    command: list[str]
    timeout_seconds: int = 600


class OrderChecksum(Model):
    """What an input's content must be."""

    algorithm: str
    value: str


class OrderInput(Model):
    """A product for the job; `folder` is one of many objects below its key, which has no checksum."""

    name: str
    product_type: str
    family: str
    bucket: str
    key: str
    size: int
    checksum: OrderChecksum | None = None
    folder: bool = False
    mandatory: bool = True
    start_time: Timestamp
    stop_time: Timestamp


class OrderOutput(Model):
    """A product that the job makes; `pattern` matches the whole of its name."""

    product_type: str
    family: str
    pattern: str
    mandatory: bool = True
    end_to_end: bool = True
    oqc_check: bool = True


class ExecutionJob(Model):
    """A job that has all its inputs."""

    job_id: UUID
    attempt: int = 0
    chain: str
    task_table: str
    mission: str
    satellite: str
    timeliness: str = ""
    priority: int
    processor: Processor
    tasks: list[OrderTask]
    total_timeout_seconds: int = 3600
    cpus: float
    memory_mib: int
    workdir_mib: int
    start_time: Timestamp
    stop_time: Timestamp
    processing_mode: str = "NOMINAL"
    parameters: Mapping[str, str] = Field(default_factory=dict)
    inputs: list[OrderInput]
    outputs: list[OrderOutput]
    t0_pdgs_date: Timestamp | None = None
    traceparent: str | None = None

    def key(self) -> str:
        """The Kafka key."""
        return str(self.job_id)


def job_order_xml(order: ExecutionJob) -> bytes:
    """The `Ipf_Job_Order` of a job; names of inputs are relative to the work directory."""
    root = etree.Element("Ipf_Job_Order")
    _configuration(root, order)
    procs = etree.SubElement(root, "List_of_Ipf_Procs", count=str(len(order.tasks)))
    for task in order.tasks:
        proc = etree.SubElement(procs, "Ipf_Proc")
        _text(proc, "Task_Name", task.name)
        _text(proc, "Task_Version", order.processor.version)
        _inputs(proc, order)
        _outputs(proc, order)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _configuration(root: etree._Element, order: ExecutionJob) -> None:
    configuration = etree.SubElement(root, "Ipf_Conf")
    for name, value in (
        ("Processor_Name", order.processor.name),
        ("Version", order.processor.version),
        ("Stdout_Log_Level", "INFO"),
        ("Stderr_Log_Level", "ERROR"),
        ("Test", "false"),
        ("Breakpoint_Enable", "false"),
        ("Processing_Station", order.parameters.get(STATION, "")),
    ):
        _text(configuration, name, value)
    sensing = etree.SubElement(configuration, "Sensing_Time")
    _text(sensing, "Start", _time(order.start_time))
    _text(sensing, "Stop", _time(order.stop_time))
    parameters = {name: value for name, value in order.parameters.items() if name != STATION}
    listed = etree.SubElement(configuration, "List_of_Dynamic_Processing_Parameters", count=str(len(parameters)))
    for name, value in parameters.items():
        parameter = etree.SubElement(listed, "Processing_Parameter")
        _text(parameter, "Name", name)
        _text(parameter, "Value", value)


def _inputs(proc: etree._Element, order: ExecutionJob) -> None:
    groups = dict(_by_type(order))
    listed = etree.SubElement(proc, "List_of_Inputs", count=str(len(groups)))
    for kind, inputs in groups.items():
        element = etree.SubElement(listed, "Input")
        _text(element, "File_Type", kind)
        _text(element, "File_Name_Type", "Physical")
        names = etree.SubElement(element, "List_of_File_Names", count=str(len(inputs)))
        intervals = etree.SubElement(element, "List_of_Time_Intervals", count=str(len(inputs)))
        for each in inputs:
            _text(names, "File_Name", each.name)
            interval = etree.SubElement(intervals, "Time_Interval")
            _text(interval, "Start", _time(each.start_time))
            _text(interval, "Stop", _time(each.stop_time))
            _text(interval, "File_Name", each.name)


def _by_type(order: ExecutionJob) -> Iterator[tuple[str, list[OrderInput]]]:
    for kind in dict.fromkeys(each.product_type for each in order.inputs):
        yield kind, [each for each in order.inputs if each.product_type == kind]


def _outputs(proc: etree._Element, order: ExecutionJob) -> None:
    listed = etree.SubElement(proc, "List_of_Outputs", count=str(len(order.outputs)))
    for each in order.outputs:
        element = etree.SubElement(listed, "Output")
        _text(element, "File_Type", each.product_type)
        _text(element, "File_Name_Type", "Regexp")
        _text(element, "File_Name", f"^{each.pattern}$")


def _text(parent: etree._Element, name: str, value: str) -> None:
    etree.SubElement(parent, name).text = value


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%d_%H%M%S%f").rjust(21, "0")

"""Job orders (`Ipf_Job_Order`): what a processor is told to do, as the Sentinels' processors read it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from refsys.services.catalogue.xml import UnreadableError, child, elements, local, read_document, text
from refsys.services.processors.errors import ProcessorError

_FOLDER = "Directory"  # File_Name_Type; of the other types the folder of the name is meant


@dataclass(frozen=True)
class JobOrder:
    """A job order: its inputs and output folders by file type, and the dynamic processing parameters."""

    path: Path
    station: str = ""
    inputs: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    outputs: Mapping[str, Path] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def work_folder(self) -> Path:
        """Where the job runs: the folder of the job order."""
        return self.path.parent


def read_job_order(path: Path) -> JobOrder:
    """Read a job order; relative names in it are below its folder."""
    try:
        with path.open("rb") as file:
            root = read_document(file)
    except (OSError, UnreadableError) as error:
        raise ProcessorError(f"job order {path}: {error}", fix="give a readable Ipf_Job_Order") from None
    if local(root) != "Ipf_Job_Order":
        raise ProcessorError(f"job order {path} is a {local(root)[:60]}", fix="give an Ipf_Job_Order")
    folder = path.resolve().parent
    configuration = child(root, "Ipf_Conf")
    parameters = {}
    for element in elements(root, "Processing_Parameter"):
        parameters[text(element, "Name") or ""] = text(element, "Value") or ""
    inputs: dict[str, tuple[Path, ...]] = {}
    for element in elements(root, "Input"):
        kind = text(element, "File_Type") or ""
        names = child(element, "List_of_File_Names")
        if names is not None:
            found = (folder / (name.text or "").strip() for name in elements(names, "File_Name"))
            inputs[kind] = (*inputs.get(kind, ()), *found)
    outputs = {}
    for element in elements(root, "Output"):
        name = folder / (text(element, "File_Name") or ".")
        outputs[text(element, "File_Type") or ""] = (
            name if (text(element, "File_Name_Type") or _FOLDER) == _FOLDER else name.parent
        )
    station = (text(configuration, "Processing_Station") or "") if configuration is not None else ""
    return JobOrder(path.resolve(), station, inputs, outputs, parameters)

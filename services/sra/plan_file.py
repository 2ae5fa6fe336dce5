"""Plan files: station acquisition plans (`MPL_SP<station>`), one for each satellite and station (docs/sra.md)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lxml import etree

from refsys.services.orbits.readers import CONTACTS
from refsys.services.sra.allocation import Decision

SITE = "SRA_"
NOTE = "Contacts that the resource allocation chose; those of other stations and satellites are in files of their own"


@dataclass(frozen=True)
class Written:
    """A plan file: its name, and its text."""

    name: str
    satellite: str
    station: str
    contacts: int
    text: str


@dataclass(frozen=True)
class Of:
    """What plan a file is of; times in whole seconds, as file names have them."""

    version: int
    created: datetime
    start: datetime
    stop: datetime


def write(plan: Of, satellite: str, station: str, decisions: Sequence[Decision]) -> Written:
    """Write the contacts of a satellite with a station; without any, the file says that there are none."""
    kind = f"{CONTACTS}{station}"
    times = f"{plan.created:%Y%m%dT%H%M%S}_V{plan.start:%Y%m%dT%H%M%S}_{plan.stop:%Y%m%dT%H%M%S}"
    name = f"{satellite}_OPER_{kind}_{SITE}_{times}"
    root = etree.Element("Earth_Explorer_File")
    fixed = _under(_under(root, "Earth_Explorer_Header"), "Fixed_Header")
    _text(fixed, "File_Name", name)
    _text(fixed, "File_Description", "Station Acquisition Plan File")
    _text(fixed, "Notes", NOTE)
    _text(fixed, "Mission", f"Sentinel-{satellite[1:]}")
    _text(fixed, "File_Class", "OPER")
    _text(fixed, "File_Type", kind)
    validity = _under(fixed, "Validity_Period")
    _text(validity, "Validity_Start", _utc(plan.start))
    _text(validity, "Validity_Stop", _utc(plan.stop))
    _text(fixed, "File_Version", f"{plan.version:04d}")
    source = _under(fixed, "Source")
    _text(source, "System", "SRA")
    _text(source, "Creator", "sra")
    _text(source, "Creator_Version", "1.0")
    _text(source, "Creation_Date", _utc(plan.created))
    _under(root[0], "Variable_Header")
    schedule = _under(_under(root, "Data_Block", type="xml"), "SCHEDULE", count=str(len(decisions)))
    for each in decisions:
        _contact(schedule, each)
    text = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True).decode()
    return Written(f"{name}.EOF", satellite, station, len(decisions), text)


def _contact(schedule: etree._Element, each: Decision) -> None:
    contact = _under(schedule, "ACQ")
    _text(contact, "Satellite", each.satellite)
    _text(contact, "Station", each.station)
    _text(contact, "Antenna", each.antenna)
    start, stop = (_milliseconds(time) for time in (each.start, each.stop))
    _text(contact, "Acquisition_Start", start)
    _text(contact, "Acquisition_Stop", stop)
    _text(contact, "Maximum_Elevation", f"{each.elevation:.2f}", unit="deg")
    _text(contact, "Timeliness", each.timeliness)
    _text(contact, "Data_Volume", f"{each.sent:.3f}", unit="Gbit")


def _under(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, name, attributes)


def _text(parent: etree._Element, name: str, text: str, **attributes: str) -> None:
    _under(parent, name, **attributes).text = text


def _utc(moment: datetime) -> str:
    return f"UTC={moment:%Y-%m-%dT%H:%M:%S}"


def _milliseconds(seconds: float) -> str:
    moment = datetime.fromtimestamp(round(seconds, 3), UTC)
    return f"UTC={moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}"

"""The entity sets Sessions, Files and QualityInfo with the fields of reference-system.md §3.1."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, RowMapping

from refsys.services.cadip.model import session, session_file, session_quality
from refsys.services.distribution.odata.entities import EntitySet
from refsys.services.distribution.odata.operands import Kind
from refsys.services.distribution.odata.serialise import timestamp

Properties = Mapping[str, tuple[Kind, Column[Any]]]

# A session has about a hundred files: a page of expanded sessions stays within some megabytes.
EXPANDED_TOP = 100
# Clients of an older mock spell it so; it is understood, and served as SessionId.
SPELLINGS = {"SessionID": "SessionId"}

_s, _f, _q = session.c, session_file.c, session_quality.c

_SESSION: Properties = {
    "Id": (Kind.GUID, _s.id),
    "SessionId": (Kind.TEXT, _s.session_id),
    "NumChannels": (Kind.NUMBER, _s.num_channels),
    "PublicationDate": (Kind.DATE, _s.publication_date),
    "Satellite": (Kind.TEXT, _s.satellite),
    "StationUnitId": (Kind.TEXT, _s.station_unit_id),
    "StationId": (Kind.TEXT, _s.station_id),
    "DownlinkOrbit": (Kind.NUMBER, _s.downlink_orbit),
    "AcquisitionId": (Kind.TEXT, _s.acquisition_id),
    "AntennaId": (Kind.TEXT, _s.antenna_id),
    "FrontEndId": (Kind.TEXT, _s.front_end_id),
    "Retransfer": (Kind.BOOLEAN, _s.retransfer),
    "AntennaStatusOK": (Kind.BOOLEAN, _s.antenna_status_ok),
    "FrontEndStatusOK": (Kind.BOOLEAN, _s.front_end_status_ok),
    "DownlinkStatusOK": (Kind.BOOLEAN, _s.downlink_status_ok),
    "DeliveryPushOK": (Kind.BOOLEAN, _s.delivery_push_ok),
    "PlannedDataStart": (Kind.DATE, _s.planned_data_start),
    "PlannedDataStop": (Kind.DATE, _s.planned_data_stop),
    "DownlinkStart": (Kind.DATE, _s.downlink_start),
    "DownlinkStop": (Kind.DATE, _s.downlink_stop),
}
_FILE: Properties = {
    "Id": (Kind.GUID, _f.id),
    "Name": (Kind.TEXT, _f.name),
    "SessionId": (Kind.TEXT, _f.session_id),
    "Channel": (Kind.NUMBER, _f.channel),
    "BlockNumber": (Kind.NUMBER, _f.block_number),
    "FinalBlock": (Kind.BOOLEAN, _f.final_block),
    "PublicationDate": (Kind.DATE, _f.publication_date),
    "EvictionDate": (Kind.DATE, _f.eviction_date),
    "Size": (Kind.NUMBER, _f.content_length),
    "Retransfer": (Kind.BOOLEAN, _f.retransfer),
}
_QUALITY: Properties = {
    "Id": (Kind.GUID, _q.id),
    "Channel": (Kind.NUMBER, _q.channel),
    "SessionId": (Kind.TEXT, _q.session_id),
    "AcquiredTFs": (Kind.NUMBER, _q.acquired_tfs),
    "ErrorTFs": (Kind.NUMBER, _q.error_tfs),
    "CorrectedTFs": (Kind.NUMBER, _q.corrected_tfs),
    "UncorrectableTFs": (Kind.NUMBER, _q.uncorrectable_tfs),
    "DataTFs": (Kind.NUMBER, _q.data_tfs),
    "ErrorDataTFs": (Kind.NUMBER, _q.error_data_tfs),
    "CorrectedDataTFs": (Kind.NUMBER, _q.corrected_data_tfs),
    "UncorrectableDataTFs": (Kind.NUMBER, _q.uncorrectable_data_tfs),
    "DeliveryStart": (Kind.DATE, _q.delivery_start),
    "DeliveryStop": (Kind.DATE, _q.delivery_stop),
    "TotalChunks": (Kind.NUMBER, _q.total_chunks),
    "TotalVolume": (Kind.NUMBER, _q.total_volume),
}

SESSIONS = EntitySet(
    "Sessions",
    session,
    _SESSION,
    order="PublicationDate",
    expandable=("Files", "QualityInfo"),
    aliases=SPELLINGS,
    expanded_top=EXPANDED_TOP,
)
FILES = EntitySet("Files", session_file, _FILE, order="PublicationDate", aliases=SPELLINGS)
QUALITY_INFO = EntitySet("QualityInfo", session_quality, _QUALITY, order="DeliveryStart", aliases=SPELLINGS)
SETS = (SESSIONS, FILES, QUALITY_INFO)


def entity_json(entity_set: EntitySet, row: RowMapping) -> dict[str, Any]:
    """Return one entity in OData JSON."""
    stream = {"@odata.mediaContentType": row["content_type"]} if entity_set is FILES else {}
    return stream | {name: _shown(kind, row[column.name]) for name, (kind, column) in entity_set.properties.items()}


def _shown(kind: Kind, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case Kind.DATE:
            return timestamp(value)
        case Kind.GUID:
            return str(value)
    return value

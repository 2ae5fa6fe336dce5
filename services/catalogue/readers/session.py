"""Files of a downlink session: the session information block (DSIB) and the raw data blocks (DSDB) of a channel."""

import re
from datetime import UTC, datetime

from lxml import etree

from refsys.services.catalogue.draft import Draft
from refsys.services.catalogue.xml import UnreadableError, moment, text, texts
from refsys.services.common.names import ProductName

SESSION, CHANNEL, BLOCKS, BYTES = "sessionId", "channelId", "rawNames", "dataSize"
# `S1A_20200105072204051312` and `L20171109175634707000125`: the time of the downlink, then orbit or counters.
_TIME = re.compile(r"(?:S[123][A-D]_|L)(\d{14})\d*", re.ASCII)


def read(name: ProductName, root: etree._Element, draft: Draft) -> None:
    """The information block: when the session was, and its blocks."""
    draft.period(root, "time_start", "time_stop")
    session = text(root, "session_id")
    if not session:
        raise UnreadableError("session information block has no session_id")
    draft.details |= {SESSION: session[:200], CHANNEL: _channel(name), BLOCKS: texts(root, "dsdb_name")}
    if (size := text(root, "data_size")) and size.isdecimal():
        draft.details[BYTES] = int(size[:18])
    if created := text(root, "time_created"):
        draft.attributes.set("processingDate", moment(created, "time_created"))


def is_raw(name: ProductName) -> bool:
    """Whether this is a raw data block, which has no metadata but its name."""
    return name.product_type == "DSDB"


def read_raw(name: ProductName, seen: datetime, draft: Draft) -> None:
    """A raw data block: its time is that of the downlink in its session's name, else when the station had it."""
    session = name.fields["session"]
    draft.start = draft.end = _downlink(session) or seen
    draft.details |= {SESSION: session, CHANNEL: _channel(name)}


def _channel(name: ProductName) -> int:
    return int(name.fields.get("channel", "0"))


def _downlink(session: str) -> datetime | None:
    match = _TIME.fullmatch(session)
    try:
        return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) if match else None
    except ValueError:
        return None

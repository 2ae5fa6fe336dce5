"""The document and the page of a situation: what is shown, and that nothing from outside gets in as HTML."""

from datetime import UTC, datetime, timedelta

import numpy as np

from refsys.services.orbits.passes import Pass
from refsys.services.orbits.readers import Acquisition, Contact
from refsys.services.orbits.stations import read_stations
from refsys.services.orbits.timeline import Span
from refsys.services.planning.conflicts import Conflict
from refsys.services.planning.document import document, tracks
from refsys.services.planning.page import HEADERS, page
from refsys.services.planning.situation import Situation

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOSTILE = "<script>alert(1)</script>"


def situation(name: str = "S1A") -> Situation:
    contact = Contact(name, "SGS_", HOSTILE, START + HOUR, START + 1.1 * HOUR, 7)
    ring = [(179.0, 1.0), (-179.0, 2.0), (-179.0, 3.0), (179.0, 3.0)]
    acquisition = Acquisition(name, HOSTILE, "IW", "DV", START, START + HOUR, 5, ring)
    seen = Pass(name, "SGS_", START.timestamp() + 3000, START.timestamp() + 3300, START.timestamp() + 3600, 41.5)
    track = np.array([[170.0, 0.0], [178.0, 10.0], [-174.0, 20.0], [-166.0, 30.0]])
    return Situation(
        start=START, stop=START + 6 * HOUR, moment=START, stations=read_stations(), passes=[seen], contacts=[contact],
        acquisitions=[acquisition], tracks={name: track}, places={name: (170.0, 0.0)}, known=(START, START + HOUR),
        conflicts=[Conflict("antenna-overlap", START, START + HOUR, HOSTILE, (contact,))],
    )  # fmt: skip


def shown(found: Situation, satellite: str = "") -> str:
    view = document(found, satellite)
    return page(view, hours=6, satellite=satellite, satellites=["S1A"], user=HOSTILE, now=START + HOUR / 2)


def test_all_is_shown_and_nothing_gets_in() -> None:
    html = shown(situation())
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 4
    for text in ("Svalbard", "Matera", "antenna-overlap", "S1A", "IW", "Conflicts"):
        assert text in html
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert "style=" not in html  # the policy would refuse it


def test_a_satellite_alone() -> None:
    view = document(situation(), "S2A")
    assert [view[kind] for kind in ("passes", "contacts", "acquisitions", "conflicts")] == [[], [], [], []]
    assert view["tracks"]["features"] == []


def test_tracks_are_cut_at_the_antimeridian() -> None:
    (feature,) = tracks(situation())["features"]
    west, east = feature["geometry"]["coordinates"]
    assert west[-1] == [180.0, 12.5]
    assert east[0] == [-180.0, 12.5]


def test_places_on_the_time_line() -> None:
    span = Span(START, START + 10 * HOUR)
    assert span.place(START + 5 * HOUR) == 50
    assert span.place(START - HOUR) == 0
    bar = span.bar(START + 9 * HOUR, START + 12 * HOUR, "s1", "")
    assert (bar.x, bar.width) == (90, 10)
    assert [tick.text for tick in span.ticks()][:2] == ["08:00", "09:00"]
    days = Span(START, START + 72 * HOUR)
    assert [tick.text for tick in days.ticks()][:3] == ["12:00", "18:00", "24 Nov"]

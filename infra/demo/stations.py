"""Plays the stations that an environment polls, by the simulators among the tests' means, and gives them content.

The content is the same in every run, so that the environment knows it again; only the sessions are new ones in each
period of `RENEWAL_DAYS`, because the chain keeps files of sessions for 30 days.
"""

import importlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from refsys.infra import paths
from refsys.infra.demo.content import AuxiliaryFile, Block, Session, content_of
from refsys.infra.demo.endpoints import AUXILIARY_DIRECTORY, CODE, DOWNLINK, XBIP_FOLDER, DemoStation
from refsys.infra.errors import UserError

AUXIP_FILES = 15
EDIP_FILES = 3  # the first three kinds that the generator makes are of Sentinel-1
EDIP_SEED = 2
BLOCKS = 3
BLOCK_SIZE = 1024 * 1279  # of a channel; the generator makes so many frames (CADUs) together
RENEWAL_DAYS = 14


@dataclass
class Played:
    """A station that is being played: what it offers, and how often the environment asked for its listing."""

    settings: DemoStation
    listings: Callable[[], int]
    files: list[AuxiliaryFile] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)


@contextmanager
def playing(stations: Sequence[DemoStation], folder: Path, samples: Path | None) -> Iterator[list[Played]]:
    """All stations, serving until the context ends; content is made in `folder`, `samples` are offered as AUXIP."""
    players = {"auxip": _auxip, "cadip": _cadip, "xbip": _xbip, "edip": _edip}
    with ExitStack() as stack:
        played = []
        for settings in stations:
            own = folder / settings.name
            own.mkdir()
            try:
                played.append(players[settings.type](settings, own, samples, stack))
            except OSError as error:
                raise UserError(
                    f"cannot be the station {settings.name} at {settings.host}:{settings.port}: {error}",
                    fix="bring the environment up, so that the address exists, and free the port: ss -ltnp 'sport = :"
                    f"{settings.port}'",
                ) from error
        yield played


def _auxip(settings: DemoStation, folder: Path, samples: Path | None, stack: ExitStack) -> Played:
    generator = _means("generator")
    made = generator.generate(folder, AUXIP_FILES)
    if samples:
        made += generator.pack(samples, folder)
    station = _means("station").Station(folder, **_odata(settings))
    stack.enter_context(station)
    stack.callback(_break_off, station)
    return Played(settings, lambda: _asked(station, "Products"), _auxiliary(made, settings))


def _cadip(settings: DemoStation, folder: Path, samples: Path | None, stack: ExitStack) -> Played:
    station = _means("cadip").Cadip(**_odata(settings))
    sessions = []
    for minute, satellite in enumerate(("S1A", "S2A")):
        name = f"{satellite}_{_downlink(minute):%Y%m%d%H%M%S}{_orbit():06d}"
        session, channels = _received(settings, folder, satellite, name, minute)
        files = [sorted(channel.glob("*_DSDB_*")) for channel in channels]
        station.add_received(name, satellite, _downlink(minute), files)
        sessions.append(session)
    stack.enter_context(station)
    stack.callback(_break_off, station)
    return Played(settings, lambda: _asked(station, "Sessions"), sessions=sessions)


def _xbip(settings: DemoStation, folder: Path, samples: Path | None, stack: ExitStack) -> Played:
    name = f"S3A_{_downlink(2):%Y%m%d%H%M%S}{_orbit():06d}"
    session = _tree_session(settings, folder, f"NOMINAL/{CODE}/S3A", "S3A", name, 2)
    station = _means("webdav").WebDav(folder, _certificate(settings), mount=XBIP_FOLDER, **_tree(settings))
    stack.enter_context(station)

    def listings() -> int:
        return sum(method == "PROPFIND" and depth == "infinity" for method, _, depth in list(station.requests))

    return Played(settings, listings, sessions=[session])


def _edip(settings: DemoStation, folder: Path, samples: Path | None, stack: ExitStack) -> Played:
    made = _means("generator").generate(folder / AUXILIARY_DIRECTORY, EDIP_FILES, EDIP_SEED)
    name = f"L{_downlink(3):%Y%m%d%H%M%S}{_orbit():09d}"
    session = _tree_session(settings, folder, "NOMINAL/S2B", "S2B", name, 3)
    assert settings.passive_ports  # noqa: S101  # every edip station has them
    first, last = settings.passive_ports
    data = range(first, last + 1)
    station = _means("ftps").Ftps(folder, _certificate(settings), passive_ports=data, **_tree(settings))
    stack.enter_context(station)

    def listings() -> int:
        return sum(line.startswith("MLSD") and line.endswith("NOMINAL") for line in list(station.commands))

    return Played(settings, listings, _auxiliary(made, settings), [session])


def _auxiliary(made: Sequence[Path], settings: DemoStation) -> list[AuxiliaryFile]:
    return [AuxiliaryFile(path.name, settings.name, path.name[:2], content_of(path)) for path in sorted(made)]


def _tree_session(  # noqa: PLR0917  # all of a session
    settings: DemoStation, folder: Path, place: str, satellite: str, name: str, minute: int
) -> Session:
    """Write a session as trees have it, at a place below the station's folder."""
    session, channels = _received(settings, folder, satellite, name, minute)
    target = folder / place / name
    target.mkdir(parents=True)
    for channel in channels:
        channel.rename(target / channel.name)
    return session


def _received(
    settings: DemoStation, folder: Path, satellite: str, name: str, minute: int
) -> tuple[Session, list[Path]]:
    """Make a session of the satellite's packets; returns the folders of its channels, beside the station's."""
    made = _means("downlink").generate(
        folder.parent / f"made-{name}",
        satellite,
        BLOCKS * BLOCK_SIZE,
        seed=minute,
        block_bytes=BLOCK_SIZE,
        session=name,
        start=_downlink(minute),
    )
    channels = sorted(made.folder.glob("ch_*"))
    blocks = [
        Block(path.name, int(channel.name[-1]), number, content_of(path))
        for channel in channels
        for number, path in enumerate(sorted(channel.glob("*_DSDB_*")), 1)
    ]
    packets = Counter(
        (channel, int(row["virtual"]), int(row["process"]), int(row["crc"]))
        for channel, truth in made.truths.items()
        for row in truth[truth["received"]]
    )
    information = {block.channel: f"{block.name.partition('_DSDB_')[0]}_DSIB.xml" for block in blocks}
    return Session(name, satellite, settings.name, blocks, information, packets), channels


def _downlink(minute: int) -> datetime:
    return DOWNLINK + timedelta(minutes=minute)


def _orbit() -> int:
    return datetime.now(UTC).toordinal() // RENEWAL_DAYS


def _odata(settings: DemoStation) -> dict[str, Any]:
    files = {"certificate_file": settings.certificate_file, "key_file": settings.key_file}
    return _tree(settings) | files | {"client_id": settings.client_id}


def _tree(settings: DemoStation) -> dict[str, Any]:
    return settings.model_dump(include={"host", "port", "username", "password"})


def _certificate(settings: DemoStation) -> Any:
    return _means("certificates").Certificate(settings.certificate_file, settings.key_file)


def _asked(station: Any, entities: str) -> int:
    return sum(request.startswith(f"/odata/v1/{entities}?") for request in list(station.accepted))


def _break_off(station: Any) -> None:
    station.faults.down = True  # ends the connections that the environment keeps open


def _means(name: str) -> Any:
    """Import one of the tests' means, which live beside the distribution in the checkout."""
    if str(paths.CHECKOUT) not in sys.path:
        sys.path.insert(0, str(paths.CHECKOUT))
    return importlib.import_module(f"tests.means.{name}")

"""The `mission-planning` process: reads the AUXIP, and serves what it knows."""

from fastapi import FastAPI

from refsys.services.common.hosted import HostedSettings, hosted, run
from refsys.services.common.settings import load
from refsys.services.orbits.known import Known
from refsys.services.orbits.reading import Reading
from refsys.services.orbits.satellites import read_satellites
from refsys.services.orbits.stations import read_stations
from refsys.services.planning import migrations
from refsys.services.planning.api import router
from refsys.services.planning.situation import Situations

NAME = "mission-planning"


def create_app(known: Known) -> FastAPI:
    """Return the application over what is known."""
    app = hosted("Mission Planning view", NAME)
    app.state.situations = Situations(known, read_stations(), read_satellites())
    app.include_router(router)
    return app


def main() -> None:
    """Read and serve until asked to stop."""
    reading = Reading(NAME, migrations.FOLDER)
    run(create_app(reading.known), load(HostedSettings), reading.reading)
    reading.known.engine.dispose()

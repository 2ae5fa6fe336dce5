"""The `sra` process: reads the AUXIP, serves plans, publishes them."""

from fastapi import FastAPI

from refsys.services.common.hosted import HostedSettings, hosted, run
from refsys.services.common.settings import load
from refsys.services.orbits.intake import ClientSettings
from refsys.services.orbits.known import Known
from refsys.services.orbits.reading import Reading
from refsys.services.orbits.satellites import read_satellites
from refsys.services.orbits.stations import read_stations
from refsys.services.sra import migrations
from refsys.services.sra.api import router
from refsys.services.sra.plans import Plans
from refsys.services.sra.publication import Ingestor, IngestorSettings, Publication
from refsys.services.sra.rules import Rules, RulesSettings, read_rules

NAME = "sra"


def create_app(known: Known, rules: Rules) -> FastAPI:
    """Return the application over what is known."""
    app = hosted("Sentinel resource allocation", NAME)
    app.state.plans = Plans(known, rules, read_stations(), read_satellites())
    app.include_router(router)
    return app


def main() -> None:
    """Read, serve and publish until asked to stop."""
    rules = read_rules(load(RulesSettings).rules_file)
    ingestor = Ingestor(load(IngestorSettings), load(ClientSettings))
    reading = Reading(NAME, migrations.FOLDER)
    publication = Publication(reading.known.engine, ingestor)
    run(create_app(reading.known, rules), load(HostedSettings), reading.reading, publication.publishing)
    ingestor.close()
    reading.known.engine.dispose()

"""Play the environment's stations, wait for the chain, and fetch all that came as an outside client."""

import tempfile
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from rich.console import Console

from refsys.infra.cli.steps import Steps
from refsys.infra.demo.client import Client
from refsys.infra.demo.endpoints import Endpoints
from refsys.infra.demo.products import Delivery, Products
from refsys.infra.demo.report import show
from refsys.infra.demo.sessions import Reception, Sessions
from refsys.infra.demo.stations import Played, playing
from refsys.infra.demo.waiting import Awaited, Polls, wait_for
from refsys.infra.errors import UserError

if TYPE_CHECKING:  # what it needs is much, and the stack reads this package too
    from refsys.infra.demo.day import Day
    from refsys.infra.demo.day_report import Done


def run(endpoints: Endpoints, samples: Path | None, console: Console, day: "Day | None" = None) -> int:
    """Run the demo and return its exit code: 0 if every file arrived once, whole and unchanged.

    `samples` is a folder with more auxiliary files to feed; with `day` production is shown, too. Running it again feeds
    the same files: the chain acknowledges them, and makes and publishes nothing twice.
    """
    try:
        began, deliveries, receptions, done = _through_the_chain(endpoints, samples, console, day)
    except (UserError, httpx.HTTPError, OSError) as error:
        console.print(f"demo failed: {_reason(error)}", style="bold red", markup=False)
        return 1
    show(deliveries, receptions, began, console)
    if done:
        done.show(console)
    return 0


def _through_the_chain(
    endpoints: Endpoints, samples: Path | None, console: Console, day: "Day | None"
) -> tuple[datetime, list[Delivery], list[Reception], "Done | None"]:
    with (
        day or nullcontext(),
        tempfile.TemporaryDirectory(prefix="refsys-demo-") as folder,
        playing(endpoints.stations, Path(folder), samples) as stations,
        Client(endpoints) as client,
    ):
        began = datetime.now(UTC)
        for station in stations:
            place = f"{station.settings.host}:{station.settings.port}"
            console.print(f"{station.settings.name} at {place} offers {_offer(station)}", highlight=False)
        products = Products(client, [file for station in stations for file in station.files])
        sources = [session for station in stations for session in station.sessions]
        sessions = Sessions(client, sources)
        production = day.production(client, sources) if day else None
        awaited: list[Awaited] = [*map(Polls, stations), products, sessions, *([production] if production else [])]
        wait_for(awaited, console)
        with Steps(console) as steps, steps.step("all of them downloaded and compared"):
            deliveries, receptions = products.fetch(), sessions.fetch()
            products.check_once()
            sessions.check_once()
        done = day.finish(client, production, sources, console) if day and production else None
        return began, deliveries, receptions, done


def _offer(station: Played) -> str:
    counts = {"auxiliary file": len(station.files), "session": len(station.sessions)}
    return " and ".join(f"{count} {what}{'s' * (count > 1)}" for what, count in counts.items() if count)


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPError):
        request = getattr(error, "_request", None)
        where = f"{request.method} {request.url.copy_with(query=None)}: " if request else ""
        return (
            f"{where}{error or type(error).__name__}\n  fix: ./refsys status; the address has to be reachable from here"
        )
    return str(error)

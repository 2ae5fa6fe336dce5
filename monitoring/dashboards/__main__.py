"""Write dashboards and provisioning: `python -m refsys.monitoring.dashboards FOLDER`."""

from pathlib import Path
from typing import Annotated

import typer

from refsys.monitoring.dashboards.provisioning import Sources, write

Address = Annotated[str, typer.Option(help="Its address as Grafana reaches it.")]


def main(
    folder: Annotated[Path, typer.Argument(help="Where they are written.")],
    prometheus: Address = Sources.prometheus,
    log_store: Address = Sources.log_store,
) -> None:
    """Write all dashboards, and Grafana's provisioning of them."""
    for file in write(folder, Sources(prometheus, log_store)):
        typer.echo(file)


if __name__ == "__main__":
    typer.run(main)

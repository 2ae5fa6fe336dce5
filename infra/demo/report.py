"""The tables of what arrived, and how long each step took."""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table

from refsys.infra.demo.products import STEPS, Delivery
from refsys.infra.demo.sessions import Reception

NAME_WIDTHS = (14, 48)
FIGURES_WIDTH = 106
"""Of the columns beside the product's name."""
Seconds = Sequence[float | None]


def show(deliveries: Sequence[Delivery], receptions: Sequence[Reception], began: datetime, console: Console) -> None:
    """Print the tables and the totals; `began` is when the stations began to offer their files."""
    console.print(_products(deliveries, console.width - FIGURES_WIDTH))
    console.print(_sessions(receptions, began))
    files = sum(reception.files for reception in receptions)
    size = sum(delivery.source.content.size for delivery in deliveries) + sum(each.size for each in receptions)
    console.print(
        f"{len(deliveries)} products, {len(receptions)} sessions with {files} files, {size / 1e6:.1f} MB: "
        "all published once, sizes and checksums as at the stations"
    )


def _products(deliveries: Sequence[Delivery], name_width: int) -> Table:
    """Seconds that each product spent before each step, and in all from the station to the client."""
    width = min(max(name_width, NAME_WIDTHS[0]), NAME_WIDTHS[1])
    table = plain_table(
        "Products: seconds of each step from the station to the client", "product", "station", "mission"
    )
    figure_columns(table, "bytes", *STEPS[1:], "in STAC", "downloaded", "total")
    rows = [_product_seconds(delivery) for delivery in deliveries]
    for delivery, seconds in zip(deliveries, rows, strict=True):
        source = delivery.source
        size = f"{source.content.size:,}".replace(",", " ")
        table.add_row(_short(source.name, width), source.station, source.mission, size, *texts(seconds))
    table.add_section()
    for name, pick in (("median", _median), ("slowest", max)):
        table.add_row(name, "", "", "", *texts(_summary(rows, pick)), style="bold")
    return table


def _product_seconds(delivery: Delivery) -> Seconds:
    moments = [delivery.timeline[step] for step in STEPS]
    between = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(moments)]
    in_stac = max(0.0, (delivery.in_stac - moments[-1]).total_seconds()) if delivery.in_stac else None
    return with_total([*between, in_stac, delivery.download_seconds])


def _sessions(receptions: Sequence[Reception], began: datetime) -> Table:
    """Seconds until the last file of each session was catalogued, published and downloaded."""
    table = plain_table("Sessions: seconds until the last file from the station to the client", "session", "station")
    table.add_column("satellite")
    figure_columns(table, "channels", "files", "bytes", "catalogued", "published", "downloaded", "total")
    for each in receptions:
        seconds = with_total(
            [
                (each.catalogued - began).total_seconds() if each.new else None,
                max(0.0, (each.published - each.catalogued).total_seconds()),
                each.download_seconds,
            ]
        )
        size = f"{each.size:,}".replace(",", " ")
        figures = (str(len(each.session.information)), str(each.files), size)
        table.add_row(each.session.id, each.session.station, each.session.satellite, *figures, *texts(seconds))
    return table


def plain_table(title: str, *columns: str) -> Table:
    """Return a table with columns for texts."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def figure_columns(table: Table, *columns: str) -> None:
    """Add columns for numbers."""
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)


def with_total(seconds: Seconds) -> Seconds:
    """The seconds and their sum; a step that was before this run is not in it."""
    return [*seconds, sum(each for each in seconds if each is not None)]


def texts(seconds: Seconds) -> list[str]:
    """Seconds as they are shown."""
    return ["-" if each is None else f"{each:.2f}" for each in seconds]


def _summary(rows: Sequence[Seconds], pick: Callable[[Sequence[float]], float]) -> Seconds:
    known = ([each for each in column if each is not None] for column in zip(*rows, strict=True))
    return [pick(column) if column else None for column in known]


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _short(name: str, width: int) -> str:
    """The name with its middle left out if it is long: kind and dates tell files apart."""
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[-(width - 1 - head) :]}"

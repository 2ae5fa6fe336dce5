"""What a day of production brought, on the terminal."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from refsys.infra.bench import gate
from refsys.infra.bench.results import Results
from refsys.infra.cli import kpi
from refsys.infra.demo.ordering import Ordering
from refsys.infra.demo.production import Made
from refsys.infra.demo.report import figure_columns, plain_table, texts, with_total


@dataclass(frozen=True)
class Done:
    """What the day brought."""

    made: list[Made]
    ordering: Ordering
    bench: Results
    checks: list[gate.Check]
    figures: dict[str, Any]

    def show(self, console: Console) -> None:
        """Print what production made, the order, the bench run, and the figures of the day."""
        console.print(_production(self.made))
        products, packets = sum(len(each.products) for each in self.made), sum(each.packets for each in self.made)
        console.print(
            f"{products} level-0 products with {packets} packets: each as its satellite sent it, published once"
        )
        order, run = self.ordering.order, self.bench.runs[0]
        made = len(self.ordering.results())
        console.print(
            f"order {order['jobID']} of {order['processID']}: {order['message']}, {made} products", highlight=False
        )
        console.print(
            f"bench of {self.bench.processor} {self.bench.version}: {run.seconds:.2f} s, "
            f"processor time {run.cpu:.2f} s, {run.memory / 2**20:.0f} MiB, {run.throughput / 1e6:.0f} MB/s; "
            "outputs as those of the job",
            highlight=False,
        )
        for check in self.checks:
            if not check.holds:
                console.print(f"  not as before: {check.name}, {check.text}", highlight=False, markup=False)
        kpi.show(self.figures, console)


def _production(made: Sequence[Made]) -> Table:
    """Seconds from the job of a session to its products at the client."""
    table = plain_table(
        "Level 0: seconds from the job that the chain made to the client", "session", "satellite", "job"
    )
    figure_columns(table, "products", "packets", "queued", "processed", "published", "downloaded", "total")
    for each in made:
        job = each.job.document
        # A job may be over before anybody saw it run.
        moments = [datetime.fromisoformat(job[name] or job["changed"]) for name in ("created", "started", "changed")]
        between = itertools.pairwise([*moments, max(each.published, moments[-1])])
        seconds = with_total([*((end - begin).total_seconds() for begin, end in between), each.download_seconds])
        name, counts = f"{job['chain']}/{job['taskTable']} {each.job.outcome}", (len(each.products), each.packets)
        table.add_row(each.session.id, each.session.satellite, name, *map(str, counts), *texts(seconds))
    return table

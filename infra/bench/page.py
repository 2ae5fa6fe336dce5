"""The report of a result as one page that needs nothing else, and reads on a phone, dark or light."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from refsys.infra.bench.gate import holds, judge
from refsys.infra.bench.history import runs_of
from refsys.infra.bench.plots import Points, plot
from refsys.infra.bench.results import Results, Run, figure, middle, on
from refsys.infra.bench.statistics import spread
from refsys.services.common import pages

MIB = 2**20
SHOWN = 50


def render(results: Results, before: Sequence[Results]) -> str:
    """The page's HTML; all that comes from outside is escaped."""
    environment = pages.templates(Path(__file__).parent)
    environment.filters |= {"number": number, "mib": lambda octets: number(octets / MIB)}
    checks = judge(results, before)
    return environment.get_template("report.html.j2").render(
        results=results,
        checks=checks,
        open=holds(checks),
        rows=rows(results),
        plots=_plots(results, before),
        comparison=worst(results),
        before=before,
        shown=SHOWN,
    )


def rows(results: Results) -> list[dict[str, Any]]:
    """Medians by cores and machine, with speed-up and efficiency against the fewest cores of the machine."""
    found: list[dict[str, Any]] = []
    first: dict[str, tuple[float, float]] = {}
    for (cores, machine), runs in results.groups().items():
        seconds = middle(runs, "seconds")
        base_cores, base_seconds = first.setdefault(machine, (cores, seconds))
        found.append(
            {
                "cores": cores,
                "machine": machine,
                "runs": len(runs),
                "seconds": seconds,
                "noise": 100 * spread(figure(runs, "seconds")),
                "throughput": middle(runs, "throughput") / 1e6,
                "speed_up": base_seconds / seconds,
                "efficiency": 100 * base_seconds * base_cores / (seconds * cores),
                "cpu": middle(runs, "cpu"),
                "busy": middle(runs, "cpu") / seconds,
                **{
                    name: middle(runs, name)
                    for name in ("memory", "container_memory", "read", "written", "storage_read", "storage_written")
                },
            }
        )
    return found


def worst(results: Results) -> Any:
    """The comparison to be shown: of a run whose outputs differ, if there is one."""
    compared = [run.comparison for run in results.good() if run.comparison]
    return next((each for each in compared if not each.equal), compared[0] if compared else None)


def number(value: float) -> str:
    """A number with three digits that count."""
    if value == 0:
        return "0"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _plots(results: Results, before: Sequence[Results]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    by_machine: dict[str, list[Run]] = {}
    for run in results.good():
        by_machine.setdefault(run.machine, []).append(run)
    for machine, runs in sorted(by_machine.items()):
        found[machine] = {
            "scaling": _scaling(runs),
            "memory": _values(runs, "memory", MIB, "MiB"),
            "cpu": _values(runs, "cpu", 1, "s of processor time"),
        }
        for cores in sorted({run.cores for run in runs}):
            if runs_of(before, (cores, machine)):
                found[machine][on(cores)] = _history([*before, results], (cores, machine))
    return found


def _scaling(runs: Sequence[Run]) -> str:
    """Time over cores: runs, their medians, and what a perfect division of the work would give."""
    cores = sorted({run.cores for run in runs})
    middles = [(each, median(run.seconds for run in runs if run.cores == each)) for each in cores]
    ideal = [(each, middles[0][1] * cores[0] / each, "") for each in cores]
    kinds = [
        Points("ideal", ideal, line=True),
        Points("line", [(each, value, f"{on(each)}: {value:.3f} s") for each, value in middles], line=True),
        Points("run", [(run.cores, run.seconds, f"run {run.repetition}: {run.seconds:.3f} s") for run in runs]),
    ]
    return plot("time by cores", kinds, [(each, f"{each:g}") for each in cores])


def _values(runs: Sequence[Run], name: str, unit: float, called: str) -> str:
    """A figure by cores: the runs and their medians."""
    cores = sorted({run.cores for run in runs})
    middles = [(each, middle((run for run in runs if run.cores == each), name) / unit) for each in cores]
    points = [(run.cores, getattr(run, name) / unit, run.repetition) for run in runs]
    kinds = [
        Points("line", [(x, y, f"{on(x)}: {y:.4g} {called}") for x, y in middles], line=True),
        Points("run", [(x, y, f"run {repetition}: {y:.4g} {called}") for x, y, repetition in points]),
    ]
    return plot(f"{called} by cores", kinds, [(each, f"{each:g}") for each in cores])


def _history(results: Sequence[Results], group: tuple[float, str]) -> str:
    """Time from result to result: runs and medians; the last one is the new one."""
    dots, middles, names = [], [], []
    for place, each in enumerate(results):
        runs = each.groups().get(group, [])
        label = each.version or f"{each.started:%m-%d}"
        names.append((float(place), label[:10]))
        dots += [(float(place), run.seconds, f"{each.started:%Y-%m-%d %H:%M}: {run.seconds:.3f} s") for run in runs]
        if runs:
            value = middle(runs, "seconds")
            middles.append((float(place), value, f"{each.version} {each.started:%Y-%m-%d %H:%M}: {value:.3f} s"))
    return plot("time by result", [Points("line", middles, line=True), Points("run", dots)], names)

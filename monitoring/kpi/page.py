"""The report as one page that needs nothing else, and reads on a phone, dark or light."""

from pathlib import Path

from refsys.monitoring.kpi.plots import bars
from refsys.monitoring.kpi.report import Month
from refsys.services.common import pages

SHOWN = 50
COMPLETENESS = (("arrived", "arrived", "good"), ("under_way", "under way", "wait"), ("missing", "missing", "bad"))
TIMELINESS = (("timely", "in time", "good"), ("late", "late", "bad"))


def render(month: Month) -> str:
    """The page's HTML; all that comes from outside is escaped."""
    environment = pages.templates(Path(__file__).parent)
    environment.filters |= {"percent": _percent, "time": _time, "duration": duration}
    return environment.get_template("report.html.j2").render(month=month, shown=SHOWN, plots=_plots(month))


def _plots(month: Month) -> dict[str, dict[str, str]]:
    plots = {}
    for mission in month.missions:
        days = [
            row
            | {
                "timely": row["limited"] - row["late"],
                "under_way": max(0, row["expected"] - row["arrived"] - row["missing"]),
            }
            for row in month.by_day(mission)
        ]
        plots[mission] = {
            "completeness": bars(f"{mission}: what came in, by day", days, COMPLETENESS),
            "timeliness": bars(f"{mission}: what was published in time, by day", days, TIMELINESS),
        }
    return plots


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:g} %"


def _time(text: str | None) -> str:
    return text[:19].replace("T", " ") if text else "-"


def duration(seconds: float | None) -> str:
    """A time span, or that there is none; clocks that differ make nothing negative."""
    return "-" if seconds is None else pages.duration(max(seconds, 0))

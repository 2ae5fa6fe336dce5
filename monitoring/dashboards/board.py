"""A dashboard in few words, and how it becomes one of Grafana's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from grafana_foundation_sdk.builders import common, dashboard, elasticsearch, logs, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.common import BigValueGraphMode, LegendDisplayMode, LegendPlacement, StackingMode

PROMETHEUS = models.DataSourceRef(type_val="prometheus", uid="prometheus")
LOG_STORE = models.DataSourceRef(type_val="grafana-opensearch-datasource", uid="log-store")
GRAPH_HEIGHT, STAT_HEIGHT, LOGS_HEIGHT = 8, 4, 12
WIDTH = 24

Unit = Literal[
    "short",
    "none",
    "percentunit",
    "bytes",
    "Bps",
    "s",
    "ops",
    "reqps",
    "cps",
    "bool_on_off",
    "currencyEUR",
    "dateTimeFromNow",
]


@dataclass(frozen=True)
class Query:
    """A PromQL expression, and what its series are called (`{{label}}`)."""

    expr: str
    legend: str = ""


def events(expr: str, legend: str = "") -> Query:
    """Return a query for what has series only once it happened; before, it is zero."""
    return Query(f"{expr} or on () vector(0)", legend)


@dataclass(frozen=True)
class Panel:
    """Series over time, or with `figure` what they are now; turns red from `red` on, or below it if `low` is bad."""

    title: str
    queries: Sequence[Query]
    unit: Unit = "short"
    figure: bool = False
    red: float | None = None
    low: bool = False
    width: int = 8
    stacked: bool = False


@dataclass(frozen=True)
class Logs:
    """Records of the log store, by a query in Lucene's words."""

    title: str
    query: str


@dataclass(frozen=True)
class Board:
    """A dashboard in a folder of its own."""

    uid: str
    title: str
    panels: Sequence[Panel | Logs]
    since: str = "now-6h"

    @property
    def expressions(self) -> list[str]:
        """All PromQL expressions."""
        return [query.expr for panel in self.panels if isinstance(panel, Panel) for query in panel.queries]

    def build(self) -> models.Dashboard:
        """Return it as Grafana has it."""
        made = (
            dashboard.Dashboard(self.title)
            .uid(f"refsys-{self.uid}")
            .tags(["refsys", self.uid])
            .time(self.since, "now")
            .timezone("utc")
            .refresh("1m")
            .readonly()
        )
        for panel in self.panels:
            made = made.with_panel(_logs(panel) if isinstance(panel, Logs) else _panel(panel))
        return made.build()


def _panel(panel: Panel) -> Builder[models.Panel]:
    made: stat.Panel | timeseries.Panel = _figure(panel) if panel.figure else _graph(panel)
    made = made.title(panel.title).datasource(PROMETHEUS).unit(panel.unit).span(panel.width)
    made = made.height(STAT_HEIGHT if panel.figure else GRAPH_HEIGHT)
    for place, query in enumerate(panel.queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(chr(ord("A") + place))
        made = made.with_target(target.instant() if panel.figure else target.range())
    if panel.red is not None:
        made = made.thresholds(_thresholds(panel.red, low=panel.low))
    return made


def _figure(panel: Panel) -> stat.Panel:
    return stat.Panel().graph_mode(BigValueGraphMode.NONE).no_value("-")


def _graph(panel: Panel) -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    made = timeseries.Panel().legend(legend.show_legend(True)).fill_opacity(10).min(0)
    return made.stacking(common.StackingConfig().mode(StackingMode.NORMAL)) if panel.stacked else made


def _thresholds(red: float, *, low: bool) -> dashboard.ThresholdsConfig:
    first, then = ("red", "green") if low else ("green", "red")
    steps = [models.Threshold(color=first), models.Threshold(value=red, color=then)]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _logs(panel: Logs) -> Builder[models.Panel]:
    metric: Any = elasticsearch.Logs().id("1")
    target = elasticsearch.Dataquery().query(panel.query).time_field("@timestamp").metrics([metric]).ref_id("A")
    made = logs.Panel().title(panel.title).datasource(LOG_STORE).span(WIDTH).height(LOGS_HEIGHT)
    return made.show_time(True).wrap_log_message(True).with_target(target)

"""What was last heard of a source; nothing is told of one that doesn't answer, but that it doesn't."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from refsys.services.common.logs import get_logger
from refsys.services.common.process import Process

log = get_logger()


@dataclass(frozen=True)
class Source:
    """Something that is asked every so many seconds."""

    name: str
    seconds: float
    read: Callable[[], list[Metric]]


class Figures(Collector):
    """The metrics of a source, and `refsys_exporter_up`."""

    def __init__(self, source: Source) -> None:
        """Nothing is known yet."""
        self._source = source
        self._heard: list[Metric] | None = None
        self._silent = False

    def collect(self) -> Iterator[Metric]:
        """Yield what is known."""
        heard = self._heard
        up = GaugeMetricFamily("refsys_exporter_up", "1 if the source answered when last asked", labels=["source"])
        up.add_metric([self._source.name], float(heard is not None))
        yield from heard or ()
        yield up

    def describe(self) -> list[Metric]:
        """Tell no names beforehand: the source is asked later."""
        return []

    def ask(self) -> None:
        """Ask the source once."""
        try:
            self._heard, self._silent = self._source.read(), False
        except Exception as error:
            if not self._silent:
                log.warning("no figures", source=self._source.name, reason=str(error)[:300])
            self._heard, self._silent = None, True

    def keep(self, running: Process) -> None:
        """Ask again and again until `running` is asked to stop."""
        while not running.stop.is_set():
            self.ask()
            running.health.ready()
            running.stop.wait(self._source.seconds)

"""Whether clamd answers, what waits for it, and how old its signatures are."""

import re
from datetime import UTC, datetime

from prometheus_client.core import GaugeMetricFamily, Metric

from refsys.services.common.virus_scan import Scanner, ScannerError

SIGNATURES = re.compile(r"ClamAV (?P<program>[^/]+)(/(?P<number>\d+)/(?P<made>.+))?")
QUEUE = re.compile(r"^QUEUE: (\d+) items", re.MULTILINE)


def read(scanner: Scanner) -> list[Metric]:
    """Return clamd's figures; without a mirror's signatures there is no age of them."""
    try:
        found = _asked(scanner)
    except ScannerError:
        found = []
    return [GaugeMetricFamily("clamav_up", "1 if clamd answers", float(bool(found))), *found]


def _asked(scanner: Scanner) -> list[Metric]:
    version = SIGNATURES.fullmatch(scanner.ask("VERSION"))
    waiting = [int(number) for number in QUEUE.findall(scanner.ask("STATS"))]
    if version is None or not waiting:
        raise ScannerError("clamd gave no version or no queue")
    info = GaugeMetricFamily("clamav_info", "Version of ClamAV", labels=["version"])
    info.add_metric([version["program"]], 1)
    found: list[Metric] = [info, GaugeMetricFamily("clamav_queue_length", "Scans that wait", sum(waiting))]
    if version["made"]:
        made = datetime.strptime(version["made"], "%a %b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        meaning = "When the signatures were made"
        found.append(GaugeMetricFamily("clamav_signatures_timestamp_seconds", meaning, made.timestamp()))
        found.append(GaugeMetricFamily("clamav_signatures_version", "Their number", float(version["number"])))
    return found

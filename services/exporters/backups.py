"""When the newest copy of each backup was made, and how large it is."""

from prometheus_client.core import GaugeMetricFamily, Metric

from refsys.services.common.families import BACKUPS_BUCKET
from refsys.services.common.store import ListedObject, ObjectStore

NAMES = ("openbao",)
"""Backups that there must be."""


def read(store: ObjectStore, since: float) -> list[Metric]:
    """Return the figures of all backups; each has a folder of its own, and only good copies get there.

    One without a copy is waited for from `since`, as if that were its last one: a new environment is not late at once.
    """
    newest: dict[str, ListedObject] = {}
    for copy in store.list(BACKUPS_BUCKET):
        name, _, file = copy.key.partition("/")
        if file and (name not in newest or newest[name].modified < copy.modified):
            newest[name] = copy
    made = GaugeMetricFamily("refsys_backup_timestamp_seconds", "When the last good backup was made", labels=["name"])
    size = GaugeMetricFamily("refsys_backup_bytes", "Size of the last good backup", labels=["name"])
    for name in sorted({*NAMES, *newest}):
        made.add_metric([name], newest[name].modified.timestamp() if name in newest else since)
        if name in newest:
            size.add_metric([name], newest[name].size)
    return [made, size]

"""The `detector` process: asks the log store for what the rules look for, every few seconds, and raises alerts.

It keeps nothing of its own: alerts are in the store, and one that has not been quiet for long is prolonged; how far it
came is there too. Stopped or killed, it goes on from there, and raises nothing twice.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from prometheus_client import Counter, Gauge

from refsys.services.common import logs, process
from refsys.services.common.messages import iso, utc_now
from refsys.services.common.settings import AlertmanagerSettings, DetectionSettings, LogStoreSettings, load
from refsys.services.detection.alerts import EVIDENCE, QUIET, Alert, Alertmanager, AlertmanagerDownError
from refsys.services.detection.rules import Rule, load_rules
from refsys.services.logs.store import Document, LogStore, StoreDownError, hits
from refsys.services.logs.templates import ALERTS, DETECTOR

LOOK_SECONDS = 5.0
OVERLAP = timedelta(seconds=20)
"""Records appear in searches some seconds after they were written; what is seen twice changes nothing."""
BACKLOG = timedelta(hours=6)
"""So far it looks back at most, after it was away."""
BEFORE = timedelta(minutes=10)
"""So far it looks back when it starts for the first time."""
POSITION = "position"
STEP = timedelta(minutes=1)  # what lies back is looked at piece by piece, so that thresholds mean the same
REPEAT = timedelta(minutes=1)  # Alertmanager forgets what is not said again
SHOWN = 100  # records of a group that one look reads
FIELDS = ("@timestamp", "host", "source", "program", "severity", "message", "namespace", "pod", "container")
GROUPS = 200
LOGS = "logs-*"

RAISED = Counter("refsys_alerts_total", "Alerts raised, by rule and level", ["rule", "level"])
LOOKED = Gauge("refsys_detection_looked_timestamp_seconds", "When all rules were last asked for")

log = logs.get_logger()


def main() -> None:
    """Look until asked to stop."""
    settings, store, alertmanager = load(DetectionSettings), load(LogStoreSettings), load(AlertmanagerSettings)
    rules = load_rules(settings.rules_folder)
    running = process.start("detector")
    detector = Detector(rules, LogStore(store), Alertmanager(alertmanager, str(settings.runbooks_url or "")))
    log.info("rules are read", rules=len(rules))
    while not running.stop.is_set():
        try:
            detector.look(utc_now())
            running.health.ready()
            if detector.behind(utc_now()):
                continue
        except (StoreDownError, AlertmanagerDownError) as error:
            running.health.not_ready(str(error))
            log.warning("detection waits", reason=str(error)[:300], retry_seconds=LOOK_SECONDS)
        running.stop.wait(LOOK_SECONDS)
    detector.close()


@dataclass(frozen=True)
class _Match:
    """What a look found of one rule in one group."""

    rule: Rule
    group: str
    host: str
    first: datetime
    last: datetime
    records: int
    shown: tuple[Document, ...]

    def alert(self) -> Alert:
        """Return the alert that begins with it."""
        return Alert(
            rule=self.rule,
            group=self.group,
            host=self.host,
            first=self.first,
            last=self.last,
            raised=utc_now(),
            records=self.records,
            evidence=self.shown[:EVIDENCE],
        )

    def is_enough(self) -> bool:
        """Tell whether so many of its records as the rule wants lie within the rule's time."""
        threshold = self.rule.threshold
        if threshold is None:
            return True
        moments = [_moment(each) for each in self.shown]
        later = moments[threshold.count - 1 :]
        return any(last - first <= threshold.within for first, last in zip(moments, later, strict=False))

    def after(self, moment: datetime) -> "_Match | None":
        """Return what of it came later; its number is exact as long as all are shown."""
        left = tuple(each for each in self.shown if _moment(each) > moment)
        if not left:
            return None
        count = self.records if self.records > len(self.shown) else len(left)
        return replace(self, first=_moment(left[0]), records=count, shown=left)


class Detector:
    """All rules over one store."""

    def __init__(self, rules: Sequence[Rule], store: LogStore, alertmanager: Alertmanager) -> None:
        """Nothing is asked for yet."""
        self._rules = {rule.identifier: rule for rule in rules}
        self._store = store
        self._alertmanager = alertmanager
        self._since: datetime | None = None
        self._told = datetime.min.replace(tzinfo=UTC)

    def behind(self, now: datetime) -> bool:
        """Tell whether there is more to look at than one look takes."""
        return self._since is not None and now - self._since > STEP

    def look(self, now: datetime) -> list[Alert]:
        """Look at what is new, keep and send the alerts; returns the new ones.

        Raises:
            StoreDownError, AlertmanagerDownError: the next look does it again.
        """
        since = self._since or self._start(now)
        until = min(now, since + STEP)
        matches = list(self._found(since - OVERLAP, until))
        new: list[Alert] = []
        if matches or now - self._told >= REPEAT:
            new = self._update(matches, now)
        if self._since is None or until.minute != self._since.minute:
            self._store.keep(DETECTOR, [(POSITION, {"looked": iso(until)})])
        self._since = until
        LOOKED.set(now.timestamp())
        return new

    def close(self) -> None:
        """Close the connections."""
        self._store.close()
        self._alertmanager.close()

    def _found(self, since: datetime, until: datetime) -> Iterator[_Match]:
        """Yield what rules find. One search says which of them, mostly none, have anything new to look at."""
        glance = self._store.search(LOGS, _glance(self._rules.values(), since, until))
        # Where there are no indices yet, there are no aggregations.
        counted = glance.get("aggregations", {}).get("rules", {}).get("buckets", {})
        rules = [self._rules[identifier] for identifier, bucket in counted.items() if bucket["doc_count"]]
        if rules:
            answers = self._store.search_all(LOGS, (_search(rule, since, until) for rule in rules))
            for rule, answer in zip(rules, answers, strict=True):
                yield from _matches(rule, answer)

    def _start(self, now: datetime) -> datetime:
        self._store.prepare(ALERTS)
        for kept in hits(self._store.search(DETECTOR, {"query": {"ids": {"values": [POSITION]}}})):
            return max(datetime.fromisoformat(kept["looked"]), now - BACKLOG)
        return now - BEFORE

    def _update(self, matches: Sequence[_Match], now: datetime) -> list[Alert]:
        known = {(alert.rule.identifier, alert.group): alert for alert in self._open(matches, now)}
        new: list[Alert] = []
        changed: list[Alert] = []
        for match in matches:
            key = (match.rule.identifier, match.group)
            alert = known.get(key)
            fresh = match.after(alert.last) if alert else match
            if fresh is None:
                continue
            if alert and fresh.first <= alert.last + _quiet(match.rule):
                alert = alert.with_more(fresh.last, alert.records + fresh.records)
            elif fresh.is_enough():
                alert = fresh.alert()
                new.append(alert)
            else:
                continue
            known[key] = alert
            changed.append(alert)
        self._store.keep(ALERTS, [(alert.identifier, alert.document()) for alert in changed])
        for alert in new:
            RAISED.labels(alert.rule.title, alert.rule.level).inc()
            log.warning("alert", rule=alert.rule.title, severity=alert.rule.level, group=alert.group)
        if going_on := [alert for alert in known.values() if alert.last + QUIET > now]:
            self._alertmanager.tell(going_on)
        self._told = now
        return new

    def _open(self, matches: Sequence[_Match], now: datetime) -> Iterator[Alert]:
        """Yield the alerts that may go on: those of the times of the matches, and of now."""
        first = min([now, *(match.first for match in matches)])
        longest = max(_quiet(rule) for rule in self._rules.values())
        asked = {"range": {"last_seen": {"gte": iso(first - longest)}}}
        body = {"size": 10_000, "sort": [{"last_seen": "asc"}], "query": asked}
        for document in hits(self._store.search(ALERTS, body)):
            if rule := self._rules.get(document["rule"]):
                yield Alert.of_document(rule, document)


def _quiet(rule: Rule) -> timedelta:
    return max(QUIET, rule.threshold.within) if rule.threshold else QUIET


def _glance(rules: Iterable[Rule], since: datetime, until: datetime) -> Document:
    """Return the search for how many records each rule names among what was indexed then."""
    wanted = {rule.identifier: _wanted(rule) for rule in rules}
    query = {"filter": [_indexed(since, until)], "should": list(wanted.values()), "minimum_should_match": 1}
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": query},
        "aggs": {"rules": {"filters": {"filters": wanted}}},
    }


def _wanted(rule: Rule) -> Document:
    return {"query_string": {"query": rule.query, "analyze_wildcard": True}}


def _indexed(since: datetime, until: datetime) -> Document:
    return {"range": {"indexed": {"gte": iso(since), "lte": iso(until)}}}


def _search(rule: Rule, since: datetime, until: datetime) -> Document:
    """Return the search for a rule by group, among what was indexed then; with a threshold, also its time before."""
    fields: Sequence[str] = ("host",)
    least = 1
    if rule.threshold:
        fields, least, since = rule.threshold.group_by, rule.threshold.count, since - rule.threshold.within
    shown = {"size": SHOWN, "sort": [{"@timestamp": "asc"}], "_source": list(FIELDS)}
    groups = _terms(fields, least) | {
        "aggs": {"records": {"top_hits": shown}, "last": {"max": {"field": "@timestamp"}}}
    }
    query = {"bool": {"filter": [_wanted(rule), _indexed(since, until)]}}
    return {"size": 0, "query": query, "aggs": {"groups": groups}}


def _terms(fields: Sequence[str], least: int) -> Document:
    if len(fields) == 1:
        return {"terms": {"field": fields[0], "size": GROUPS, "min_doc_count": least}}
    return {"multi_terms": {"terms": [{"field": field} for field in fields], "size": GROUPS, "min_doc_count": least}}


def _matches(rule: Rule, answer: Document) -> Iterator[_Match]:
    buckets: list[dict[str, Any]] = answer["aggregations"]["groups"]["buckets"]
    for bucket in buckets:
        shown = tuple(hits(bucket["records"]))
        match = _Match(
            rule=rule,
            group=bucket.get("key_as_string") or str(bucket["key"]),
            host=str(shown[0].get("host", "")),
            first=_moment(shown[0]),
            # The store counts in milliseconds, a record is more exact.
            last=max(_moment(shown[-1]), datetime.fromtimestamp(bucket["last"]["value"] / 1000, UTC)),
            records=bucket["doc_count"],
            shown=shown,
        )
        if match.is_enough():
            yield match


def _moment(record: Document) -> datetime:
    return datetime.fromisoformat(record["@timestamp"])

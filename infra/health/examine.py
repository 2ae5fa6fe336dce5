"""Examine an environment: all layers at the same time, each with a short patience."""

import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import httpx

from refsys.infra import operators
from refsys.infra.cli import endpoints as endpoint_files
from refsys.infra.errors import UserError
from refsys.infra.health import chain, machine, security, workloads
from refsys.infra.health.api_server import ApiServer, SilentError, Snapshot
from refsys.infra.health.parts import Finding, Part, Report
from refsys.infra.health.pods import Judge
from refsys.infra.operators import AwayError, Operators
from refsys.platform.components.applications import PREFIX
from refsys.platform.components.names import PROCESSING

TIMEOUT = httpx.Timeout(8, connect=2)
LOG_LINES = 20
WELL = (200, 401)
"""Without a token a healthy interface refuses."""

Endpoints = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Interface:
    """An outside interface, as it answered."""

    name: str
    url: str
    seen: str
    well: bool


@dataclass(frozen=True)
class Asked(Generic[T]):
    """What a question brought, or why it brought nothing."""

    answer: T | None
    reason: str = ""
    next_step: str = ""
    away: bool = False
    """Nothing answered: the environment's fault, not that of who asks."""


def examine(environment: str) -> Report:
    """Look at every layer of an environment.

    Raises:
        UserError: there is no such environment.
    """
    started = time.monotonic()
    found = endpoint_files.read(environment)
    played = [station["name"] for station in found.get("demo", {}).get("stations", [])]
    with ThreadPoolExecutor() as pool, ExitStack() as opened:
        seen = pool.submit(machine.look, environment)
        prip = pool.submit(_interface, found, "PRIP", f"{found['prip_url']}/odata/v1/")
        identity = pool.submit(_interface, found, "identity", f"{found['issuer']}/.well-known/openid-configuration")
        asked = _api_server(found, opened)
        server = asked.answer
        snapshot = pool.submit(_tried, server.snapshot if server else _nothing, asked.reason)
        lives = pool.submit(
            security.certificates, found, server.certificate if server else None, server.address if server else None
        )
        now = datetime.now(UTC)
        of_operators = pool.submit(_of_operators, found, now)
        cluster = Cluster(environment, found["kubeconfig"], server, snapshot.result(), now)
        figures, silent, counts = of_operators.result()
        parts = (
            machine.judge(environment, seen.result()),
            cluster.part(),
            cluster.platform(identity.result()),
            cluster.chain(prip.result(), figures, silent, played),
            *cluster.applications(found.get("applications", {})),
            _with_reason(security.judge(environment, counts.answer, lives.result(), now), counts),
        )
    return Report(environment, parts, time.monotonic() - started)


@dataclass(frozen=True)
class Cluster:
    """The cluster's snapshot, or why there is none, and what the parts over it make of it."""

    environment: str
    kubeconfig: str
    server: ApiServer | None
    asked: Asked[Snapshot]
    now: datetime

    @cached_property
    def _nodes(self) -> tuple[list[Finding], set[str]]:
        return workloads.nodes(self.environment, self.asked.answer) if self.asked.answer else ([], set())

    def part(self) -> Part:
        """API server, nodes, and what every cluster runs."""
        if self.asked.answer is None:
            what = f"nothing from the API server: {self.asked.reason}"
            return Part("cluster", "nothing is known of it", (Finding(what, f"./refsys up {self.environment}"),))
        findings, away = self._nodes
        hosting = workloads.hosting(self.asked.answer)
        part = self._workloads("cluster", but=(*workloads.PLATFORM, *workloads.JOBS, PROCESSING, *hosting))
        every = self.asked.answer.nodes
        facts = {**part.facts, "nodes": {node["metadata"]["name"]: _node_facts(node) for node in every}}
        seen = f"{len(every) - len(away)} of {len(every)} nodes ready, {part.seen}"
        return replace(part, seen=seen, findings=(*findings, *part.findings), facts=facts)

    def platform(self, identity: Interface) -> Part:
        """Databases, bus, store, secrets, identity, gateway, monitoring."""
        return _with_interface(self._workloads("platform", only=workloads.PLATFORM), identity, self.environment)

    def chain(self, prip: Interface, figures: Asked[Any], silent: Asked[dict[str, str]], played: list[str]) -> Part:
        """The chain's processes, what they have to do, and stations that don't answer but those that are `played`."""
        part = _with_interface(self._workloads("chain", only=(PROCESSING,)), prip, self.environment)
        stations = chain.station_findings(self.environment, silent.answer or {}, played)
        part = replace(
            part, findings=(*part.findings, *stations), facts={**part.facts, "silent_stations": silent.answer}
        )
        if figures.answer is None:
            finding = Finding(f"its figures are not known: {figures.reason}", figures.next_step, serious=False)
            # What is down already has a finding of its own.
            return replace(part, findings=part.findings or (finding,))
        return replace(
            part,
            seen=f"{part.seen}; {chain.told(figures.answer, self.now)}",
            findings=(*part.findings, *chain.findings(self.environment, figures.answer, self.now)),
            facts={**part.facts, "figures": figures.answer},
        )

    def applications(self, declared: Mapping[str, str]) -> list[Part]:
        """Hosted applications by name → address; nothing to say where there is none."""
        if not declared:
            return []
        namespaces = tuple(f"{PREFIX}{name}" for name in declared)
        part = self._workloads("applications", only=namespaces)
        running = {each["namespace"] for each in part.facts.get("workloads", ())}
        missing = [name for name in declared if part.known and f"{PREFIX}{name}" not in running]
        again = f"./refsys up {self.environment}"
        findings = [Finding(f"{name} has no workload in the cluster", again) for name in missing]
        return [replace(part, findings=(*part.findings, *findings), facts={**part.facts, "addresses": dict(declared)})]

    def _workloads(self, name: str, *, only: tuple[str, ...] = (), but: tuple[str, ...] = ()) -> Part:
        if self.asked.answer is None:
            return Part(name, "its workloads are not known: the API server doesn't answer", known=False)
        judge = Judge(self.environment, self.kubeconfig, self.asked.answer.events, self._log, self.now)
        return workloads.part(name, self.asked.answer, judge, away=self._nodes[1], only=only, but=but)

    def _log(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        return self.server.log(namespace, pod, container, lines=LOG_LINES, previous=previous) if self.server else ""


def _api_server(found: Endpoints, opened: ExitStack) -> Asked[ApiServer]:
    try:
        return Asked(opened.enter_context(ApiServer(Path(found["kubeconfig"]))))
    except SilentError as error:
        return Asked(None, str(error))


def _nothing() -> Snapshot:
    raise SilentError("")


def _tried(ask: Callable[[], Snapshot], reason: str) -> Asked[Snapshot]:
    try:
        return Asked(ask())
    except SilentError as error:
        return Asked(None, str(error) or reason)


def _of_operators(found: Endpoints, now: datetime) -> tuple[Asked[Any], Asked[dict[str, str]], Asked[dict[str, int]]]:
    """Ask for the chain's figures, silent stations and alerts; each may fail by itself."""
    with Operators(found, log_in=False, timeout=TIMEOUT) as asked:
        return (
            _answered(lambda: asked.get(chain.PATH)),
            _answered(lambda: chain.silent_stations(asked, now)),
            _answered(lambda: security.alerts(asked, now)),
        )


def _answered(ask: Callable[[], T]) -> Asked[T]:
    try:
        return Asked(ask())
    except UserError as error:
        return Asked(None, str(error.args[0]), error.fix, away=isinstance(error, AwayError))


def _with_reason(part: Part, counts: Asked[dict[str, int]]) -> Part:
    """Say why alerts are not known."""
    if counts.answer is not None:
        return part
    finding = Finding(counts.reason, counts.next_step, serious=False)
    return replace(part, findings=(*part.findings, finding), known=not counts.away)


def _interface(found: Endpoints, name: str, url: str) -> Interface:
    try:
        with httpx.Client(transport=operators.transport(found["ca_file"]), timeout=TIMEOUT, trust_env=False) as http:
            status = http.get(url).status_code
    except (httpx.HTTPError, OSError, ssl.SSLError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        return Interface(name, url, f"{name} ({url}) doesn't answer: {said}", well=False)
    return Interface(name, url, f"{name} answers {status}", well=status in WELL)


def _with_interface(part: Part, interface: Interface, environment: str) -> Part:
    facts = {**part.facts, interface.name: {"url": interface.url, "well": interface.well, "seen": interface.seen}}
    if interface.well:
        return replace(part, seen=f"{part.seen}, {interface.name} answers", facts=facts)
    finding = Finding(f"{interface.seen}", f"./refsys logs {environment} --service gateway --since 15m")
    # A workload that is down is the likelier cause, and comes first.
    return replace(part, findings=(*part.findings, finding), facts=facts)


def _node_facts(node: Mapping[str, Any]) -> dict[str, Any]:
    status = node["status"]
    conditions = {each["type"]: each["status"] for each in status.get("conditions", [])}
    return {
        "conditions": conditions,
        "allocatable": status.get("allocatable", {}),
        "version": status.get("nodeInfo", {}).get("kubeletVersion"),
    }

"""Whether an environment is well: nodes, cluster, workloads, outside interfaces."""

import ssl
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from kubernetes import client, config
from rich.console import Console
from urllib3.exceptions import HTTPError

from refsys.infra.cli import endpoints
from refsys.infra.errors import UserError

PROBE_SECONDS = 5
WELL_SECONDS = 300


@dataclass(frozen=True)
class Check:
    """One part of the environment: what was seen, and what to do where it isn't well."""

    part: str
    well: bool
    seen: str
    next_step: str = ""


@dataclass(frozen=True)
class Report:
    """All parts of an environment."""

    environment: str
    checks: list[Check]

    @property
    def well(self) -> bool:
        """Whether every part is well."""
        return all(check.well for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"environment": self.environment, "well": self.well, "checks": [asdict(check) for check in self.checks]}

    def show(self, console: Console) -> None:
        """For people."""
        console.print(f"environment {self.environment}: {'[green]well[/]' if self.well else '[red]not well[/]'}")
        for check in self.checks:
            mark = "[green]✓[/]" if check.well else "[red]✗[/]"
            step = "" if check.well else f"\n    next: {check.next_step}"
            console.print(f"{mark} {check.part:<10} {check.seen}{step}", highlight=False)


def examine(environment: str) -> Report:
    """Look at the environment from outside."""
    found = endpoints.read(environment)
    again = f"./refsys up {environment}"
    checks = [*_cluster(found["kubeconfig"], again), *_interfaces(found, again)]
    return Report(environment, checks)


def wait_until_well(environment: str, note: Callable[[str], None]) -> None:
    """Wait until pods that were moved or started again are back; `note` is told what is not well meanwhile.

    Raises:
        UserError: with what is not well, and why.
    """
    deadline = time.monotonic() + WELL_SECONDS
    while not (report := examine(environment)).well:
        unwell = [check for check in report.checks if not check.well]
        lacking = [f"{check.part}: {check.seen}" for check in unwell]
        if time.monotonic() > deadline:
            raise UserError(
                "\n    ".join(
                    [f"environment {environment} is complete, but not well after {WELL_SECONDS} s:", *lacking]
                ),
                fix="; ".join(dict.fromkeys(check.next_step for check in unwell)),
            )
        note("; ".join(lacking))
        time.sleep(2)


def _cluster(kubeconfig: str, again: str) -> list[Check]:
    try:
        api = config.new_client_from_config(kubeconfig)
        api.configuration.retries = False
        core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
        nodes = core.list_node(_request_timeout=PROBE_SECONDS).items
        workloads = [
            *apps.list_deployment_for_all_namespaces(_request_timeout=PROBE_SECONDS).items,
            *apps.list_stateful_set_for_all_namespaces(_request_timeout=PROBE_SECONDS).items,
        ]
        pods = core.list_pod_for_all_namespaces(_request_timeout=PROBE_SECONDS).items
    except (client.ApiException, HTTPError, OSError, config.ConfigException) as error:
        return [Check("cluster", False, f"the API server doesn't answer: {_first_line(error)}", again)]
    ready = [node for node in nodes if any(c.type == "Ready" and c.status == "True" for c in node.status.conditions)]
    away = sorted({node.metadata.name for node in nodes} - {node.metadata.name for node in ready})
    lacking = [
        f"{item.metadata.namespace}/{item.metadata.name} {item.status.ready_replicas or 0}/{item.spec.replicas}"
        for item in workloads
        if (item.status.ready_replicas or 0) < item.spec.replicas
    ]
    reasons = "; ".join(filter(None, (_pod_trouble(pod) for pod in pods)))
    return [
        Check(
            "nodes",
            not away,
            f"{len(ready)} of {len(nodes)} ready" + (f", not ready: {', '.join(away)}" if away else ""),
            again,
        ),
        Check(
            "workloads",
            not lacking,
            f"{len(workloads) - len(lacking)} of {len(workloads)} complete"
            + (f", lacking: {', '.join(lacking)}" if lacking else ""),
            reasons or f"kubectl --kubeconfig {kubeconfig} get pods -A",
        ),
    ]


def _pod_trouble(pod: Any) -> str:
    for container in pod.status.container_statuses or []:
        waiting = container.state.waiting
        if waiting and waiting.reason not in ("ContainerCreating", "PodInitializing"):
            return f"{pod.metadata.namespace}/{pod.metadata.name}: {waiting.reason} {waiting.message or ''}".strip()
    return ""


def _interfaces(found: dict[str, Any], again: str) -> list[Check]:
    authority = Path(found["ca_file"])
    checks = []
    for part, url in (
        ("PRIP", found["prip_url"] + "/odata/v1/"),
        ("identity", found["issuer"] + "/.well-known/openid-configuration"),
    ):
        try:
            context = ssl.create_default_context(cafile=str(authority))
            response = httpx.get(url, verify=context, timeout=PROBE_SECONDS)
            # Without a token a healthy interface refuses.
            well = response.status_code in (200, 401)
            seen = f"{url} answers {response.status_code}"
        except (httpx.HTTPError, OSError) as error:
            well, seen = False, f"{url}: {_first_line(error)}"
        checks.append(Check(part, well, seen, again))
    return checks


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

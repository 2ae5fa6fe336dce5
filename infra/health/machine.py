"""This machine and the nodes: disk, memory, who answers."""

import json
import os
import shutil
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from refsys.infra import paths
from refsys.infra.health.parts import Finding, Part
from refsys.infra.playbook import hosts
from refsys.platform.components.names import KUBELET_PORT

ANSWER_SECONDS = 2.0
DISK_FULL, DISK_LOW = 0.95, 0.85
MEMORY_LOW_GIB = 0.75
BUSY = 5.0
"""Processes that want to run, for each processor."""
GIB = 2**30


class Answer(StrEnum):
    """What comes of a connection to a node's kubelet."""

    KUBELET = "answers"
    REFUSED = "refuses"
    """The node runs, its kubelet doesn't."""
    SILENT = "doesn't answer"


@dataclass(frozen=True)
class Machine:
    """What was seen of this machine."""

    disk_used_bytes: int
    disk_free_bytes: int
    memory_free_bytes: int
    nodes: dict[str, Answer]
    load: float = 0.0
    """Processes that want to run, for each processor, lately."""


def look(environment: str) -> Machine:
    """Look at this machine, and try its way to the nodes."""
    disk = shutil.disk_usage(paths.home())
    addresses = _addresses(environment)
    with ThreadPoolExecutor(max(1, len(addresses))) as pool:
        answering = dict(zip(addresses, pool.map(_answer, addresses.values()), strict=True))
    return Machine(disk.used, disk.free, _memory(), answering, os.getloadavg()[0] / (os.cpu_count() or 1))


def judge(environment: str, seen: Machine) -> Part:
    """Tell what that means."""
    used = seen.disk_used_bytes / (seen.disk_used_bytes + seen.disk_free_bytes)
    free, memory = seen.disk_free_bytes / GIB, seen.memory_free_bytes / GIB
    silent = [name for name, answer in seen.nodes.items() if answer is Answer.SILENT]
    refusing = [name for name, answer in seen.nodes.items() if answer is Answer.REFUSED]
    text = f"disk {used:.0%} full, {free:.0f} GiB free; {memory:.1f} GiB of memory free; "
    text += f"{len(seen.nodes) - len(silent) - len(refusing)} of {len(seen.nodes)} nodes answer"
    findings = []
    if silent:
        findings.append(
            Finding(
                f"node {', '.join(silent)} doesn't answer: it doesn't run, or the network between is down",
                f"./refsys up {environment} starts it again; its console: "
                f"{paths.environment_home(environment)}/nodes/{silent[0]}/console.log",
            )
        )
    if refusing:
        findings.append(
            Finding(
                f"node {', '.join(refusing)} runs, but its kubelet doesn't",
                f"./refsys up {environment}; the node's journal says why (./refsys doctor {environment} collects it)",
            )
        )
    if used >= DISK_LOW:
        findings.append(
            Finding(
                f"the disk of {paths.home()} is {used:.0%} full: {free:.1f} GiB are left",
                f"free some space: {paths.cache()} is made again when deleted; du -xh -d2 / shows the largest",
                serious=used >= DISK_FULL,
            )
        )
    if memory < MEMORY_LOW_GIB:
        findings.append(
            Finding(
                f"this machine has {memory:.1f} GiB of memory left",
                "end what isn't needed; ps aux --sort=-rss shows the largest",
                serious=False,
            )
        )
    if seen.load >= BUSY:
        what = f"this machine is busy: {seen.load:.0f} processes wait for each processor, everything is slow"
        findings.append(Finding(what, "wait, or end what isn't needed; top shows the busiest", serious=False))
    facts = {
        "disk": {"folder": str(paths.home()), "used": seen.disk_used_bytes, "free": seen.disk_free_bytes},
        "memory": {"available": seen.memory_free_bytes},
        "nodes": seen.nodes,
        "load": round(seen.load, 1),
    }
    return Part("machine", text, tuple(findings), facts=facts)


def _addresses(environment: str) -> dict[str, str]:
    file = paths.environment_home(environment) / "inventory.yml"
    try:
        found = hosts(json.loads(file.read_text()))
    except (OSError, ValueError):
        return {}
    return {name: variables["ansible_host"] for name, variables in sorted(found.items())}


def _answer(address: str) -> Answer:
    # A whole handshake leaves no error in the node's log.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection((address, KUBELET_PORT), ANSWER_SECONDS) as connection,
            context.wrap_socket(connection),
        ):
            return Answer.KUBELET
    except ConnectionRefusedError:
        return Answer.REFUSED
    except OSError:
        return Answer.SILENT


def _memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0

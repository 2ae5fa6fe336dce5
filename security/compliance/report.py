"""The report of a run: scores, failed and waived rules of every node, and what changed since the last run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from refsys.security.compliance import catalogue, lynis, openscap, waivers
from refsys.security.compliance.results import ResultError, ToolResult
from refsys.security.compliance.waivers import Waiver, Where

READERS = {"lynis": (lynis.read, "lynis-report.dat"), "openscap": (openscap.read, "openscap.xml")}
CONTENT = Path(__file__).parent / "content.yml"
TARGETS = {"lynis": 85.0, "openscap": 90.0}

Document = dict[str, Any]


@dataclass(frozen=True)
class Node:
    """A node as the inventory has it."""

    name: str
    profile: str
    shared_kernel: bool
    switched: Mapping[str, bool]
    """Rules that the inventory switches on or off."""

    @property
    def places(self) -> list[Where]:
        """Where the node is, in the words of waivers."""
        places = [Where.EVERYWHERE]
        if self.profile == Where.KUBERNETES_NODE:
            places.append(Where.KUBERNETES_NODE)
        if self.shared_kernel:
            places.append(Where.CONTAINER)
        return places


def make(environment: str, nodes: list[Node], folder: Path, before: Document | None) -> Document:
    """The report of the results that lie in `folder`/NODE, compared with the report of the last run.

    Raises:
        ResultError: a node's result is missing or not complete.
    """
    known = waivers.load()
    content = yaml.safe_load(CONTENT.read_text())["compliance_content"]
    document: Document = {
        "environment": environment,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "content": {"version": content["version"], "profile": content["profile"].rpartition("profile_")[2]},
        "targets": TARGETS,
        "nodes": {node.name: _node(node, folder / node.name, known) for node in nodes},
    }
    document["drift"] = _drift(document, before) if before else None
    return document


def _node(node: Node, folder: Path, known: list[Waiver]) -> Document:
    tools = {}
    for tool, (read, name) in READERS.items():
        if not (folder / name).exists():
            raise ResultError(f"{folder / name} is missing: the scan of {node.name} did not come to its end")
        tools[tool] = _tool(read(folder / name), waivers.reasons(known, tool, node.places))
    off = waivers.reasons(known, "rules", node.places)
    rules = catalogue.load()
    return {
        "profile": node.profile,
        "shared_kernel": node.shared_kernel,
        "tools": tools,
        "rules_off": {
            rule: {"title": rules[rule].title, "reason": reason}
            for rule, reason in off.items()
            if not node.switched.get(rule)
        }
        | {
            rule: {"title": rules[rule].title, "reason": "switched off by os_hardening_rules in the inventory"}
            for rule, on in node.switched.items()
            if not on
        },
        "not_testable": _not_testable(known) if node.shared_kernel else [],
    }


def _tool(result: ToolResult, reasons: Mapping[str, str]) -> Document:
    return {
        "version": result.version,
        "score": result.score,
        "tests": result.tests,
        "failed": {test: text for test, text in result.failed.items() if test not in reasons},
        "waived": {
            test: {"title": text, "reason": reasons[test]} for test, text in result.failed.items() if test in reasons
        },
        "unknown": result.unknown,
    }


def _not_testable(known: list[Waiver]) -> list[Document]:
    """What says nothing on a node that shares its machine's kernel."""
    return [
        {"tests": waiver.rules + waiver.openscap + waiver.lynis, "reason": waiver.reason}
        for waiver in known
        if waiver.where is Where.CONTAINER
    ]


def _drift(now: Document, before: Document) -> Document:
    nodes = {}
    for name, node in now["nodes"].items():
        if name not in before["nodes"]:
            nodes[name] = {"new": True, "tools": {}}
            continue
        tools = {}
        for tool, result in node["tools"].items():
            former = before["nodes"][name]["tools"][tool]
            fails, failed = _failing(result), _failing(former)
            tools[tool] = {
                "score": round(result["score"] - former["score"], 1),
                "worse": sorted(fails - failed),
                "better": sorted(failed - fails),
            }
        nodes[name] = {"new": False, "tools": tools}
    return {"since": before["time"], "nodes": nodes, "gone": sorted(set(before["nodes"]) - set(now["nodes"]))}


def _failing(result: Document) -> set[str]:
    return {*result["failed"], *result["waived"]}


def last(folder: Path) -> Document | None:
    """The report of the last run, if there was one."""
    file = folder / "report.json"
    found: Document | None = json.loads(file.read_text()) if file.exists() else None
    return found

"""The environment's playbooks in check mode: what they would change on nodes. Nothing is changed."""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refsys.infra import paths
from refsys.infra.doctor.masks import Masks
from refsys.infra.drift.report import REPORT
from refsys.infra.playbook import PLAYBOOKS, PlaybookError, PlaybookRun

CALLBACK = Path(__file__).with_name("callback") / "refsys_changes.py"
SHOWN_LINES = 40


@dataclass(frozen=True)
class Finding:
    """A task that would change something on a node, or could not tell."""

    playbook: str
    node: str
    task: str
    place: str
    """File and line of the task."""
    outcome: str
    """`changed`, `failed` or `unreachable`."""
    message: str
    diff: tuple[str, ...]
    """Lines, as `diff -u` writes them, without secrets."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def examine(environment: str, playbooks: Iterable[str], secrets: Mapping[str, str], masks: Masks) -> list[Finding]:
    """Run the playbooks in check mode, one after the other; `secrets` are their secret variables."""
    run = _run_of(environment, secrets)
    return [finding for playbook in playbooks for finding in _of_playbook(run, playbook, masks)]


def mend(environment: str, findings: Iterable[Finding], secrets: Mapping[str, str]) -> None:
    """Run the playbooks for real on the nodes that differ.

    Raises:
        PlaybookError: one failed.
    """
    nodes: dict[str, set[str]] = {}
    for finding in findings:
        if finding.outcome == "changed":
            nodes.setdefault(finding.playbook, set()).add(finding.node)
    run = _run_of(environment, secrets)
    for playbook, differing in nodes.items():
        run(playbook, {}, limit=sorted(differing))


def _run_of(environment: str, secrets: Mapping[str, str]) -> PlaybookRun:
    inventory = json.loads(paths.file_of_running(environment, "inventory.yml").read_text())
    return PlaybookRun(environment, inventory, secrets)


def _of_playbook(run: PlaybookRun, playbook: str, masks: Masks) -> list[Finding]:
    log = run.home / "logs" / f"check-{playbook}.log"
    failure = ""
    # Both tell what differs, which may be secret: they are kept masked.
    with paths.in_memory("report") as report, paths.in_memory("log") as said:
        variables = {
            REPORT: str(report),
            "ANSIBLE_CALLBACK_PLUGINS": str(CALLBACK.parent),
            "ANSIBLE_CALLBACKS_ENABLED": CALLBACK.stem,
        }
        try:
            run.check(playbook, variables, said)
        except PlaybookError as error:
            failure = str(error).replace(str(said), str(log))
        log.write_text(masks(said.read_text()))
        found = [_finding(playbook, json.loads(line), masks) for line in report.read_text().splitlines()]
    if failure and all(finding.outcome == "changed" for finding in found):
        found.append(Finding(playbook, "-", "run the playbook", str(PLAYBOOKS), "failed", masks(failure), ()))
    return found


def _finding(playbook: str, told: Mapping[str, Any], masks: Masks) -> Finding:
    lines = [masks(line) for part in told["parts"] for line in _diff(part)]
    if len(lines) > SHOWN_LINES:
        lines = [*lines[:SHOWN_LINES], f"… {len(lines) - SHOWN_LINES} more lines"]
    place = str(told["place"] or "").removeprefix(f"{paths.CHECKOUT.resolve()}/")
    message = masks(told["message"])
    return Finding(playbook, told["node"], told["task"], place, told["outcome"], message, tuple(lines))


def _diff(part: Mapping[str, Any]) -> Iterator[str]:
    """What a part of a task would change; of a loop with its item."""
    found = part["diff"] if isinstance(part["diff"], list) else [part["diff"]]
    if part["item"] is not None:
        yield f"item: {part['item'] if isinstance(part['item'], str) else json.dumps(part['item'])}"
    for each in filter(None, found):
        if "prepared" in each:
            yield from str(each["prepared"]).splitlines()
        elif "before" in each or "after" in each:
            before, after = _text(each.get("before", "")), _text(each.get("after", ""))
            heads = str(each.get("before_header", "before")), str(each.get("after_header", "after"))
            yield from difflib.unified_diff(before, after, heads[0], heads[1], n=1, lineterm="")


def _text(value: Any) -> list[str]:
    return (value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True)).splitlines()

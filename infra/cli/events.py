"""What the engine says while it works, shown as steps and kept as changes and failures."""

import re
from dataclasses import dataclass, field

from pulumi.automation import EngineEvent, OpType

from refsys.infra.cli.steps import Steps

TRACEBACK = "Traceback (most recent call last):"
VERBS = {
    OpType.CREATE: "create",
    OpType.UPDATE: "change",
    OpType.DELETE: "remove",
    OpType.CREATE_REPLACEMENT: "make anew",
    OpType.DELETE_REPLACED: "remove the old",
}


@dataclass
class Changes:
    """What an operation of the engine changed: number of resources by verb, and the reasons of failures."""

    counts: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def changed(self) -> int:
        """Number of resources that were not left as they were."""
        return sum(number for verb, number in self.counts.items() if verb != "same")


def show(event: EngineEvent, changes: Changes, steps: Steps) -> None:
    """Show the event as a step, and note what it says in the changes."""
    if (before := event.resource_pre_event) and before.metadata.op in VERBS:
        meta = before.metadata
        if not meta.type.startswith("pulumi:"):  # the stack and providers are not what an operator declared
            steps.begin(meta.urn, f"{VERBS[meta.op]} {title(meta.urn)}")
    elif (after := event.res_outputs_event) is not None:
        steps.end(after.metadata.urn)
    elif (failed := event.res_op_failed_event) is not None:
        steps.end(failed.metadata.urn, ok=False)
    elif (diagnostic := event.diagnostic_event) is not None:
        if diagnostic.ephemeral and diagnostic.urn:
            steps.note(diagnostic.urn, diagnostic.message.strip())
        else:
            note_failure(event, changes)
    elif (summary := event.summary_event) is not None:
        changes.counts.update({str(verb): number for verb, number in summary.resource_changes.items()})


def note_failure(event: EngineEvent, changes: Changes) -> None:
    """Note the event if it tells of a failure."""
    diagnostic = event.diagnostic_event
    if diagnostic is not None and diagnostic.severity == "error":
        place = f"{title(diagnostic.urn)}: " if diagnostic.urn else ""
        changes.failures.append(place + clean(diagnostic.message))


def title(urn: str) -> str:
    """Type and name of a resource, as people know it."""
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition('$')[2].rpartition(':')[2]} {name}"


def clean(message: str) -> str:
    """The message without the wrapping that gRPC, the engine and the dynamic provider add; the log has it whole."""
    text = message.strip().removeprefix("error: ").removeprefix("Exception calling application: ")
    if (frames := text.rpartition(TRACEBACK)[2]) != text:
        said = re.sub(r"\A(?:[ \t].*\n|\n)+", "", frames)
        text = re.sub(r"\A(?:\w+\.)+\w+: ", "", said).strip()
    return text

"""Property paths as Pulumi writes them: `spec.containers[0].image`, `metadata.labels["app.kubernetes.io/name"]`."""

import json
import re

from refsys.infra.plugins.common.values import Path

_IDENTIFIER = re.compile(r"[A-Za-z_$][\w$]*\Z")
_STEP = re.compile(
    r"""\.?(?P<key>[^.\[\]"]+) | \[(?P<index>\d+)\] | \[(?P<any>\*)\] | \["(?P<quoted>(?:[^"\\]|\\.)*)"\]""",
    re.VERBOSE,
)


def format_path(path: Path) -> str:
    """Write a path."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _IDENTIFIER.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step)}]"
    return text


def parse_path(text: str) -> Path:
    """Read a path; `*` stands for any key or index. Raises `ValueError` for what is not a path."""
    steps: list[str | int] = []
    position = 0
    while position < len(text):
        found = _STEP.match(text, position)
        if found is None:
            raise ValueError(f"{text!r} is not a property path (at character {position + 1})")
        if found["index"] is not None:
            steps.append(int(found["index"]))
        elif found["quoted"] is not None:
            steps.append(json.loads(f'"{found["quoted"]}"'))
        else:
            steps.append(found["any"] or found["key"])
        position = found.end()
    return tuple(steps)

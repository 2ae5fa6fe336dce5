"""Ansible callback: writes each task that changes, or would change, something as a line of JSON."""

import json
import os
from pathlib import Path
from typing import Any

from ansible.playbook.handler import Handler
from ansible.plugins.callback import CallbackBase

from refsys.infra.drift.report import REPORT


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible gives it no types
    """Reports changes and failures; what is under `no_log` comes without its values."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "refsys_changes"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Report a task that changed something; what a handler does follows from another one."""
        if result.is_changed() and not isinstance(result.task, Handler):
            self._write(result, "changed")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Report a task that failed."""
        if not ignore_errors:
            self._write(result, "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Report a node that can't be reached."""
        self._write(result, "unreachable")

    def _write(self, result: Any, outcome: str) -> None:
        found = result.result
        parts = found["results"] if isinstance(found.get("results"), list) else [found]
        # What check mode leaves out may count as changed all the same.
        changed = [part for part in parts if isinstance(part, dict) and part.get("changed") and not part.get("skipped")]
        if outcome == "changed" and not changed:
            return
        line = {
            "node": result.host.get_name(),
            "task": result.task_name,
            "place": result.task.get_path(),
            "outcome": outcome,
            "message": str(found.get("msg") or ""),
            "parts": [{"item": part.get("item"), "diff": part.get("diff")} for part in changed],
        }
        with Path(os.environ[REPORT]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

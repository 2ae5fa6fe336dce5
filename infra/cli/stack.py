"""The environment's Pulumi stack: what can be done with it, by the engine."""

import json
import os
import runpy
import signal
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from pulumi import automation
from pulumi.automation import EngineEvent, OpType

from refsys.infra import backups, paths, shell
from refsys.infra.cli import engine, locks
from refsys.infra.cli.events import Changes, note_failure, show
from refsys.infra.cli.steps import Steps
from refsys.infra.environment import SPACE, config_file
from refsys.infra.errors import UserError
from refsys.infra.orphan import end_language_hosts
from refsys.infra.plan.changes import Plan, plan_of
from refsys.infra.plan.importable import Importable

TAKEN_UP = ("pulumi-python:dynamic/", "kubernetes:", "pulumi:")
"""Types that are made by the same verb whether they exist or not."""
ANEW = frozenset({OpType.REPLACE, OpType.CREATE_REPLACEMENT, OpType.DELETE_REPLACED})


class _Workspace(automation.LocalWorkspace):
    """Tells no outputs after an operation: nobody reads them, and the engine would start twice more."""

    def stack_outputs(self, stack_name: str) -> automation.OutputMap:
        return {}


class Stack:
    """One environment's stack."""

    def __init__(
        self, environment: str, steps: Steps, *, verbose: bool = False, program: Path = paths.CHECKOUT
    ) -> None:
        """Select the stack, made where it's missing; `program` is the folder of its Pulumi.yaml."""
        self.environment = environment
        self.steps = steps
        self.verbose = verbose
        self.log_file = paths.environment_home(environment) / "logs" / "pulumi.log"
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        os.environ.update(engine.variables() | engine.fetching(environment) | {locks.COMMAND: str(os.getpid())})
        self._folder = program
        workspace = _Workspace(work_dir=str(program), program=self._program, env_vars=engine.MEMORY)
        try:
            self._stack = automation.Stack.select(environment, workspace)
            self.made = False
        except automation.StackNotFoundError:
            self._stack = automation.Stack.create(environment, workspace)
            self.made = True

    def _program(self) -> None:
        # In this process, which has loaded half of it already; the engine's own host starts anew for each operation.
        main: str = yaml.safe_load((self._folder / "Pulumi.yaml").read_text())["main"]
        runpy.run_path(str(self._folder / main), run_name="__main__")

    def up(self, *, replace: Collection[str] = (), exclude: Collection[str] = ()) -> Changes:
        """Bring the environment to what program and config say.

        Resources whose URNs are in `replace` are made anew, those of `exclude` stay as they are.

        Raises:
            UserError: with the reason of each failed resource.
        """
        return self._run(partial(self._stack.up, replace=sorted(replace), exclude=sorted(exclude)))

    def outdated(self, urns: Collection[str]) -> set[str]:
        """Those of the resources that `up` would make anew, since what they were made from has changed.

        Raises:
            UserError: why the engine can't tell.
        """
        found: set[str] = set()

        def look(event: EngineEvent) -> None:
            if (before := event.resource_pre_event) and before.metadata.op in ANEW:
                found.add(before.metadata.urn)

        self._end_older_engine()
        with self._output() as write:
            try:
                self._stack.preview(target=sorted(urns), on_output=write, on_event=look, color="never")
            except automation.CommandError as error:
                raise self._failure(error, Changes()) from None
        return found & set(urns)

    def outputs(self) -> dict[str, Any]:
        """The outputs of the last operation; secret ones are not told."""
        told = shell.run("pulumi", "stack", "output", "--json", "--stack", self.environment, cwd=self._folder)
        found: dict[str, Any] = json.loads(told)
        return found

    def configure(self, key: str, value: int) -> None:
        """Write a number into the stack's config, where all else stays as it is; `key` as in `local.workers`."""
        self._stack.set_config(SPACE + key, automation.ConfigValue(str(value)), path=True)

    def preview(self, *, replace: Collection[str] = (), exclude: Collection[str] = ()) -> Plan:
        """Say what `up` would do, see there; nothing is changed.

        Raises:
            UserError: with the reason of each resource that can't be looked at.
        """
        events: list[EngineEvent] = []
        self._preview(events.append, replace=sorted(replace), exclude=sorted(exclude))
        return plan_of(events)

    def importable(self) -> Importable:
        """What an `up` would create, and could import instead."""
        with tempfile.TemporaryDirectory(prefix="refsys-import-") as folder:
            file = Path(folder, "import.json")
            self._preview(lambda _: None, import_file=str(file))
            return Importable.parse(file.read_text() if file.exists() else "")

    def adopt(self, wanted: Importable) -> None:
        """Import resources into the stack."""
        self._end_older_engine()
        with tempfile.TemporaryDirectory(prefix="refsys-import-") as folder:
            file = Path(folder, "import.json")
            file.write_text(wanted.as_json())
            options = ("--file", file, "--yes", "--skip-preview", "--protect=false", "--generate-code=false")
            shell.run("pulumi", "import", *options, "--stack", self.environment, cwd=self._folder)

    def _preview(self, keep: Callable[[EngineEvent], None], **options: Any) -> None:
        changes = Changes()

        def look(event: EngineEvent) -> None:
            keep(event)
            note_failure(event, changes)

        with self._output() as write:
            try:
                self._stack.preview(on_output=write, on_event=look, color="never", **options)
            except automation.CommandError as error:
                raise self._failure(error, changes, "can't be previewed") from None

    def destroy(self) -> Changes:
        """Remove everything that the stack holds, and the stack."""
        # Writing the state after each of some hundred removals takes longer than the removals. What a killed
        # removal leaves is found by the next one: the engine looks at everything before it starts.
        os.environ.update(PULUMI_EXPERIMENTAL="true", PULUMI_SKIP_CHECKPOINTS="true")
        changes = self._run(self._stack.destroy)
        self._remove(force=False)
        return changes

    def _run(self, operation: Callable[..., object]) -> Changes:
        self._end_older_engine()
        changes = Changes()
        with self._output() as write, self._stoppable():
            try:
                operation(
                    on_output=write,
                    on_event=lambda event: show(event, changes, self.steps),
                    color="never",
                    show_secrets=False,
                )
            except automation.CommandError as error:
                raise self._failure(error, changes) from None
        return changes

    def exported(self) -> str:
        """The state; what is secret stays encrypted, which the automation API would show in the clear."""
        return shell.run("pulumi", "stack", "export", "--stack", self.environment, cwd=self._folder)

    def backup(self, reason: str) -> backups.Backup | None:
        """Keep a copy of the state, before the command called `reason`; None where there is nothing new to keep."""
        return backups.keep(self.environment, self.exported(), reason)

    def prepare(self, reason: str) -> list[str]:
        """Keep a copy of the state, and forget operations that a killed engine had begun.

        The engine itself would carry them along for ever. Looking at everything shows how those on known resources
        ended. Returns type and name of the others: they may exist without the state knowing. Own resources and
        objects of the cluster are taken up as they are found.
        """
        exported = self.exported()
        backups.keep(self.environment, exported, reason)
        state = json.loads(exported)
        pending = (state.get("deployment") or {}).pop("pending_operations", None) or []
        if pending:
            self.restore(json.dumps(state))
        begun = [each["resource"] for each in pending if each["type"] == "creating"]
        return [
            f"{each['type']} {each['urn'].rpartition('::')[2]}"
            for each in begun
            if not each["type"].startswith(TAKEN_UP)
        ]

    def restore(self, state: str) -> None:
        """Put an exported state in place of the present one."""
        self._end_older_engine()
        shell.run("pulumi", "stack", "import", "--stack", self.environment, cwd=self._folder, input_text=state)

    def unlock(self) -> None:
        """Take every lock on the state away."""
        shell.run("pulumi", "cancel", "--yes", "--stack", self.environment, cwd=self._folder)

    def playbook_secrets(self) -> dict[str, str]:
        """The secret variables of all playbooks.

        Raises:
            UserError: the environment is not complete.
        """
        command = ("pulumi", "stack", "output", "--json", "--show-secrets", "--stack", self.environment)
        found: dict[str, str] | None = json.loads(shell.run(*command, cwd=self._folder)).get("playbook_secrets")
        if found is None:
            raise UserError(
                f"environment {self.environment} is not complete",
                fix=f"./refsys up {self.environment}, then this again",
            )
        return found

    def forget(self) -> None:
        """Drop the stack with whatever it still holds."""
        self._remove(force=True)

    def _remove(self, *, force: bool) -> None:
        # The config is the operator's, and outlives the stack; what holds the engine's salt only does not.
        self._stack.workspace.remove_stack(self.environment, force=force, preserve_config=True)
        file = config_file(self.environment)
        if file.exists() and set(yaml.safe_load(file.read_text()) or {}) <= {"encryptionsalt"}:
            file.unlink()

    def _end_older_engine(self) -> None:
        """End what a killed command left: an engine that still works, and its lock on the state.

        Raises:
            UserError: somebody else's engine works on the state.
        """
        held = locks.of_files(self.environment)
        if others := [lock for lock in held if not lock.is_left_behind]:
            raise locks.refusal(self.environment, others)
        for lock in held:
            if locks.is_engine(lock.pid):
                with self.steps.step("end the engine of a killed command"):
                    os.kill(lock.pid, signal.SIGINT)
                    engine.wait_for_end(lock.pid)
            if lock.file:
                lock.file.unlink(missing_ok=True)
        end_language_hosts(self._folder)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let the engine finish what is under way when the command is asked to stop, then end the command."""
        asked = False

        def stop(number: int, _: object) -> None:
            nonlocal asked
            if not asked:
                self.steps.begin("stop", "stop after what is under way")
            asked = True
            if number == signal.SIGTERM:  # an interrupt of the terminal reaches the engine by itself
                for each in engine.own():
                    os.kill(each, signal.SIGINT)

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        except UserError:
            if not asked:
                raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.steps.end("stop")
        if asked:
            raise KeyboardInterrupt

    @contextmanager
    def _output(self) -> Iterator[automation.OnOutput]:
        with self.log_file.open("a") as log:

            def write(line: str) -> None:
                log.write(line + "\n")
                log.flush()
                if self.verbose:
                    self.steps.console.print(line, markup=False, highlight=False)

            yield write

    def _failure(self, error: automation.CommandError, changes: Changes, outcome: str = "is not complete") -> UserError:
        said = [line.strip() for line in str(error).splitlines() if "error:" in line]
        lines = [text for text in changes.failures if text] or said or str(error).splitlines()[-15:]
        reasons = "\n".join("  " + line for text in dict.fromkeys(lines) for line in text.splitlines())
        return UserError(
            f"environment {self.environment} {outcome}:\n{reasons}",
            fix="mend the cause and run the same command again, it goes on where it stopped;\n"
            f"       whole log: {self.log_file}",
        )

"""Bring an environment up and take it down."""

import os
import shutil
import time

from rich.console import Console

from refsys.infra import paths
from refsys.infra.cli import status, tools
from refsys.infra.cli.events import Changes
from refsys.infra.cli.locks import exclusive
from refsys.infra.cli.stack import Stack
from refsys.infra.cli.steps import Steps
from refsys.infra.clouds.interface import Cloud
from refsys.infra.clouds.select import cloud_of
from refsys.infra.environment import SPACE, Environment, config_file
from refsys.infra.errors import UserError
from refsys.infra.layers import TOP, VARIABLE, Layer, reaches
from refsys.infra.policies import protection
from refsys.infra.policies.compare import compare
from refsys.infra.shell import CommandError
from refsys.infra.toolchain import Source

AT_ONCE = 32
"""So many operations wait for a cloud at the same time."""


def up(
    name: str,
    console: Console,
    *,
    until: Layer | None = None,
    source: Source | None = None,
    verbose: bool = False,
    unprotect: str | None = None,
) -> Changes:
    """Bring the environment to what its config says, up to a layer; safe to run again at any time."""
    started = time.monotonic()
    environment = Environment.load(name)
    unprotected = protection.lifted(name, unprotect)
    until = until or environment.until
    environment = environment.model_copy(update={"until": until})
    os.environ[VARIABLE] = until
    cloud = cloud_of(environment)
    cloud.preflight()
    _at_once(cloud)
    with exclusive(name), Steps(console) as steps:
        wanted = tools.built(environment) if reaches(until, "cluster") else tools.named(tools.ENGINE)
        if seconds := tools.estimate(wanted):
            console.print(f"tools to build: about {seconds / 60:.0f} min, once; the environment comes up meanwhile")
        building = tools.Building(steps, source, wanted)
        building.engine_ready()
        with steps.step("read the state"):
            stack = Stack(name, steps, verbose=verbose)
            begun = stack.prepare("up")
        _warn(begun, console)
        plan = compare(environment, stack, steps, unprotected=unprotected)
        changes = Changes({"same": len(plan.after)}) if plan and plan.settled else stack.up()
        building.finish()
        if until == TOP:
            with steps.step("wait until all is well") as note:
                status.wait_until_well(name, note)
    counts = ", ".join(f"{number} {verb}" for verb, number in sorted(changes.counts.items()))
    reached = "" if until == TOP else f" to the layer {until}"
    console.print(
        f"environment {name} is up{reached} after {time.monotonic() - started:.0f} s: {counts}", highlight=False
    )
    return changes


def down(name: str, console: Console, *, verbose: bool = False, unprotect: str | None = None) -> None:
    """Remove the environment. Whatever state it is in, nothing of it is left but copies of its state."""
    started = time.monotonic()
    protection.require_removable(name, unprotect)
    cloud = cloud_of(_declared(name))
    _at_once(cloud)
    with exclusive(name), Steps(console) as steps:
        building = tools.Building(steps)
        building.engine_ready()
        stack = Stack(name, steps, verbose=verbose)
        _prepare_removal(stack, console)
        try:
            stack.destroy()
        except UserError as error:
            if not _sweeps(name):
                raise UserError(
                    f"not all of environment {name} could be removed, and what is left costs money: {error.args[0]}\n"
                    "its state is kept",
                    fix=f"do what it says and run ./refsys down {name} again",
                ) from None
            console.print(f"[yellow]the stack could not be removed in order:[/] {error.args[0]}", highlight=False)
            console.print("removing what is left on this machine directly")
            stack.forget()
        with steps.step("look for leftovers"):
            cloud.sweep()
            shutil.rmtree(paths.environment_home(name), ignore_errors=True)
    console.print(f"environment {name} is gone after {time.monotonic() - started:.0f} s", highlight=False)


def _at_once(cloud: Cloud) -> None:
    """Let the engine do more at once than this machine's processors suggest, where that is waiting for a cloud."""
    if cloud.waits:
        os.environ.setdefault("PULUMI_PARALLEL", str(AT_ONCE))


def _sweeps(name: str) -> bool:
    """Whether the environment's cloud finds by itself what a failed removal left."""
    try:
        return cloud_of(Environment.load(name)).sweeps
    except UserError:
        # Its config is not valid any more; then it is this machine's unless it says otherwise.
        return f"{SPACE}cloud:" not in config_file(name).read_text()


def _declared(name: str) -> Environment:
    """The environment as its config says, or, where that is not valid any more, as one of that name on this machine."""
    try:
        return Environment.load(name)
    except UserError:
        return Environment(name=name)


def _prepare_removal(stack: Stack, console: Console) -> None:
    """Keep the state; where that can't be done, what is to be removed is removed all the same."""
    try:
        _warn(stack.prepare("down"), console)
    except (CommandError, OSError) as error:
        console.print(f"[yellow]warning:[/] no copy of the state could be kept: {error}", highlight=False)


def _warn(begun: list[str], console: Console) -> None:
    for unknown in begun:
        console.print(
            f"[yellow]warning:[/] {unknown} was being made when an engine was killed; it may exist without the state "
            "knowing: look for it, then ./refsys import takes it over, or remove it (docs/safety.md)",
            highlight=False,
        )

"""Run other programs."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path


class CommandError(Exception):
    """A program ended with an error; the message holds the command and the end of its output."""


def run(
    *command: str | Path,
    input_text: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ok: Sequence[int] = (0,),
    timeout: float | None = None,
) -> str:
    """Run a program, return its standard output, raise `CommandError` where its exit code is not in `ok`."""
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments,
        input=input_text,
        env=env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode not in ok:
        output = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CommandError(f"`{' '.join(arguments)}` ended with {done.returncode}:\n{output}")
    return done.stdout

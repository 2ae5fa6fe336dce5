"""The `rclone` program: remotes given by its environment, so that no secret is on a command line or a disk."""

import functools
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field

from refsys.services.common.settings import ReadableFile, S3Settings, secret

REASON_LIMIT = 500
ERRORS_LIMIT = 1_000
STDERR_LIMIT_BYTES = 4 * 2**20


class RcloneError(Exception):
    """A command failed; the message is what rclone says, `objects` what it says of single files."""

    def __init__(self, message: str, objects: Mapping[str, str]) -> None:
        """Keep the reasons."""
        super().__init__(message)
        self.objects = objects


class Remote(BaseModel):
    """A storage system, in rclone's terms: `type` and `options` of its backend, and files with its secrets."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")
    type: str = Field(pattern=r"^[a-z0-9]+$")
    options: dict[str, str | int | bool] = Field(default_factory=dict)
    secret_files: dict[str, ReadableFile] = Field(default_factory=dict)


def object_store_remote(settings: S3Settings, name: str) -> Remote:
    """The environment's object store as a remote."""
    options: dict[str, str | int | bool] = {
        "provider": "Other",
        "endpoint": str(settings.endpoint).rstrip("/"),
        "region": settings.region,
        "no_check_bucket": True,
    }
    keys = {"access_key_id": settings.access_key_file, "secret_access_key": settings.secret_key_file}
    return Remote(name=name, type="s3", options=options, secret_files=keys)


class Rclone:
    """Runs commands over some remotes; secrets are read anew for each, so that they can rotate."""

    def __init__(self, remotes: Sequence[Remote], ca_file: Path | None, stop: threading.Event) -> None:
        """Trust `ca_file` (PEM), else the system's authorities; commands end when `stop` is set."""
        self._remotes = remotes
        self._ca_file = ca_file
        self._stop = stop

    def run(self, *arguments: str, names: Iterable[str] = (), seconds: float) -> str:
        """The output of a command; `names` are the files it works on, if given.

        Raises:
            RcloneError: it failed, or did not end within `seconds`.
        """
        return "".join(self.lines(*arguments, names=names, seconds=seconds))

    def lines(self, *arguments: str, names: Iterable[str] = (), seconds: float) -> Iterator[str]:
        """The output of a command line by line; else as `run`."""
        given = list(names)
        files = ["--files-from-raw", "-"] if given else []
        command = ["rclone", *arguments, *files, "--use-json-log", "--log-level", "ERROR", "--stats", "0"]
        ended = threading.Event()
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment(),
                text=True,
            )
            watch = threading.Thread(target=self._watch, args=(process, ended, seconds), daemon=True)
            watch.start()
            try:
                _give(process.stdin, given)
                yield from process.stdout or ()
                status = process.wait()
            finally:
                ended.set()
                watch.join()
                process.wait()
            if status:
                raise _failure(arguments[0], status, errors, seconds)

    def _watch(self, process: "subprocess.Popen[str]", ended: threading.Event, seconds: float) -> None:
        waited = 0.0
        while not ended.wait(0.2):
            waited += 0.2
            if waited > seconds or self._stop.is_set():
                break
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _environment(self) -> dict[str, str]:
        # No configuration file; and nothing of the process's own settings.
        variables = {"PATH": os.environ.get("PATH", "/usr/bin"), "HOME": "/nonexistent", "RCLONE_CONFIG": ""}
        variables["TMPDIR"] = tempfile.gettempdir()
        if self._ca_file:
            variables["RCLONE_CA_CERT"] = str(self._ca_file)
        for remote in self._remotes:
            prefix = f"RCLONE_CONFIG_{remote.name.upper()}_"
            variables[f"{prefix}TYPE"] = remote.type
            for name, value in remote.options.items():
                text = str(value).lower() if isinstance(value, bool) else str(value)
                variables[prefix + name.upper()] = text
            for name, path in remote.secret_files.items():
                value = secret(path)
                hidden = name in password_options(remote.type)
                variables[prefix + name.upper()] = _obscured(value) if hidden else value
        return variables


def _give(stdin: IO[str] | None, names: Sequence[str]) -> None:
    if stdin is None:
        return
    try:
        with stdin:
            stdin.writelines(f"{name}\n" for name in names)
    except BrokenPipeError:
        return  # it ended early; its exit status tells why


def _failure(command: str, status: int, errors: IO[bytes], seconds: float) -> RcloneError:
    errors.seek(0)
    objects: dict[str, str] = {}
    general = ""
    for line in errors.read(STDERR_LIMIT_BYTES).decode("utf-8", "replace").splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
            message, name = str(entry["msg"]).strip(), entry.get("object")
        except (ValueError, KeyError, TypeError):
            message, name = line.strip(), None
        if name and len(objects) < ERRORS_LIMIT:
            objects[str(name)] = message[:REASON_LIMIT]
        elif message and not general:
            general = message[:REASON_LIMIT]
    if status < 0:
        general = f"ended after {seconds:.0f} s, or because the process stops"
    return RcloneError(f"rclone {command}: {general or next(iter(objects.values()), f'status {status}')}", objects)


@functools.cache
def password_options(backend: str) -> frozenset[str]:
    """The options of a backend that rclone wants obscured."""
    output = subprocess.run(["rclone", "config", "providers"], capture_output=True, check=True, timeout=60).stdout
    options = [option for each in json.loads(output) if each["Name"] == backend for option in each["Options"]]
    return frozenset(str(option["Name"]) for option in options if option["IsPassword"])


def _obscured(value: str) -> str:
    result = subprocess.run(
        ["rclone", "obscure", "-"], input=value, capture_output=True, check=True, timeout=60, text=True
    )
    return result.stdout.strip()

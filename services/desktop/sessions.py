"""Displays: an X server for each session, with the program on it, reached by a socket of the file system."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path

from refsys.services.desktop.settings import DesktopSettings

START_SECONDS = 20.0
END_SECONDS = 5.0
LOOK_SECONDS = 15.0
EVERYBODY = ""
FIRST_DISPLAY = 10


class SessionError(Exception):
    """There is no display to be had; the message is for the user."""


@dataclass
class Session:
    """A display and what runs on it."""

    user: str
    number: int
    socket: Path
    processes: list[Process] = field(default_factory=list)
    viewers: int = 0
    seen: float = field(default_factory=time.monotonic)

    @property
    def running(self) -> bool:
        """Whether the display and its program are both there."""
        return bool(self.processes) and all(process.returncode is None for process in self.processes)


class Sessions:
    """The displays of all users; each is made when somebody first looks, and ends with its program."""

    def __init__(self, settings: DesktopSettings) -> None:
        """None is there yet."""
        self._settings = settings
        self._found: dict[str, Session] = {}
        self._lock = asyncio.Lock()

    @property
    def all(self) -> list[Session]:
        """Those that run."""
        return [session for session in self._found.values() if session.running]

    async def of(self, user: str) -> Session:
        """Return the display of a user.

        Raises:
            SessionError: there are too many already, or it did not start.
        """
        key = EVERYBODY if self._settings.shared else user
        async with self._lock:
            session = self._found.get(key)
            if session is None or not session.running:
                await self._forget_ended()
                if len(self._found) >= self._settings.sessions:
                    raise SessionError("all displays are taken; come back when somebody has closed the program")
                session = await self._started(key)
                self._found[key] = session
            return session

    async def look_after(self) -> None:
        """End displays whose program ended, or that nobody looked at for long; for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            async with self._lock:
                for session in self._found.values():
                    idle = time.monotonic() - session.seen
                    if session.viewers == 0 and idle > self._settings.idle_seconds:
                        _say("display ends: nobody looks at it", user=session.user)
                        await _ended(session)
                await self._forget_ended()

    async def close(self) -> None:
        """End all."""
        async with self._lock:
            for session in self._found.values():
                await _ended(session)
            self._found.clear()

    async def _forget_ended(self) -> None:
        for key, session in list(self._found.items()):
            if not session.running:
                await _ended(session)
                del self._found[key]

    async def _started(self, key: str) -> Session:
        number = FIRST_DISPLAY
        taken = {session.number for session in self._found.values()}
        while number in taken:
            number += 1
        folder = self._settings.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket, keys = folder / "rfb", folder / "keys"
        socket.unlink(missing_ok=True)
        session = Session(key, number, socket)
        env = os.environ | {"DISPLAY": f":{number}", "XAUTHORITY": str(keys), "HOME": str(folder)}
        try:
            await _key(number, keys, env)
            session.processes.append(await _process(_server(number, socket, keys, self._settings.geometry), env))
            await _listens(session)
            session.processes.append(await _process(["matchbox-window-manager"], env))
            session.processes.append(await _process(self._settings.command, env))
        except (OSError, SessionError) as error:
            await _ended(session)
            _say("no display", user=key, error=str(error))
            raise SessionError("the display did not start; the operators' log says why") from error
        _say("display starts", user=key, display=number)
        return session


def _server(number: int, socket: Path, keys: Path, geometry: str) -> list[str]:
    # Who may look was decided before: the socket is for this process alone, and no port is opened.
    return [
        *("Xtigervnc", f":{number}", "-auth", str(keys), "-geometry", geometry, "-depth", "24", "-nolisten", "tcp"),
        *("-rfbport", "-1", "-rfbunixpath", str(socket), "-rfbunixmode", "0600", "-SecurityTypes", "None"),
        *("-AlwaysShared", "-AcceptSetDesktopSize"),
    ]


async def _key(number: int, file: Path, env: dict[str, str]) -> None:
    """Make the key that programs show the X server."""
    file.unlink(missing_ok=True)
    command = f"add :{number} MIT-MAGIC-COOKIE-1 {secrets.token_hex(16)}\n"
    # By its input: arguments are seen by others.
    made = await asyncio.create_subprocess_exec(
        "xauth", "-q", "-f", str(file), "source", "-", stdin=asyncio.subprocess.PIPE, env=env
    )
    await made.communicate(command.encode())
    if made.returncode:
        raise SessionError(f"xauth ended with {made.returncode}")


async def _process(command: tuple[str, ...] | list[str], env: dict[str, str]) -> Process:
    return await asyncio.create_subprocess_exec(*command, env=env, start_new_session=True)


async def _listens(session: Session) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not session.socket.exists():
        if not session.running or time.monotonic() > deadline:
            raise SessionError(f"the X server of display {session.number} does not listen")
        await asyncio.sleep(0.05)


async def _ended(session: Session) -> None:
    """End the display's processes with all that they started, the program first."""
    for process in reversed(session.processes):
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), END_SECONDS)
                break


def _say(event: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()

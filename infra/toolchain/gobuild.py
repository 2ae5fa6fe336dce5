"""Build a tool from its pinned Go modules."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from refsys.infra import paths
from refsys.infra.errors import UserError
from refsys.infra.toolchain.lock import MODULES, PROGRAMS, Tool


def go_caches() -> Path:
    """Folder of the Go caches that only tool builds use; dropped when every tool is there."""
    return paths.cache() / "go"


class GoBuild:
    """One build: an own module that requires the pinned ones, because `go install` refuses replaces."""

    def __init__(self, tool: Tool, target: Path, log: Path) -> None:
        """Build `tool` into `target`; the compiler's output goes to `log`."""
        self.tool = tool
        self.target = target
        self.log = log
        self.work = go_caches() / "work" / tool.name
        self.environment = os.environ | {
            "GOCACHE": str(go_caches() / "build"),
            "GOMODCACHE": str(go_caches() / "mod"),
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
            "GOFLAGS": "-trimpath -buildvcs=false",
        }

    def run(self, report: Callable[[str, int, int], None]) -> None:
        """Build all programs and copy the modules' files that belong to the tool."""
        self.prepare(locked=True)
        self._build(report)
        self._copy_files()
        shutil.rmtree(self.work, ignore_errors=True)

    def prepare(self, *, locked: bool) -> None:
        """Write the build's own module; `locked` takes the committed go.mod and go.sum."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(parents=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text("")
        sources = [PROGRAMS / self.tool.name] + ([MODULES / self.tool.name] if locked else [])
        for folder in sources:
            if folder.is_dir():
                shutil.copytree(folder, self.work, dirs_exist_ok=True)
        if not locked:
            (self.work / "go.mod").write_text(self._go_mod())
            (self.work / "go.sum").write_text("".join(f"{line}\n" for line in self.tool.sums))

    def resolve(self) -> None:
        """Complete go.mod and go.sum and commit them as the tool's lock (developers call this)."""
        self.prepare(locked=False)
        self._go("list", "-mod=mod", "-deps", *self.tool.packages)
        for file in self.tool.files:
            self._go("list", "-mod=mod", "-m", file.module)
        locked = MODULES / self.tool.name
        locked.mkdir(parents=True, exist_ok=True)
        for name in ("go.mod", "go.sum"):
            shutil.copy(self.work / name, locked / name)

    def _go_mod(self) -> str:
        lines = [f"module refsys.tool/{self.tool.name}", "", "go 1.26", ""]
        lines += [f"require {module} {version}" for module, version in self.tool.modules.items()]
        for module, replacement in self.tool.replace.items():
            target, _, version = replacement.rpartition("@")
            lines.append(f"replace {module} => {target or module} {version}")
        return "\n".join(lines) + "\n"

    def _build(self, report: Callable[[str, int, int], None]) -> None:
        total = len(self._go("list", "-deps", *self.tool.packages).splitlines())
        variables = " ".join(f"-X {name}={value}" for name, value in self.tool.variables.items())
        command = ["go", "build", "-v", "-ldflags", f"-s -w {variables}".strip()]
        command += ["-tags", ",".join(self.tool.tags)] if self.tool.tags else []
        output = self.target / "bin"
        output.mkdir(parents=True, exist_ok=True)
        command += ["-o", f"{output}/", *self.tool.packages]
        done = 0
        report(self.tool.name, done, total)
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                command,
                cwd=self.work,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            assert process.stdout is not None  # noqa: S101 - Popen was given a pipe
            for line in process.stdout:
                log.write(line)
                done += 1
                report(self.tool.name, min(done, total), total)
        if process.returncode:
            raise self._failure()
        report(self.tool.name, total, total)

    def _copy_files(self) -> None:
        for file in self.tool.files:
            folder = Path(json.loads(self._go("mod", "download", "-json", self._locked(file.module)))["Dir"])
            destination = self.target / file.to
            destination.parent.mkdir(parents=True, exist_ok=True)
            if (folder / file.path).is_dir():
                shutil.copytree(folder / file.path, destination)
            else:
                shutil.copyfile(folder / file.path, destination)
                destination.chmod(0o755 if file.executable else 0o644)

    def _locked(self, module: str) -> str:
        replaced = self.tool.replace.get(module)
        if replaced:
            return replaced if "@" in replaced else f"{module}@{replaced}"
        return f"{module}@{self.tool.modules[module]}"

    def _go(self, *arguments: str) -> str:
        done = subprocess.run(
            ["go", *arguments],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            with self.log.open("a") as log:
                log.write(done.stderr)
            raise self._failure()
        return done.stdout

    def _failure(self) -> UserError:
        tail = "\n".join("    " + line for line in self.log.read_text().splitlines()[-8:])
        if re.search(r"dial tcp|no such host|connection refused|i/o timeout|403 Forbidden", tail):
            fix = "make the Go module proxy reachable (go env GOPROXY) and run the same command again"
        elif "requires go >=" in tail:
            fix = "install the Go version that the message names"
        else:
            fix = f"see {self.log}, then run the same command again"
        return UserError(f"building {self.tool.name} {self.tool.version} failed:\n{tail}", fix=fix)

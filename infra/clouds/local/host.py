"""Kernel keys that nodes need and can't set themselves, because they share this machine's kernel.

What a key was before is written down, and put back when the last environment goes.
"""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refsys.infra import paths

KEYS = {
    "net.ipv4.ip_forward": 1,
    "vm.overcommit_memory": 1,
    "vm.max_map_count": 262144,
    "kernel.panic": 10,
    "kernel.panic_on_oops": 1,
    "kernel.keys.root_maxkeys": 1000000,
    "kernel.keys.root_maxbytes": 25000000,
    # What hardening sets on nodes with a kernel of their own.
    "fs.protected_fifos": 2,
    "fs.protected_hardlinks": 1,
    "fs.protected_regular": 2,
    "fs.protected_symlinks": 1,
    "fs.suid_dumpable": 0,
    "kernel.core_uses_pid": 1,
    "kernel.dmesg_restrict": 1,
    "kernel.kptr_restrict": 2,
    "kernel.perf_cpu_time_max_percent": 1,
    "kernel.perf_event_max_sample_rate": 1,
    "kernel.randomize_va_space": 2,
    "vm.mmap_min_addr": 65536,
    "fs.inotify.max_user_instances": 8192,
    "fs.inotify.max_user_watches": 524288,
}


def claim(environment: str) -> None:
    """Raise the keys to what Kubernetes wants, on behalf of an environment."""
    with _record() as record:
        for key, value in _known().items():
            file = _file(key)
            before = file.read_text().strip()
            record["before"].setdefault(key, before)
            if before != str(value):
                file.write_text(str(value))
        record["users"] = sorted({*record["users"], environment})


def release(environment: str) -> None:
    """Give up an environment's claim; the last one puts every key back."""
    with _record() as record:
        record["users"] = [user for user in record["users"] if user != environment]
        if not record["users"]:
            for key, value in record["before"].items():
                _file(key).write_text(value)
            record["before"] = {}


def claimed() -> bool:
    """Whether all keys have their wanted values."""
    return all(_file(key).read_text().strip() == str(value) for key, value in _known().items())


def _known() -> dict[str, int]:
    """The keys that this kernel has."""
    return {key: value for key, value in KEYS.items() if _file(key).exists()}


def _file(key: str) -> Path:
    return Path("/proc/sys") / key.replace(".", "/")


@contextmanager
def _record() -> Iterator[dict[str, Any]]:
    paths.home().mkdir(parents=True, exist_ok=True)
    path = paths.home() / "host-keys.json"
    with (paths.home() / "host-keys.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        record = json.loads(path.read_text()) if path.exists() else {"before": {}, "users": []}
        yield record
        if record["users"]:
            path.with_suffix(".new").write_text(json.dumps(record, indent=1))
            path.with_suffix(".new").rename(path)
        else:
            path.unlink(missing_ok=True)

"""Run on a node: print as JSON what the checks look at. The arguments are patterns of files; no secret is read."""

import glob
import grp
import json
import pwd
import re
import stat
import sys
from pathlib import Path

PROCESSES = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")
APISERVER = Path("/etc/kubernetes/apiserver")
DOCUMENTS = (
    Path("/var/lib/kubelet/config.yaml"),
    APISERVER / "audit-policy.yaml",
    APISERVER / "authentication.yaml",
)


def facts(patterns: list[str]) -> dict[str, object]:
    """Return files with mode and owner, processes with arguments, and configuration files."""
    paths = sorted({path for pattern in patterns for path in glob.glob(pattern)})  # noqa: PTH207 - from the root
    return {
        "files": [file(Path(path)) for path in paths],
        "processes": processes(),
        "documents": {str(path): path.read_text() for path in DOCUMENTS if path.is_file()},
        "encryption": encryption(APISERVER / "encryption.yaml"),
    }


def file(path: Path) -> dict[str, str]:
    """Return a file's mode and owner."""
    status = path.stat()
    try:
        owner = f"{pwd.getpwuid(status.st_uid).pw_name}:{grp.getgrgid(status.st_gid).gr_name}"
    except KeyError:
        owner = f"{status.st_uid}:{status.st_gid}"
    return {"path": str(path), "mode": f"{stat.S_IMODE(status.st_mode):04o}", "owner": owner}


def processes() -> dict[str, list[str]]:
    """Return the arguments of the programs in `PROCESSES` that run."""
    found = {}
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            program, *arguments = line.read_text().rstrip("\0").split("\0")
        except (OSError, ValueError):
            continue
        if Path(program).name in PROCESSES:
            found[Path(program).name] = arguments
    return found


def encryption(configuration: Path) -> list[str]:
    """Return the names of the providers that encrypt, first things first, without their keys."""
    text = configuration.read_text() if configuration.is_file() else ""
    return re.findall(r"^\s*- (aescbc|aesgcm|identity|kms|secretbox):", text, re.MULTILINE)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts(sys.argv[1:])))

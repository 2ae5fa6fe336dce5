"""A real clamd on loopback (Debian: clamav-daemon), with the configuration and the signature of the image."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.means.processes import listens, running

FILES = Path(__file__).resolve().parents[2] / "platform/images/files/clamav"
PROGRAM = Path("/usr/sbin/clamd")
# In two parts, so that no scanner takes this file for a virus.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@contextmanager
def clamd(folder: Path, port: int) -> Iterator[None]:
    """Run clamd until the context ends; it may be run again in the same folder."""
    if not PROGRAM.exists():
        raise RuntimeError("clamd is missing: apt-get install clamav-daemon")
    temporary, config = folder / "temporary", folder / "clamd.conf"
    temporary.mkdir(parents=True, exist_ok=True)
    values = {
        "TCPSocket": f"{port}\nTCPAddr 127.0.0.1",
        "DatabaseDirectory": str(FILES / "usr/share/refsys/clamav"),
        "TemporaryDirectory": str(temporary),
    }
    text = (FILES / "etc/refsys/clamav/clamd.conf").read_text()
    for name, value in values.items():
        text, found = re.subn(rf"^{name} .*$", f"{name} {value}", text, flags=re.MULTILINE)
        assert found == 1, name
    config.write_text(text)
    command: list[str | Path] = [PROGRAM, f"--config-file={config}"]
    with running(command, folder / "log", ready=lambda: listens(port), seconds=60):
        yield

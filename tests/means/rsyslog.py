"""A real rsyslog (Debian: rsyslog, rsyslog-kafka) with the configuration of role log_collector, in a folder.

The machine's journal is left out, whose records would come between: all it reads are files of containers.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jinja2
import yaml

from refsys.infra import paths
from tests.means.certificates import Authority
from tests.means.processes import Server, running

ROLE = paths.CHECKOUT / "monitoring/roles/log_collector"
PROGRAM = Path("/usr/sbin/rsyslogd")
NODE = "w1"


@dataclass(frozen=True)
class Collector:
    """A running collector."""

    server: Server
    pods: Path
    """Where it looks for the logs of containers."""
    spool: Path
    """Where records wait while Kafka is away."""

    def log_of(self, namespace: str, container: str) -> Path:
        """The file of a container's lines; its folder is made."""
        return log_in(self.pods, namespace, container)


def log_in(pods: Path, namespace: str, container: str) -> Path:
    """The file of a container's lines in the kubelet's folder; its own folder is made."""
    folder = pods / f"{namespace}_{container}-0_0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0" / container
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "0.log"


def rendered(kafka: str, folder: Path, **changes: object) -> str:
    """The role's configuration with all its files in a folder, and without the journal."""
    values: dict[str, object] = {"ansible_managed": "", "inventory_hostname": NODE}
    for part in ("defaults", "vars"):
        values |= yaml.safe_load((ROLE / part / "main.yml").read_text())
    values |= {
        "log_collector_node_name": NODE,
        "log_collector_kafka": kafka,
        "log_collector_pods_folder": str(folder / "pods"),
        "_log_collector_state_folder": str(folder / "spool"),
        "_log_collector_tls_folder": str(folder / "tls"),
        "_log_collector_json_files": [],
        **changes,
    }
    engine = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, autoescape=False)  # noqa: S701
    engine.filters["to_json"] = json.dumps
    text = engine.from_string((ROLE / "templates/rsyslog.conf.j2").read_text()).render(values)
    without, found = re.subn(r'^module\(load="imjournal".*\n', "", text, flags=re.MULTILINE)
    assert found == 1, "the role's configuration reads the journal elsewhere"
    return without


@contextmanager
def collector(folder: Path, kafka: str, authority: Authority, **changes: object) -> Iterator[Collector]:
    """Run a collector until the context ends; `changes` are values of the role."""
    if not PROGRAM.exists():
        raise RuntimeError("rsyslog is missing: apt-get install rsyslog rsyslog-kafka")
    made = {name: folder / name for name in ("pods", "spool", "tls")}
    for each in made.values():
        each.mkdir(parents=True, exist_ok=True)
    shown = authority.issue("log-collector")
    files = {"ca.crt": authority.ca_file, "tls.crt": shown.certificate_file, "tls.key": shown.key_file}
    for name, file in files.items():
        (made["tls"] / name).unlink(missing_ok=True)
        (made["tls"] / name).symlink_to(file)
    configuration = folder / "rsyslog.conf"
    configuration.write_text(rendered(kafka, folder, **changes))
    pid = folder / "rsyslog.pid"
    command: list[str | Path] = [PROGRAM, "-n", "-f", configuration, "-i", pid]
    with running(command, folder / "rsyslog.log", ready=pid.exists, seconds=30) as server:
        yield Collector(server, made["pods"], made["spool"])

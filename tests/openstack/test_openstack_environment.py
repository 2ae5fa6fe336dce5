"""Shipped environments against the real OpenStack, by the command that users run: what is made, how long it takes."""

import json
import os
import re
import resource
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from refsys.infra import paths
from refsys.infra.environment import config_file
from refsys.infra.playbook import hosts
from refsys.infra.plugins.openstack.kinds import KINDS
from tests.means.openstack.catalogue import EXTERNAL, REGION, USER
from tests.means.openstack.cloud import Cloud
from tests.openstack.project import Project

NAME = "t-os"
LOG = paths.home() / "logs" / "refsys.log"
TYPES = "|".join(kind.rpartition(":")[2] for kind in KINDS)
STEP = re.compile(rf"(?P<time>\S+ \S+) \d+ INFO refsys (?P<what>begin|end) create ({TYPES}) ")


@dataclass(frozen=True)
class Done:
    """What a command did: its output, seconds on the wall and of the processor."""

    output: str
    seconds: float
    busy: float


@dataclass(frozen=True)
class Operator:
    """Runs `./refsys` with the credentials of the tests' project."""

    clouds: Path

    def run(self, *arguments: str) -> Done:
        """Run a command that has to succeed."""
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [str(paths.CHECKOUT / "refsys"), *arguments],
            cwd=paths.CHECKOUT,
            env=os.environ | {"OS_CLIENT_CONFIG_FILE": str(self.clouds)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        result = Done(done.stdout, time.monotonic() - begun, busy)
        print(f"refsys {' '.join(arguments)}: {result.seconds:.1f} s, {busy:.1f} s of the processor")  # noqa: T201 pytest -s
        assert done.returncode == 0, result.output
        return result


@pytest.fixture
def operator(cloud: Cloud, tmp_path: Path) -> Operator:
    """Credentials as operators have them: an entry of clouds.yaml."""
    auth = {"auth_url": cloud.auth_url, "username": USER, "password": cloud.password, "project_name": USER}
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    file = tmp_path / "clouds.yaml"
    file.write_text(yaml.safe_dump({"clouds": {"mycloud": {"auth": auth | domains, "region_name": REGION}}}))
    file.chmod(0o600)
    return Operator(file)


@pytest.fixture
def image(project: Project, image_file: Path) -> Iterator[str]:
    """An image of the name that the shipped environments ask for."""
    made = project.user.image.create_image(
        "debian-12", filename=str(image_file), container_format="bare", disk_format="raw", wait=True, timeout=120
    )
    yield str(made.name)
    project.user.image.delete_image(str(made.id))


@pytest.fixture
def environment(operator: Operator, project: Project, image: str) -> Iterator[str]:
    """The environment's name; whatever of it is left at the end is removed."""
    before = project.everything()
    yield NAME
    if config_file(NAME).exists():
        operator.run("down", NAME)
        config_file(NAME).unlink(missing_ok=True)
    assert project.everything() == before


def configure(shipped: str, **changes: Any) -> None:
    """Take a shipped environment's config, as the tests' cloud can have it: no Octavia, no Swift."""
    config = yaml.safe_load((paths.CHECKOUT / shipped).read_text())["config"]
    settings = config["refsys:openstack"] | {"load_balancer": "haproxy", "containers": []} | changes
    settings["balancer_flavor"] = settings["bastion_flavor"]
    settings["external_network"] = EXTERNAL
    config_file(NAME).write_text(yaml.safe_dump({"config": config | {"refsys:openstack": settings}}))


def servers(project: Project) -> dict[str, str]:
    """Name and flavor of the project's servers."""
    return {item.name: item.flavor.original_name for item in project.user.compute.servers()}


def waiting(begun: int) -> tuple[float, int]:
    """Seconds in which the cloud was making something, by the log from that place on; how much at once at most."""
    under_way, most, seconds, last = 0, 0, 0.0, datetime.min
    with LOG.open() as log:
        log.seek(begun)
        for line in log:
            if step := STEP.match(line):
                now = datetime.fromisoformat(step["time"])
                seconds += (now - last).total_seconds() if under_way else 0
                under_way, last = under_way + (1 if step["what"] == "begin" else -1), now
                most = max(most, under_way)
    return seconds, most


def test_small(environment: str, operator: Operator, project: Project, image_file: Path) -> None:
    configure("Pulumi.openstack.yaml", image="uploaded", image_file=str(image_file))
    operator.run("up", environment, "--until", "infrastructure")
    [uploaded] = project.user.image.images(name="uploaded")
    assert (uploaded.status, uploaded.size) == ("active", image_file.stat().st_size)
    assert {server.image.id for server in project.user.compute.servers()} == {uploaded.id}
    names = {name.removeprefix(f"refsys-{environment}-") for name in servers(project)}
    assert names == {"bastion", "balancer", "master1", "infra1", "infra2"}
    assert len(list(project.user.block_storage.volumes())) == 2
    again = operator.run("up", environment, "--until", "infrastructure")
    assert again.seconds < 45
    operator.run("down", environment)


def test_reference(environment: str, operator: Operator, project: Project) -> None:
    configure("Pulumi.openstack-reference.yaml")
    assert operator.run("preview", environment).seconds < 30
    begun = LOG.stat().st_size
    made = operator.run("up", environment, "--until", "infrastructure")
    assert len(servers(project)) == 20 + 2
    assert made.seconds < 600
    waited, most = waiting(begun)
    print(f"the cloud was waited for {waited:.1f} of {made.seconds:.1f} s, for {most} things at once")  # noqa: T201 pytest -s
    assert waited > 0.8 * made.seconds
    processors = os.cpu_count() or 1
    assert made.busy < 0.2 * made.seconds * processors, f"{made.busy:.0f} s of {processors} processors"
    assert most > 20
    inventory = json.loads((paths.environment_home(environment) / "inventory.yml").read_text())
    assert len(hosts(inventory)) == 20
    again = operator.run("up", environment, "--until", "infrastructure")
    assert again.seconds < 45
    operator.run("down", environment)

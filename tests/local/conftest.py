"""One environment of its own for the whole suite, brought up and taken down by the command that users run."""

import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from kubernetes import client, config

from refsys.infra import paths
from refsys.infra.environment import config_file

NAME = "t-local"
OPERATOR = {
    "name": "anna",
    "given_name": "Anna",
    "family_name": "Operator",
    "mail": "anna@example.org",
    "groups": ["operators"],
}


@dataclass(frozen=True)
class Done:
    """What a command did."""

    code: int
    output: str
    seconds: float


class Environment:
    """The environment under test."""

    name = NAME
    operator_key: Path
    """The private key of `OPERATOR`."""

    def refsys(self, *arguments: str, check: bool = True) -> Done:
        """Run `./refsys` as a user does."""
        started = time.monotonic()
        done = subprocess.run(
            [str(paths.CHECKOUT / "refsys"), *arguments],
            cwd=paths.CHECKOUT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        result = Done(done.returncode, done.stdout, time.monotonic() - started)
        print(f"refsys {' '.join(arguments)}: {result.seconds:.1f} s\n{result.output}")  # noqa: T201 - pytest shows it with a failure
        assert not check or result.code == 0, result.output
        return result

    def configure(self, **values: Any) -> None:
        """Set fields of the environment's config."""
        document = yaml.safe_load(config_file(NAME).read_text()) if config_file(NAME).exists() else {}
        config = (document.get("config") or {}) | {f"refsys:{key}": value for key, value in values.items()}
        config_file(NAME).write_text(yaml.safe_dump(document | {"config": config}))

    def endpoints(self) -> dict[str, Any]:
        """What outside clients get."""
        found: dict[str, Any] = json.loads(self.refsys("endpoints", NAME, "--json").output)
        return found

    def bearer(self) -> dict[str, str]:
        """The header of the demo user, who is an operator."""
        found = self.endpoints()
        demo = found["demo"]
        form = {"grant_type": "password"} | {key: demo[key] for key in ("client_id", "username", "password")}
        trust = ssl.create_default_context(cafile=found["ca_file"])
        token = httpx.post(found["token_url"], data=form, verify=trust).raise_for_status().json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def inventory(self) -> dict[str, Any]:
        """The nodes, as Ansible knows them."""
        found: dict[str, Any] = json.loads((self.home / "inventory.yml").read_text())
        return found

    @property
    def home(self) -> Path:
        """The environment's folder."""
        return paths.environment_home(NAME)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What looks at the running environment comes before the test that takes it down, what waits long just before."""
    last = ("test_what_was_late_is_over_after_an_hour", "test_down_leaves_nothing")
    items.sort(key=lambda item: last.index(item.name) if item.name in last else -1)


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    subject = Environment()
    subject.refsys("down", NAME)
    config_file(NAME).unlink(missing_ok=True)
    key = tmp_path_factory.mktemp("operator") / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    subject.operator_key = key
    operator = OPERATOR | {"ssh_keys": [key.with_suffix(".pub").read_text().strip()]}
    subject.configure(local={"workers": 1}, users=[operator])
    yield subject
    subject.refsys("down", NAME, check=False)
    config_file(NAME).unlink(missing_ok=True)


@pytest.fixture(scope="session")
def cluster(environment: Environment) -> client.ApiClient:
    """The API server of the environment, as its administrator; brought up where a test asks for it alone."""
    environment.refsys("up", NAME)
    return config.new_client_from_config(environment.endpoints()["kubeconfig"])

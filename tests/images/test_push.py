"""Images reach a real registry over HTTPS with a password, and come back the same."""

import base64
import crypt
import json
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from refsys.infra.errors import UserError
from refsys.platform.images import build, opened, push, sign, verify
from tests.means.processes import free_port

ACCEPT = {"Accept": "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"}


@dataclass
class Registry:
    address: str
    ca_file: Path

    def client(self) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.ca_file))
        return httpx.Client(base_url=f"https://{self.address}/v2/", verify=context, auth=("user", "password"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    address = f"127.0.0.1:{free_port()}"
    key, certificate = tmp_path / "key.pem", tmp_path / "ca.pem"
    request = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    request += ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "1"]
    subprocess.run([*request, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    (tmp_path / "htpasswd").write_text(
        f"user:{crypt.crypt('password', crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16))}\n"  # noqa: S324 - all the registry reads
    )
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}},
        "http": {"addr": address, "secret": "x", "tls": {"certificate": str(certificate), "key": str(key)}},
        "auth": {"htpasswd": {"realm": "registry", "path": str(tmp_path / "htpasswd")}},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(["docker-registry", "serve", tmp_path / "config.yml"], stdout=log, stderr=log)
    try:
        found = Registry(address, certificate)
        for _ in range(100):
            try:
                with found.client() as client:
                    if client.get("").status_code == 200:
                        break
            except httpx.TransportError:
                time.sleep(0.1)
        yield found
    finally:
        server.terminate()
        server.wait()


def test_push_is_complete_and_idempotent(registry: Registry, tmp_path: Path) -> None:
    image = build("pause")
    writes = []
    for _ in range(2):
        reference = push(image, registry.address, ca_file=registry.ca_file, username="user", password="password")
        assert reference == f"{registry.address}/refsys/pause@{image.digest}"
        writes.append((tmp_path / "log").read_text().count('"PUT '))
    assert writes[0] == writes[1] > 0
    with registry.client() as client:
        manifest = client.get(f"refsys/pause/manifests/{image.version}", headers=ACCEPT)
        index = client.get(f"refsys/pause/manifests/{image.digest.replace(':', '-')}", headers=ACCEPT)
        artefact = client.get(f"refsys/pause/manifests/{index.json()['manifests'][0]['digest']}", headers=ACCEPT)
        bill = client.get(f"refsys/pause/blobs/{artefact.json()['layers'][0]['digest']}")
    assert manifest.content == image.manifest_path.read_bytes()
    assert artefact.json()["subject"]["digest"] == image.digest
    assert bill.content == image.sbom_path.read_bytes()


def test_shared_layers_are_sent_once(registry: Registry, tmp_path: Path) -> None:
    for name in ("gateway", "postgresql"):
        push(build(name), registry.address, ca_file=registry.ca_file, username="user", password="password")
    (base,) = _layers("gateway") & _layers("postgresql")
    log = (tmp_path / "log").read_text()
    assert f"mount={base.replace(':', '%3A')}" in log or f"mount={base}" in log


def test_skopeo_pulls_what_was_pushed(registry: Registry, tmp_path: Path) -> None:
    image = build("pause")
    reference = push(image, registry.address, ca_file=registry.ca_file, username="user", password="password")
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    shutil.copy(registry.ca_file, certificates / "ca.crt")
    policy = tmp_path / "policy.json"
    policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
    login = ["--src-creds", "user:password", "--src-cert-dir", str(certificates)]
    copy = ["skopeo", "copy", "--policy", str(policy), *login]
    subprocess.run([*copy, f"docker://{reference}", f"oci:{tmp_path / 'layout'}:pause"], check=True)
    index = json.loads((tmp_path / "layout/index.json").read_text())
    assert index["manifests"][0]["digest"] == image.digest


def test_wrong_password_is_named(registry: Registry) -> None:
    with pytest.raises(UserError, match="401"):
        push(build("pause"), registry.address, ca_file=registry.ca_file, username="user", password="wrong")


def _layers(name: str) -> set[str]:
    return {layer["digest"] for layer in json.loads(build(name).manifest_path.read_text())["layers"]}


def _key() -> tuple[str, str]:
    """A private key and its public one, PEM."""
    private = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
        check=True,
        capture_output=True,
    ).stdout
    public = subprocess.run(["openssl", "pkey", "-pubout"], input=private, check=True, capture_output=True).stdout
    return private.decode(), public.decode()


def test_only_what_the_key_signed_is_taken(registry: Registry, tmp_path: Path) -> None:
    user, password = "user", "password"
    reference = push(build("pause"), registry.address, ca_file=registry.ca_file, username=user, password=password)
    name, _, digest = reference.partition("@")
    (private, public), (foreign, _) = _key(), _key()
    context = ssl.create_default_context(cafile=str(registry.ca_file))
    with opened(name, context=context, username=user, password=password) as repository:
        with pytest.raises(UserError, match="it has no signature"):
            verify(repository, reference, public)
        sign(repository, reference, foreign)
        with pytest.raises(UserError, match="not of the environment's key"):
            verify(repository, reference, public)
        sign(repository, reference, private)
        verify(repository, reference, public)
        before = (tmp_path / "log").read_text().count('"PUT ')
        sign(repository, reference, private)
        assert (tmp_path / "log").read_text().count('"PUT ') == before, "what is signed is left alone"
        with pytest.raises(UserError, match="not in the registry"):
            verify(repository, f"{name}@sha256:{'0' * 64}", public)
    _openssl_agrees(registry, digest, public, tmp_path)


def _openssl_agrees(registry: Registry, digest: str, public: str, tmp_path: Path) -> None:
    """The signature is where cosign looks for it, and another program finds it right."""
    with registry.client() as client:
        manifest = client.get(f"refsys/pause/manifests/{digest.replace(':', '-')}.sig", headers=ACCEPT).json()
        (layer,) = manifest["layers"]
        payload = client.get(f"refsys/pause/blobs/{layer['digest']}").content
    assert layer["mediaType"] == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert json.loads(payload)["critical"]["image"] == {"docker-manifest-digest": digest}
    for file, content in {
        "public.pem": public.encode(),
        "payload": payload,
        "signature": base64.b64decode(layer["annotations"]["dev.cosignproject.cosign/signature"]),
    }.items():
        (tmp_path / file).write_bytes(content)
    command = ["openssl", "dgst", "-sha256", "-verify", "public.pem", "-signature", "signature", "payload"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)

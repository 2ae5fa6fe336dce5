import hashlib
import json
from pathlib import Path

import httpx
import pytest

from refsys.infra.errors import UserError
from refsys.platform.images import build
from refsys.platform.images.registry import Repository
from refsys.platform.images.store import Store

LOCATION = {"Location": "/v2/refsys/pause/blobs/uploads/1?state=x"}


class Registry:
    """A registry in memory that can break an upload after some bytes."""

    def __init__(self, break_after: int | None = None) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.upload = b""
        self.break_after = break_after
        self.writes: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.path.startswith("/v2/refsys/pause/")
        if request.method in {"PUT", "PATCH", "POST"}:
            self.writes.append(f"{request.method} {request.url.path}")
        kind = "manifest" if "/manifests/" in request.url.path else "blob"
        handler = getattr(self, f"{request.method.lower()}_{kind}")
        response = handler(request, request.url.path.rpartition("/")[2])
        assert isinstance(response, httpx.Response)
        return response

    def head_manifest(self, _: httpx.Request, reference: str) -> httpx.Response:
        data = self.manifests.get(reference)
        digest = "sha256:" + hashlib.sha256(data or b"").hexdigest()
        return httpx.Response(200, headers={"Docker-Content-Digest": digest}) if data else httpx.Response(404)

    def put_manifest(self, request: httpx.Request, reference: str) -> httpx.Response:
        self.manifests[reference] = request.read()
        return httpx.Response(201)

    def head_blob(self, _: httpx.Request, reference: str) -> httpx.Response:
        return httpx.Response(200 if reference in self.blobs else 404)

    def post_blob(self, *_: object) -> httpx.Response:
        self.upload = b""
        return httpx.Response(202, headers=LOCATION)

    def get_blob(self, *_: object) -> httpx.Response:
        last = max(len(self.upload) - 1, 0)
        return httpx.Response(204, headers=LOCATION | {"Range": f"0-{last}"})

    def put_blob(self, request: httpx.Request, _: str) -> httpx.Response:
        digest = request.url.params["digest"]
        assert digest == "sha256:" + hashlib.sha256(self.upload).hexdigest()
        assert request.url.params["state"] == "x"
        self.blobs[digest] = self.upload
        return httpx.Response(201)

    def patch_blob(self, request: httpx.Request, _: str) -> httpx.Response:
        data = request.read()
        start = int(request.headers.get("Content-Range", "0-").partition("-")[0])
        assert start == len(self.upload)
        if self.break_after is not None and len(data) > self.break_after:
            self.upload += data[: self.break_after]
            self.break_after = None
            raise httpx.WriteError("connection reset")
        self.upload += data
        return httpx.Response(202, headers=LOCATION)


def repository(registry: Registry, store: Store) -> Repository:
    client = httpx.Client(base_url="https://registry/v2/", transport=httpx.MockTransport(registry))
    return Repository(client, "refsys/pause", store)


@pytest.mark.parametrize("break_after", [None, 0, 1, 100_000])
def test_push_sends_all_once_and_resumes(tmp_path: Path, break_after: int | None) -> None:
    store = Store(tmp_path)
    image = build("pause", store=store)
    registry = Registry(break_after)
    repository(registry, store).push(image)
    assert registry.manifests[image.digest] == registry.manifests[image.version] == image.manifest_path.read_bytes()
    index = json.loads(registry.manifests[image.digest.replace(":", "-")])
    artefact = json.loads(registry.manifests[index["manifests"][0]["digest"]])
    assert artefact["subject"]["digest"] == image.digest
    assert registry.blobs[artefact["layers"][0]["digest"]] == image.sbom_path.read_bytes()
    registry.writes.clear()
    repository(registry, store).push(image)
    assert registry.writes == []


def test_refusal_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    image = build("pause", store=store)
    client = httpx.Client(
        base_url="https://registry/v2/", transport=httpx.MockTransport(lambda _: httpx.Response(401, text="no"))
    )
    with pytest.raises(UserError, match="401") as error:
        Repository(client, "refsys/pause", store).push(image)
    assert "user and password" in str(error.value)

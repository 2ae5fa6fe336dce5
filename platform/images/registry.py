"""Push images to a registry by the OCI distribution API (version 1.1), each with its bill of materials."""

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from refsys.infra.errors import UserError
from refsys.platform.images import sbom
from refsys.platform.images.builder import MANIFEST_TYPE, BuiltImage
from refsys.platform.images.store import Json, Store, canonical, digest_of

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"
PROJECT = "refsys"
ATTEMPTS = 5
CHUNK = 1 << 20


def push(image: BuiltImage, registry: str, *, ca_file: Path, username: str, password: str) -> str:
    """Push an image and its bill of materials; return the reference with the digest.

    `registry` is host and port. What the registry has is not sent again; an upload that breaks off goes on
    where it stopped. The image also gets its version as a tag.
    """
    context = ssl.create_default_context(cafile=str(ca_file))
    name = f"{registry}/{PROJECT}/{image.name}"
    with opened(name, context=context, username=username, password=password) as repository:
        repository.push(image)
    return f"{name}@{image.digest}"


@contextmanager
def opened(
    name: str, *, context: ssl.SSLContext, username: str, password: str, seconds: float = 60
) -> Iterator["Repository"]:
    """Talk to the repository called `name` (host, port and path), and say what to do where that fails.

    `seconds` is how long the registry may be silent.
    """
    registry, _, path = name.partition("/")
    with httpx.Client(
        base_url=f"https://{registry}/v2/", verify=context, auth=(username, password), timeout=seconds
    ) as client:
        try:
            yield Repository(client, path, Store())
        except httpx.HTTPError as error:
            raise UserError(
                f"{path} in the registry {registry} can't be used: {error}",
                fix="see if the registry runs (on the first control plane: systemctl status docker-registry), "
                "is reached and has a certificate of the given CA; then run it again",
            ) from error


class Repository:
    """One repository of a registry."""

    def __init__(self, client: httpx.Client, name: str, store: Store) -> None:
        """Use the repository `name` of the registry that `client` talks to; blobs come from `store`."""
        self.client = client
        self.name = name
        self.store = store

    def push(self, image: BuiltImage) -> None:
        """Push blobs first, then what refers to them, the tag last."""
        data = image.manifest_path.read_bytes()
        manifest = json.loads(data)
        if not (self._has_manifest(image.digest) and self._has_manifest(_referrers_tag(image.digest))):
            for part in [manifest["config"], *manifest["layers"]]:
                self._blob(part["digest"])
            self.put_manifest(image.digest, data)
            self._bill(image, {"mediaType": MANIFEST_TYPE, "digest": image.digest, "size": len(data)})
        if self._digest(image.version) != image.digest:
            self.put_manifest(image.version, data)

    def put(self, data: bytes) -> Json:
        """Keep some bytes; return digest and size as a descriptor has them."""
        digest = self.store.add(data)
        self._blob(digest)
        return {"digest": digest, "size": len(data)}

    def get(self, path: str) -> bytes | None:
        """Read `manifests/<reference>` or `blobs/<digest>`; None where there is nothing."""
        answer = self._call("GET", path, headers={"Accept": f"{MANIFEST_TYPE}, */*"}, allowed=(200, 404))
        return answer.content if answer.status_code == 200 else None

    def _bill(self, image: BuiltImage, subject: Json) -> None:
        """Attach the bill of materials as an artefact that refers to the image."""
        bill = image.sbom_path.read_bytes()
        self.store.add(EMPTY)
        self._blob(digest_of(EMPTY))
        self._blob(digest_of(bill))
        artefact = {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": sbom.MEDIA_TYPE,
            "config": {"mediaType": EMPTY_TYPE, "digest": digest_of(EMPTY), "size": len(EMPTY)},
            "layers": [{"mediaType": sbom.MEDIA_TYPE, "digest": digest_of(bill), "size": len(bill)}],
            "subject": subject,
        }
        data = canonical(artefact)
        self.put_manifest(digest_of(data), data)
        # Registries before version 1.1 of the API have no list of referrers: the specification then asks
        # the client to keep it as an index under this tag. Newer ones do no harm with it.
        entry = {"mediaType": MANIFEST_TYPE, "digest": digest_of(data), "size": len(data)}
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [entry | {"artifactType": sbom.MEDIA_TYPE}],
        }
        self.put_manifest(_referrers_tag(image.digest), canonical(index), INDEX_TYPE)

    def _blob(self, digest: str) -> None:
        if self._call("HEAD", f"blobs/{digest}", allowed=(200, 404)).status_code == 200:
            return
        for other in self._others(digest):
            query = {"mount": digest, "from": other}
            if self._call("POST", "blobs/uploads/", params=query, allowed=(201, 202)).status_code == 201:
                return
        location = self._upload(self.store.blob(digest))
        self._call("PUT", location, params=_with_digest(location, digest), allowed=(201,))

    def _upload(self, blob: Path) -> str:
        """Send a blob's bytes; after a broken connection ask how many arrived and go on there."""
        size = blob.stat().st_size
        location, sent = self._start(), 0
        for attempt in range(1, ATTEMPTS + 1):
            headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - sent)}
            if sent:
                headers["Content-Range"] = f"{sent}-{size - 1}"
            try:
                done = self._call("PATCH", location, content=_bytes(blob, sent), headers=headers, allowed=(202,))
                return done.headers["Location"]
            except httpx.TransportError:
                if attempt == ATTEMPTS:
                    raise
            status = self._call("GET", location, allowed=(204,))
            last = int(status.headers["Range"].rpartition("-")[2])
            # `0-0` stands for no byte as well as for one: begin anew.
            location, sent = (status.headers["Location"], last + 1) if last else (self._start(), 0)
        raise AssertionError("unreachable")

    def _start(self) -> str:
        return self._call("POST", "blobs/uploads/", allowed=(202,)).headers["Location"]

    def _others(self, digest: str) -> Iterator[str]:
        """Name the images of the cache that share a blob and have it in the registry already."""
        names = set()
        for entry in map(json.loads, (p.read_text() for p in (self.store.root / "built").glob("*.json"))):
            manifest = self.store.blob(entry["digest"])
            if manifest.is_file() and digest in manifest.read_text():
                names.add(f"{PROJECT}/{entry['name']}")
        for name in sorted(names - {self.name}):
            if self._call("HEAD", f"/v2/{name}/blobs/{digest}", allowed=(200, 404)).status_code == 200:
                yield name

    def _has_manifest(self, reference: str) -> bool:
        return self._digest(reference) is not None

    def _digest(self, reference: str) -> str | None:
        headers = {"Accept": f"{MANIFEST_TYPE}, {INDEX_TYPE}"}
        answer = self._call("HEAD", f"manifests/{reference}", headers=headers, allowed=(200, 404))
        return answer.headers["Docker-Content-Digest"] if answer.status_code == 200 else None

    def put_manifest(self, reference: str, data: bytes, media_type: str = MANIFEST_TYPE) -> None:
        """Keep a manifest under a digest or a tag."""
        self._call("PUT", f"manifests/{reference}", content=data, headers={"Content-Type": media_type}, allowed=(201,))

    def _call(
        self,
        method: str,
        path: str,
        *,
        allowed: tuple[int, ...],
        content: bytes | Iterator[bytes] | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | httpx.QueryParams | None = None,
    ) -> httpx.Response:
        # The registry's own locations are absolute; everything else is below the repository.
        absolute = path.startswith(("/", "https:"))
        url = self.client.base_url.join(path if absolute else f"{self.name}/{path}")
        answer = self.client.request(method, url, content=content, headers=headers, params=params)
        if answer.status_code not in allowed:
            fix = {
                401: "give the registry's user and password",
                403: "give a user that may write",
                413: "raise the size limit of the proxy before the registry",
                507: "free space in the registry's storage",
            }.get(answer.status_code, "see the registry's log")
            raise UserError(f"{method} {answer.url.path}: {answer.status_code} {answer.text[:200]}", fix=fix)
        return answer


def _referrers_tag(digest: str) -> str:
    return digest.replace(":", "-")


def _with_digest(location: str, digest: str) -> httpx.QueryParams:
    return httpx.URL(location).params.set("digest", digest)


def _bytes(blob: Path, start: int) -> Iterator[bytes]:
    with blob.open("rb") as handle:
        handle.seek(start)
        while chunk := handle.read(CHUNK):
            yield chunk

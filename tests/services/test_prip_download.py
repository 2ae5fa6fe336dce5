"""`$value`: bytes of products, whole, in ranges, and by redirection."""

import hashlib
import os
import resource
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine
from tests.means import issuer
from tests.means.certificates import Authority
from tests.services.prip import Prip, running, stored
from tests.services.published import BUCKET, event

from refsys.services.common.settings import DeliverySettings, QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.publisher import publish
from refsys.services.distribution.quotas import Quotas

pytest_plugins = ("tests.services.prip",)

MIB = 2**20


def test_download(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    content = os.urandom(3 * MIB + 17)
    address = stored(engine, store, "S1A_X.EOF", content)
    whole = client.get(address)
    assert whole.status_code == 200
    assert whole.content == content
    assert whole.headers["Content-Disposition"] == 'attachment; filename="S1A_X.EOF"'
    head = client.head(address)
    assert (head.status_code, head.content, head.headers["Content-Length"]) == (200, b"", str(len(content)))
    assert head.headers["ETag"] == whole.headers["ETag"]


def test_ranges(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    content = os.urandom(10_000)
    address = stored(engine, store, "S1A_X.EOF", content)
    for wanted, part in {
        "bytes=0-0": slice(0, 1),
        "bytes=1000-1999": slice(1000, 2000),
        "bytes=9000-": slice(9000, None),
        "bytes=-100": slice(-100, None),
        "bytes=9990-99999": slice(9990, None),
    }.items():
        answer = client.get(address, headers={"Range": wanted})
        start = range(10_000)[part].start
        assert answer.status_code == 206
        assert answer.content == content[part]
        assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(answer.content) - 1}/10000"


def test_conditional_and_impossible_ranges(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", b"0123456789")
    tag = client.head(address).headers["ETag"]
    modified = client.head(address).headers["Last-Modified"]
    status = {
        condition: client.get(address, headers={"Range": "bytes=5-", "If-Range": condition}).status_code
        for condition in (tag, modified, '"other"', "Mon, 01 Jan 2024 00:00:00 GMT", "rubbish")
    }
    assert list(status.values()) == [206, 206, 200, 200, 200]
    answer = client.get(address, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */10")
    assert client.get(address, headers={"Range": "bytes=0-1,3-4"}).content == b"0123456789"


def test_large_download_in_flat_memory(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    size, block = 256 * MIB, os.urandom(MIB)
    store.put(BUCKET, "S1A_LARGE.SAFE.zip", (block for _ in range(256)), size)
    given = event("S1A_LARGE.SAFE.zip", product_size_byte=size)
    publish(engine, given)
    expected, arrived = hashlib.sha256(), hashlib.sha256()
    for _ in range(256):
        expected.update(block)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with client.stream("GET", f"/odata/v1/Products({given.product_id})/$value") as answer:
        for chunk in answer.iter_bytes(MIB):
            arrived.update(chunk)
    growth = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert arrived.digest() == expected.digest()
    assert growth < 96 * MIB


def test_object_that_is_gone(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", b"x")
    store.delete(BUCKET, "S1A_X.EOF")
    answer = client.get(address)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")


@pytest.fixture
def redirecting(
    engine: Engine, store: ObjectStore, authority: Authority, delivery_settings: DeliverySettings
) -> Iterator[Prip]:
    downloads = Downloads(store, Quotas(engine, QuotaSettings(bytes_per_month=1000)), public=store)
    with running(engine, downloads, authority, issuer.authenticator(), delivery_settings) as service:
        yield service


def test_redirection(redirecting: Prip, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", b"0123456789")
    with redirecting.client() as client:
        answer = client.get(address)
        assert (answer.status_code, answer.content) == (307, b"")
        assert "X-Amz-Expires=600" in answer.headers["Location"]
        assert client.head(address).headers["Content-Length"] == "10"
    with redirecting.anonymous() as client:  # the address needs no token, and the token must not get there
        assert client.get(answer.headers["Location"]).content == b"0123456789"
        part = client.get(answer.headers["Location"], headers={"Range": "bytes=2-3"})
        assert (part.status_code, part.content) == (206, b"23")


def test_redirections_count(redirecting: Prip, engine: Engine, store: ObjectStore) -> None:
    address = stored(engine, store, "S1A_X.EOF", bytes(600))
    with redirecting.client() as client:
        assert [client.get(address).status_code for _ in range(2)] == [307, 429]


def test_quicklooks(client: httpx.Client, engine: Engine, store: ObjectStore) -> None:
    store.put(BUCKET, "x.png", [b"\x89PNG"], 4)
    image = {"image": "x.png", "contentType": "image/png", "size": 4, "storagePath": f"s3://{BUCKET}/x.png"}
    given = event("S1A_X.SAFE", additional_fields={"quicklooks": [image]})
    publish(engine, given)
    product = f"/odata/v1/Products({given.product_id})"
    shown = [{"@odata.mediaContentType": "image/png", "Image": "x.png"}]
    assert client.get(f"{product}/Quicklooks").json()["value"] == shown
    entity = client.get(f"{product}?$expand=Quicklooks,Assets").json()
    assert entity["Quicklooks"] == shown
    assert [each["Type"] for each in entity["Assets"]] == ["QUICKLOOK"]
    assert entity["Assets"][0]["DownloadLink"].endswith(f"{product}/Quicklooks('x.png')/$value")
    value = client.get(f"{product}/Quicklooks('x.png')/$value")
    assert (value.content, value.headers["Content-Type"]) == (b"\x89PNG", "image/png")
    assert client.get(f"{product}/Quicklooks('y.png')/$value").status_code == 404

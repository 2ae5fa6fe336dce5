"""What of the delivery needs no server: which addresses are reached, secrets at rest, filters of other sets."""

import asyncio
import ipaddress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from refsys.services.cadip.sets import FILES, SESSIONS
from refsys.services.common.settings import SettingsError
from refsys.services.distribution.delivery.deleted import DELETED_PRODUCTS
from refsys.services.distribution.delivery.guard import Guard, RefusedError
from refsys.services.distribution.delivery.push import new_secret, signature
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.odata.entities import EntitySet
from refsys.services.distribution.odata.errors import ODataError

DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


def resolving(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses."""

    async def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(None, None, None, "", (address, 443)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def resolve(guard: Guard, url: str) -> str:
    return await guard.resolve(guard.check_url(url))


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.1.2.3"],
        ["172.16.0.1"],
        ["192.168.1.1"],
        ["169.254.169.254"],
        ["100.64.0.1"],
        ["0.0.0.0"],  # noqa: S104
        ["224.0.0.1"],
        ["255.255.255.255"],
        ["::1"],
        ["::"],
        ["fe80::1%eth0"],
        ["fc00::1"],
        ["ff02::1"],
        ["::ffff:8.8.8.8"],
        ["2002:0a00:0001::1"],
        ["64:ff9b::a00:1"],
        ["93.184.215.14", "10.0.0.1"],
    ],
)
def test_what_is_not_public_is_refused(monkeypatch: pytest.MonkeyPatch, addresses: list[str]) -> None:
    resolving(monkeypatch, *addresses)
    with pytest.raises(RefusedError, match="not a public address"):
        asyncio.run(resolve(Guard(), "https://innocent.example/hook"))


def test_public_addresses_and_allowed_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, "93.184.215.14")
    assert asyncio.run(resolve(Guard(), "https://innocent.example/hook")) == "93.184.215.14"
    with pytest.raises(RefusedError, match="port 8443"):
        asyncio.run(resolve(Guard(), "https://innocent.example:8443/hook"))
    resolving(monkeypatch, "10.1.2.3")
    allowed = Guard([ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8")])
    assert asyncio.run(resolve(allowed, "https://inside.example:8443/hook")) == "10.1.2.3"
    resolving(monkeypatch, "10.2.2.3")
    with pytest.raises(RefusedError):
        asyncio.run(resolve(allowed, "https://inside.example/hook"))


@pytest.mark.parametrize(
    "url",
    [
        "http://a.example/",
        "ftp://a.example/",
        "https:///path",
        "a.example",
        "https://user@a.example/",
        "https://a.example/#part",
        "https://a.example/\nX: y",
        "https://a.example/" + "x" * 2000,
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://a.example:99999/",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        Guard().check_url(url)


def test_signature_is_that_of_the_specification() -> None:
    """The example of the Standard Webhooks libraries."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    body = b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert signature(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == expected
    assert new_secret() != new_secret()


def test_secrets_survive_a_new_key_and_need_the_old_one(tmp_path: Path) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("the-first-key-0123456789abcdef\n")
    kept = Cipher(key_file).encrypt("pass wörd")
    assert b"pass" not in kept
    key_file.write_text("the-second-key-0123456789abcdef\nthe-first-key-0123456789abcdef\n")
    assert Cipher(key_file).decrypt(kept) == "pass wörd"
    key_file.write_text("short\n")
    with pytest.raises(SettingsError, match="at least 24"):
        Cipher(key_file)


def sql(entity_set: EntitySet, text: str) -> str:
    condition = entity_set.where(text)
    return str(condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True}))


def test_filters_of_other_sets_speak_of_their_own_tables() -> None:
    assert sql(SESSIONS, "Satellite in ('S1A')") == "distribution.session.satellite IN ('S1A')"
    for text in ("SessionId eq 'a' OR SessionID eq 'b'", "\"SessionId eq 'a' OR SessionId eq 'b'\""):
        found = sql(FILES, text)
        assert found == "distribution.session_file.session_id = 'a' OR distribution.session_file.session_id = 'b'"
    area = "OData.CSC.Intersects(area=geography'SRID=4326;POINT(1 1)')"
    attribute = "Attributes/OData.CSC.StringAttribute/any(a:a/Name eq 'productType' and a/Value eq 'X')"
    found = sql(DELETED_PRODUCTS, f"{area} and {attribute} and ContentDate/Start gt 2024-01-01T00:00:00Z")
    assert "distribution.product" not in found
    assert found.count("distribution.deleted_product.") == 3


@pytest.mark.parametrize(
    "text", ["Online eq true", "contains(Color,'x')", "geo.intersects(Footprint,geography'POINT(1 1)')"]
)
def test_what_other_sets_do_not_have(text: str) -> None:
    with pytest.raises(ODataError) as caught:
        FILES.where(text)
    assert caught.value.status == 400


def test_query_options_of_other_sets() -> None:
    pairs = [
        ("$filter", "Satellite eq 'S1A'"),
        ("$top", "7"),
        ("$skip", "14"),
        ("$count", "True"),
        ("$expand", "Files"),
    ]
    query = SESSIONS.query([*pairs, ("$orderby", "PublicationDate desc,SessionID")])
    assert (query.top, query.skip, query.count, query.expand) == (7, 14, True, frozenset({"Files"}))
    assert [str(key) for key in query.order] == [
        "distribution.session.publication_date DESC",
        "distribution.session.session_id ASC",
        "distribution.session.id ASC",
    ]
    link = query.next_link("https://cadip/odata/v1/Sessions", pairs)
    assert "$skip=21" in link and "$top=7" in link and "$expand=Files" in link
    assert SESSIONS.query([("$top", "5000")]).top == 1000
    assert SESSIONS.query([("$top", "5000"), ("$expand", "Files")]).top == 100


@pytest.mark.parametrize(
    "pair",
    [
        ("$top", "-1"),
        ("$top", "\u0663"),
        ("$skip", "1e3"),
        ("$count", "maybe"),
        ("$expand", "Attributes"),
        ("$orderby", "Color"),
        ("$format", "xml"),
        ("$apply", "x"),
    ],
)
def test_wrong_query_options(pair: tuple[str, str]) -> None:
    with pytest.raises(ODataError) as caught:
        SESSIONS.query([pair])
    assert caught.value.status == 400
    assert pair[0] in caught.value.message

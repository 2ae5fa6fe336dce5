"""Who may do what: the realm's tokens, its roles, and the collections that they open."""

from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine
from tests.means.certificates import Authority
from tests.services.keycloak import PASSWORD, Keycloak
from tests.services.prip import Prip, found, running, stored

from refsys.services.common.settings import DeliverySettings, OidcSettings, QuotaSettings
from refsys.services.common.store import ObjectStore
from refsys.services.distribution.auth import Authenticator
from refsys.services.distribution.download import Downloads
from refsys.services.distribution.quotas import Quotas

pytest_plugins = ("tests.services.prip", "tests.services.identity")


@pytest.fixture
def with_realm(
    engine: Engine,
    store: ObjectStore,
    keycloak: Keycloak,
    authority: Authority,
    delivery_settings: DeliverySettings,
) -> Iterator[Prip]:
    settings = OidcSettings.model_validate({"issuer": keycloak.issuer, "jwks_url": keycloak.keys_url})
    authenticator = Authenticator(settings, httpx.AsyncClient(trust_env=False))
    downloads = Downloads(store, Quotas(engine, QuotaSettings()))
    with running(engine, downloads, authority, authenticator, delivery_settings) as service:
        yield service


def test_three_ways_to_authenticate(with_realm: Prip, keycloak: Keycloak) -> None:
    token = keycloak.token("reader")
    with with_realm.anonymous() as client:
        address = "/odata/v1/Products"
        assert client.get(address, headers={"Authorization": f"Bearer {token}"}).status_code == 200
        assert client.get(address, headers={"OAUTH2-ACCESS-TOKEN": token}).status_code == 200
        assert client.get(address, auth=("reader", PASSWORD)).status_code == 200
        assert client.get(address, auth=("reader", "wrong")).status_code == 401
        assert client.get(address, headers={"Authorization": "Bearer x.y.z"}).status_code == 401
        assert client.get(address, headers={"Authorization": f"Bearer {keycloak.token('nobody')}"}).status_code == 403


def test_who_may_do_what(prip: Prip, engine: Engine, store: ObjectStore) -> None:
    value = stored(engine, store, "S1A_X.EOF", b"x")
    timeline = "/operations/v1/products/S1A_X.EOF/timeline"
    addresses = ["/odata/v1/", "/odata/v1/$metadata", "/odata/v1/Products", value, timeline]
    for roles, codes in {
        (): [403] * 5,
        ("prip-user",): [200, 200, 200, 200, 403],
        ("prip-s1",): [200, 200, 200, 200, 403],
        ("prip-s2",): [200, 200, 200, 404, 403],
        ("operator",): [403, 403, 403, 403, 200],
        ("prip-user", "operator"): [200] * 5,
    }.items():
        with prip.client("somebody", roles) as client:
            assert [client.get(address).status_code for address in addresses] == codes, roles
    with prip.anonymous() as client:
        answers = [client.get(address) for address in addresses]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert all("Bearer" in answer.headers["WWW-Authenticate"] for answer in answers)


def test_other_collections_do_not_exist(prip: Prip, five: list[str]) -> None:
    with prip.client() as client:
        ids = {each["Name"]: each["Id"] for each in client.get("/odata/v1/Products").json()["value"]}
    with prip.client("partner", ("prip-s2", "prip-s3")) as client:
        assert found(client, "Online eq true") == five[2:4]
        assert found(client, "Online eq true or Collection/Name eq 'SENTINEL-1'") == five[2:4]
        assert client.get("/odata/v1/Products/$count").text == "2"
        assert client.get("/odata/v1/Products?$count=true").json()["@odata.count"] == 2
        names = {"FilterProducts": [{"Name": name} for name in five]}
        action = client.post("/odata/v1/Products/OData.CSC.FilterList?$count=true", json=names).json()
        assert action["@odata.count"] == 2
        parts = ("", "/$value", "/Attributes", "/Quicklooks", "/Quicklooks('x')/$value")
        assert {client.get(f"/odata/v1/Products({ids[five[0]]}){part}").status_code for part in parts} == {404}
        assert client.get(f"/odata/v1/Products({ids[five[2]]})").status_code == 200

"""The client of a long-term archive, with orders in memory and in PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.means.lta import Lta

from refsys.services.common.families import Family
from refsys.services.ingestion.errors import ContentError, NotOnlineError, StationBusyError, StationError
from refsys.services.ingestion.orders import DatabaseOrders, Orders
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources import open_source, resume
from refsys.services.ingestion.sources.lta import LtaSource
from refsys.services.ingestion.stations import Inbox, LtaStation

INBOXES = [Inbox(match=r".*", family=Family.AUXILIARY_FILE, mission="S1")]
SIZE = 3_000_001


class MemoryOrders:
    """Orders as long as the test lasts."""

    def __init__(self) -> None:
        self.ids: dict[tuple[str, str], str] = {}

    def get(self, station: str, product_id: str) -> str | None:
        return self.ids.get((station, product_id))

    def put(self, station: str, product_id: str, order_id: str | None) -> None:
        if order_id is None:
            self.ids.pop((station, product_id), None)
        else:
            self.ids[station, product_id] = order_id


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "WAIT_SECONDS", 0.05)


@pytest.fixture
def means(tmp_path: Path) -> Iterator[Lta]:
    folder = tmp_path / "archive"
    folder.mkdir()
    for number in range(5):
        (folder / f"product-{number}").write_bytes(os.urandom(SIZE))
    with Lta(folder) as means:
        yield means


@pytest.fixture
def orders() -> MemoryOrders:
    return MemoryOrders()


Open = Callable[..., LtaSource]


@pytest.fixture
def source(means: Lta, orders: MemoryOrders, tmp_path: Path) -> Iterator[Open]:
    password = tmp_path / "password"
    password.write_text(means.password)
    opened: list[LtaSource] = []

    def make(kept: Orders = orders, **changes: object) -> LtaSource:
        values = {
            "name": "LTA",
            "url": means.url,
            "token_url": means.token_url,
            "client_id": means.client_id,
            "username": means.username,
            "password_file": password,
            "inboxes": INBOXES,
            "page_size": 2,
        }
        client = open_source(LtaStation.model_validate(values | changes), kept)
        assert isinstance(client, LtaSource)
        opened.append(client)
        return client

    yield make
    for each in opened:
        each.close()


def by_name(source: LtaSource, since: datetime | None = None) -> dict[str, ListedFile]:
    return {file.name: file for page in source.listed(since) for file in page}


def read(source: LtaSource, file: ListedFile) -> bytes:
    return b"".join(source.content(file))


def posted(means: Lta) -> list[str]:
    return [path for path in means.requests if path.endswith("OData.CSC.Order")]


@pytest.mark.parametrize("next_link", [True, False])
def test_products_are_listed_in_pages_whether_online_or_not(means: Lta, source: Open, next_link: bool) -> None:
    means.next_link = next_link
    listed = by_name(source())
    assert set(listed) == {f"product-{number}" for number in range(5)}
    assert {item.algorithm for item in listed["product-0"].checksums} == {"MD5", "SHA-256"}
    assert max(len(page) for page in source().listed(None)) == 2
    last = max(file.publication_date for file in listed.values())
    assert len(by_name(source(), last)) == 1
    assert by_name(source(), last + timedelta(milliseconds=1)) == {}
    means.forget_tokens()
    assert len(by_name(source())) == 5


def test_an_offline_product_is_ordered_once_and_fetched_when_it_is_there(
    means: Lta, source: Open, orders: MemoryOrders
) -> None:
    means.polls = 3
    client = source()
    file = by_name(client)["product-1"]
    with pytest.raises(NotOnlineError, match="offline, order"):
        read(client, file)
    for status in ("in_progress", "in_progress"):
        with pytest.raises(NotOnlineError, match=status):
            read(source(), file)  # as after a restart
    assert read(source(), file) == (means.folder / "product-1").read_bytes()
    assert len(posted(means)) == 1
    assert orders.ids == {}
    assert read(client, file) == (means.folder / "product-1").read_bytes()  # online now: nothing to order
    assert len(posted(means)) == 1


def test_a_refused_download_means_waiting(means: Lta, source: Open, orders: MemoryOrders) -> None:
    means.polls = None
    client = source()
    file = by_name(client)["product-0"]
    with pytest.raises(NotOnlineError):
        read(client, file)
    order = means.orders[orders.ids["LTA", file.id]]
    order.status, order.product = "completed", "something else"  # completed, yet $value answers 403
    with pytest.raises(NotOnlineError, match="not online yet"):
        read(client, file)
    order.product = file.id
    assert read(client, file) == (means.folder / "product-0").read_bytes()
    assert len(posted(means)) == 1


@pytest.mark.parametrize("gone", ["forgotten", "evicted"])
def test_an_order_that_is_gone_is_made_again(means: Lta, source: Open, gone: str) -> None:
    client = source()
    file = by_name(client)["product-0"]
    with pytest.raises(NotOnlineError):
        read(client, file)
    order = next(iter(means.orders.values()))
    if gone == "forgotten":
        means.orders.clear()
    else:
        order.status, order.evicted = "completed", datetime.now(UTC) - timedelta(hours=1)
    with pytest.raises(NotOnlineError, match="offline, order"):
        read(client, file)
    assert len(posted(means)) == 2


def test_a_failed_order_is_an_error_and_made_again_later(means: Lta, source: Open) -> None:
    client = source()
    file = by_name(client)["product-0"]
    with pytest.raises(NotOnlineError):
        read(client, file)
    order = next(iter(means.orders.values()))
    order.status, order.message = "failed", "tape is broken"
    with pytest.raises(StationError, match="tape is broken") as raised:
        read(client, file)
    assert not isinstance(raised.value, StationBusyError)
    with pytest.raises(NotOnlineError, match="offline, order"):
        read(client, file)
    assert len(posted(means)) == 2


def test_cut_downloads_are_resumed(means: Lta, source: Open) -> None:
    client = source()
    file = by_name(client)["product-2"]
    with pytest.raises(NotOnlineError):
        read(client, file)
    next(iter(means.orders.values())).status = "completed"
    means.faults.cuts = 0.5
    assert read(client, file) == (means.folder / "product-2").read_bytes()
    means.faults.cuts, means.faults.ignore_range = 0.5, True
    assert read(client, file) == (means.folder / "product-2").read_bytes()
    with pytest.raises(ContentError):
        read(client, file.model_copy(update={"size": SIZE + 1}))


@pytest.mark.parametrize(("code", "kind"), [(503, StationBusyError), (429, StationBusyError), (404, StationError)])
def test_faults_of_the_archive(means: Lta, source: Open, code: int, kind: type[StationError]) -> None:
    client = source()
    file = by_name(client)["product-0"]
    means.error_code = code
    with pytest.raises(kind, match=f"HTTP {code}") as raised:
        read(client, file)
    assert type(raised.value) is kind
    assert posted(means) == []


def test_an_id_that_leads_elsewhere_is_not_asked_for(means: Lta, source: Open) -> None:
    file = ListedFile(id="x)/../../token?(", name="x", size=1, publication_date=datetime.now(UTC))
    with pytest.raises(StationError, match="no Id"):
        read(source(), file)
    assert means.requests == []


def test_wrong_credentials_and_no_answer(means: Lta, source: Open, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")
    with pytest.raises(StationError, match="check client_id and credentials"):
        by_name(source(password_file=tmp_path / "wrong"))
    means.faults.down = True
    with pytest.raises(StationBusyError):
        by_name(source())


def test_orders_are_kept_in_the_database(means: Lta, source: Open, engine: Engine) -> None:
    kept = DatabaseOrders(engine)
    assert kept.get("LTA", "x") is None
    kept.put("LTA", "x", "1")
    kept.put("LTA", "x", "2")
    assert kept.get("LTA", "x") == "2"
    assert kept.get("other", "x") is None
    kept.put("LTA", "x", None)
    kept.put("LTA", "x", None)
    assert kept.get("LTA", "x") is None
    client = source(kept)
    file = by_name(client)["product-1"]
    with pytest.raises(NotOnlineError):
        read(client, file)
    order = next(iter(means.orders))
    assert kept.get("LTA", file.id) == order
    means.orders[order].status = "completed"
    assert read(source(DatabaseOrders(engine)), file) == (means.folder / "product-1").read_bytes()
    assert kept.get("LTA", file.id) is None

"""Client of a long-term archive (reference-system.md §3.4): OData as a PRIP, with products that must be ordered."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import AwareDatetime

from refsys.services.common.logs import get_logger
from refsys.services.common.messages import utc_now
from refsys.services.common.names import shown
from refsys.services.ingestion.errors import NotOnlineError, StationError
from refsys.services.ingestion.orders import Orders
from refsys.services.ingestion.session import Guid, Row
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.auxip import Product, published
from refsys.services.ingestion.sources.http import ForbiddenError
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.ingestion.stations import LtaStation

_COMPLETED = "completed"
_FAILED = ("failed", "cancelled", "canceled")

log = get_logger()


class _Availability(Row):
    online: bool = False


class _Order(Row):
    id: Guid
    status: str
    status_message: str | None = None
    eviction_date: AwareDatetime | None = None


class LtaSource:
    """One archive. A product that is offline is ordered once; `orders` remembers that beyond restarts."""

    def __init__(self, station: LtaStation, orders: Orders) -> None:
        """Nothing is requested before the first use."""
        self.station = station
        self._orders = orders
        self._client = ODataClient(station)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of products with PublicationDate at or after `since`, oldest first, online or not."""
        for page in self._client.pages("Products", published(self.station.start(since)), Product):
            yield [product.listed() for product in page]

    def named(self, name: str) -> ListedFile | None:
        """The product of a name, online or not; the newest, should there be several."""
        text = name.replace("'", "''")
        query = {"$filter": f"Name eq '{text}'", "$orderby": "PublicationDate asc"}
        rows = [row for page in self._client.pages("Products", query, Product) for row in page if row.name == name]
        return rows[-1].listed() if rows else None

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a product; `NotOnlineError` as long as the archive has not brought it online.

        Nothing waits here: whoever gets the error asks again later.
        """
        identifier = self._known(file.id)
        order = self._orders.get(self.station.name, identifier)
        if order is not None:
            self._follow(identifier, order)
        elif not self._client.entity(f"Products({identifier})", {}, _Availability).online:
            self._order(identifier)
        try:
            yield from self._client.content(f"Products({identifier})/$value", file.size)
            if order is not None:
                self._orders.put(self.station.name, identifier, None)
        except ForbiddenError as error:
            if order is None:
                self._order(identifier)
            raise NotOnlineError(f"station {self.station.name}: {file.id} is not online yet: {error}") from None

    def _follow(self, product: str, order: str) -> None:
        """Return when an order is completed; otherwise raise what that means."""
        name = self.station.name
        query = {"$filter": f"Id eq {order}", "$count": "true"}
        rows = (row for page in self._client.pages("Orders", query, _Order) for row in page)
        found = next((row for row in rows if row.id == order), None)
        if found is None or (found.eviction_date and found.eviction_date < utc_now()):
            log.warning("order is gone, ordering again", station=name, product=product, order=order)
            self._order(product)
        elif found.status.lower() in _FAILED:
            self._orders.put(name, product, None)
            reason = shown(found.status_message or "no reason given")
            raise StationError(f"station {name}: order {order} of {product} is {shown(found.status)}: {reason}")
        elif found.status.lower() != _COMPLETED:
            raise NotOnlineError(f"station {name}: order {order} of {product} is {shown(found.status)}")

    def _order(self, product: str) -> None:
        """Order a product; always raises `NotOnlineError`, once the order is remembered."""
        name = self.station.name
        order = self._client.post(f"Products({product})/OData.CSC.Order", _Order)
        self._orders.put(name, product, order.id)
        log.info("product ordered", station=name, product=product, order=order.id)
        raise NotOnlineError(f"station {name}: {product} is offline, order {order.id} made")

    def _known(self, identifier: str) -> str:
        if not identifier.isascii() or not identifier.replace("-", "").isalnum() or len(identifier) > 64:
            raise StationError(f"station {self.station.name}: {shown(identifier)} is no Id of a product")
        return identifier

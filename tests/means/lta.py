"""A long-term archive: a station whose products are offline until they are ordered (reference-system.md §3.4).

python -m tests.means.lta FOLDER --port 8443 --certificate server.pem --key server.key
"""

import re
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.means.station import PATH, Handler, Station, _date, _product, main

_ID = r"\(([0-9a-f-]{36})\)"


@dataclass
class Order:
    """An order; the status is changed by tests or, with `Lta.polls`, by looking at it."""

    product: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "queued"
    message: str = ""
    looks: int = 0
    submitted: datetime = field(default_factory=lambda: datetime.now(UTC))
    evicted: datetime = field(default_factory=lambda: datetime.now(UTC) + timedelta(days=3))


class Lta(Station):
    """The archive; `polls` is after how many looks at an order it is completed, None for never by itself."""

    def __init__(self, folder: Path, *, polls: int | None = 2, **options: Any) -> None:
        """As a station; all products are offline."""
        super().__init__(folder, **options)
        self.polls = polls
        self.orders: dict[str, Order] = {}
        self.error_code = 0  # answered to everything but tokens, if set

    @classmethod
    def handler(cls) -> type[Handler]:
        """What answers the requests."""
        return _LtaHandler

    def online(self, product: str) -> bool:
        """Whether an order of a product is completed."""
        return any(order.product == product and order.status == "completed" for order in self.orders.values())


class _LtaHandler(Handler):
    station: ClassVar[Lta]

    def do_POST(self) -> None:  # noqa: N802  # name given by the base class
        found = re.fullmatch(rf"{PATH}/Products{_ID}/OData\.CSC\.Order", self.path)
        if not found:
            super().do_POST()
            return
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.station.requests.append(self.path)
        if not self._may():
            return
        if self.station.entry(found[1]) is None:
            self._json(404, {"error": {"code": "404", "message": "no such product"}})
            return
        order = Order(found[1])
        self.station.orders[order.id] = order
        self._json(201, {"@odata.context": "$metadata#OData.CSC.Order", **_row(order)})

    def do_GET(self) -> None:  # noqa: N802  # name given by the base class
        station, address = self.station, urlsplit(self.path)
        time.sleep(station.faults.slow_seconds)
        if address.path == f"{PATH}/Orders":
            station.requests.append(self.path)
            if self._may():
                self._orders(parse_qs(address.query).get("$filter", [""])[0])
        elif found := re.fullmatch(rf"{PATH}/Products{_ID}(/\$value)?", address.path):
            entry = station.entry(found[1])
            if found[2] and station.online(found[1]):
                super().do_GET()
                return
            station.requests.append(self.path)
            if not self._may():
                return
            if entry is None:
                self._json(404, {"error": {"code": "404", "message": "no such product"}})
            elif found[2]:
                self._json(403, {"error": {"code": "403", "message": "product is offline"}})
            else:
                self._json(200, _product(entry))
        else:
            super().do_GET()

    def _may(self) -> bool:
        if self.station.error_code:
            self._json(self.station.error_code, {"error": {"message": "fault on request"}})
            return False
        if not self.station.accepts(self.headers.get("Authorization", "").removeprefix("Bearer ")):
            self._json(401, {"error": {"message": "token missing or ended"}})
            return False
        return True

    def _orders(self, expression: str) -> None:
        found = re.fullmatch(r"Id eq ([0-9a-f-]{36})", expression)
        order = self.station.orders.get(found[1]) if found else None
        rows = []
        if order:
            order.looks += 1
            if self.station.polls is not None and order.status in ("queued", "in_progress"):
                order.status = "completed" if order.looks >= self.station.polls else "in_progress"
            rows = [_row(order)]
        self._json(200, {"@odata.context": "$metadata#Orders", "@odata.count": len(rows), "value": rows})

    def _json(self, status: int, body: dict[str, Any]) -> None:
        rows = [body] if "ContentLength" in body else body.get("value", [])
        for row in rows:
            if "ContentLength" in row:
                row["Online"] = self.station.online(row["Id"])
        super()._json(status, body)


def _row(order: Order) -> dict[str, Any]:
    return {
        "Id": order.id,
        "Status": order.status,
        "StatusMessage": order.message,
        "OrderSize": 1,
        "SubmissionDate": _date(order.submitted),
        "EstimatedDate": None,
        "CompletedDate": _date(datetime.now(UTC)) if order.status == "completed" else None,
        "EvictionDate": _date(order.evicted) if order.status == "completed" else None,
        "Priority": 1,
        "NotificationEndpoint": None,
        "NotificationEpUsername": None,
        "NotificationEpPassword": None,
    }


if __name__ == "__main__":
    main(Lta)

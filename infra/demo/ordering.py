"""A product made to order: placed once for a session, however often the demo runs."""

from refsys.infra.demo.content import Session
from refsys.infra.errors import UserError
from refsys.infra.orders import GOOD, OPEN, Order, Orders

PROCESS = "s3-l0.S3_L0"


class Ordering:
    """An order, from when it is placed until its products are in the PRIP."""

    total = 2

    def __init__(self, orders: Orders, session: Session, product: str) -> None:
        """Place it for the session that `product`, one of its files in the catalogue, belongs to."""
        self._orders = orders
        placed, key = None, f"demo {session.id}"
        # One that failed is not to be had again by its key.
        while placed is None or placed["status"] not in (*OPEN, GOOD):
            key = key if placed is None else f"demo {session.id} after {placed['jobID']}"
            placed = orders.place(PROCESS, {"products": [product]}, key)
        self.order: Order = placed
        self.title = f"order {placed['jobID']} of {PROCESS} for {session.id}"

    def look(self) -> int:
        """See how far it is.

        Raises:
            UserError: it failed.
        """
        self.order = self._orders.order(self.order["jobID"])
        if self.order["status"] in OPEN:
            return 0
        if self.order["status"] != GOOD:
            raise UserError(
                f"order {self.order['jobID']} is {self.order['status']}: {self.order['message']}",
                fix=f"./refsys order show {self.order['jobID']}",
            )
        return 1 + all("/odata/v1/Products(" in href for href in self.results())

    def note(self) -> str:
        """How far it is."""
        return f"{self.order['status']}, {self.order['progress']} %: {self.order['message']}"

    def late(self) -> UserError:
        """What is missing, and what to do."""
        return UserError(
            f"order {self.order['jobID']}: {self.note()}", fix=f"./refsys order show {self.order['jobID']}"
        )

    def results(self) -> list[str]:
        """Where its products are."""
        return [product["href"] for job in self.order["jobs"] for product in job["products"]]

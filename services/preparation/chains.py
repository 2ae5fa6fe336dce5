"""The chains that run: those of the distribution, and those that operators added to the database."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import Gauge
from sqlalchemy import Engine, func, select

from refsys.services.common import logs
from refsys.services.common.database import autocommit
from refsys.services.production.chains import Chain
from refsys.services.production.check import ChainError, cycle, read_chain
from refsys.services.production.shelf import Shelf, shipped
from refsys.services.production.tables import AddedChain

WRONG = Gauge("refsys_production_chains_wrong", "Added chains that can't be used")

log = logs.get_logger()


class Chains:
    """Keeps a shelf of chains up to date."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is read before `changed` is asked."""
        self._engine = engine
        self._version: tuple[Any, ...] | None = None

    @property
    def known(self) -> bool:
        """Whether the database was asked."""
        return self._version is not None

    def changed(self) -> Shelf | None:
        """The shelf, if it is another one than the last time."""
        with autocommit(self._engine) as connection:
            version = tuple(connection.execute(select(func.count(), func.max(AddedChain.added))).one())
            if version == self._version:
                return None
            rows = connection.execute(select(AddedChain.name, AddedChain.document)).all()
        self._version = version
        return Shelf(together({row.name: row.document for row in rows}))


def together(added: Mapping[str, str]) -> dict[str, Chain]:
    """The chains of the distribution and the added ones; one that is wrong is told of and left out."""
    chains, wrong = dict(shipped()), 0
    for name, document in sorted(added.items()):
        try:
            chain = read_chain(document)
        except ChainError as error:
            reason = str(error)
        else:
            way = cycle([*(each for each in chains.values() if each.name != name), chain])
            reason = "makes itself for ever: " + " -> ".join(way) if way else ""
            if not way:
                chains[name] = chain
        if reason:
            wrong += 1
            log.error("added chain can't be used", chain=name, reason=reason[:2000])
    WRONG.set(wrong)
    return chains

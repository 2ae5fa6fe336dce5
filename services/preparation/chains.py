"""The chains that run: those of the distribution, and those that operators added to the database."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Engine, func, select

from refsys.services.common import logs
from refsys.services.common.database import autocommit
from refsys.services.production.chains import Chain
from refsys.services.production.check import ChainError, cycle, read_chain
from refsys.services.production.shelf import Shelf, shipped
from refsys.services.production.tables import AddedChain

log = logs.get_logger()


class Chains:
    """Keeps a shelf of chains up to date."""

    def __init__(self, engine: Engine) -> None:
        """Nothing is read before `changed` is asked."""
        self._engine = engine
        self._version: tuple[Any, ...] | None = None
        self.wrong: dict[str, str] = {}
        """Added chains that can't be used, and why."""

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
            chains, self.wrong = together(added(connection))
        self._version = version
        for name, reason in self.wrong.items():
            log.error("added chain can't be used", chain=name, reason=reason[:2000])
        return Shelf(chains)


def added(connection: Connection) -> dict[str, str]:
    """The documents of the added chains, by name."""
    rows = connection.execute(select(AddedChain.name, AddedChain.document)).all()
    return {row.name: row.document for row in rows}


def together(documents: Mapping[str, str]) -> tuple[dict[str, Chain], dict[str, str]]:
    """The chains of the distribution and the added ones, and why others are left out."""
    chains, wrong = dict(shipped()), {}
    for name, document in sorted(documents.items()):
        try:
            chain = read_chain(document)
        except ChainError as error:
            wrong[name] = str(error)
            continue
        if way := cycle([*(each for each in chains.values() if each.name != name), chain]):
            wrong[name] = "makes itself for ever: " + " -> ".join(way)
        else:
            chains[name] = chain
    return chains, wrong

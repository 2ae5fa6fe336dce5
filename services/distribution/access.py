"""Who may see which products: realm roles, and the collections that each opens.

The role `prip-user` opens all. Others open collections; without a settings file these are `prip-s1`, `prip-s2`
and `prip-s3`, each for its mission.
"""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated

import yaml
from fastapi import Depends, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import false, or_
from sqlalchemy.sql.elements import ColumnElement

from refsys.services.common.families import BUCKETS, ZIP, Family
from refsys.services.common.settings import SettingsError
from refsys.services.distribution.auth import USER, Authenticator, Identity
from refsys.services.distribution.model import product
from refsys.services.distribution.odata.errors import ODataError
from refsys.services.distribution.quotas import Quotas
from refsys.services.distribution.repository import Products


class Collections(BaseModel):
    """What a role opens: every product of some missions, every product of some families."""

    model_config = ConfigDict(extra="forbid")

    missions: list[Annotated[str, Field(pattern=r"^S\d$")]] = []
    families: list[Family] = []

    def condition(self) -> ColumnElement[bool]:
        """Return the products that are in one of the collections, as they are or as archives."""
        buckets = [BUCKETS[name] for family in self.families for name in (family, family + ZIP)]
        return or_(product.c.mission.in_(self.missions), product.c.bucket.in_(buckets))


Roles = Mapping[str, Collections]
DEFAULT: Roles = {f"prip-s{number}": Collections(missions=[f"S{number}"]) for number in (1, 2, 3)}


def read_roles(path: Path | None) -> Roles:
    """Read which collections each role opens; raises `SettingsError` for a file that is wrong."""
    if path is None:
        return DEFAULT
    try:
        return TypeAdapter(dict[str, Collections]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, ValidationError, OSError) as error:
        raise SettingsError(
            f"REFSYS_PRIP_COLLECTIONS_FILE {path} is wrong: {error}; "
            "it maps role names to `missions: [S1]` and `families: [AUXILIARY_FILE]`"
        ) from None


def opening(identity: Identity, roles: Roles) -> list[str]:
    """Return those roles of a caller that open products, in the order of their names."""
    return sorted(identity.roles & {USER, *roles})


def opened(names: Collection[str], roles: Roles) -> ColumnElement[bool] | None:
    """Return the condition on products that roles of these names open together; None is all."""
    if USER in names:
        return None
    return or_(false(), *(collections.condition() for role, collections in roles.items() if role in names))


def visible(identity: Identity, roles: Roles) -> ColumnElement[bool] | None:
    """Return the condition on products that a caller may see; None is all.

    Raises:
        ODataError: 403 if no role of the caller opens anything.
    """
    names = opening(identity, roles)
    if not names:
        known = ", ".join((USER, *roles))
        message = f"user {identity.name} has none of the roles {known}: ask the operator for one"
        raise ODataError(403, "Forbidden", message)
    return opened(names, roles)


async def identified(request: Request) -> Identity:
    """Return the verified caller, whatever he may do (dependency of an end point)."""
    authenticator: Authenticator = request.app.state.authenticator
    identity = await authenticator.identify(request)
    request.state.user = identity.name
    return identity


Identified = Annotated[Identity, Depends(identified)]


async def caller(request: Request, identity: Identified) -> Identity:
    """Return the caller, who may read some products and has requests left (dependency of an end point)."""
    quotas: Quotas = request.app.state.quotas
    request.state.visible = visible(identity, request.app.state.roles)
    await run_in_threadpool(quotas.count_request, identity.name)
    return identity


Caller = Annotated[Identity, Depends(caller)]


def products(request: Request, _: Caller) -> Products:
    """Return the published products as the caller sees them (dependency of an end point)."""
    everything: Products = request.app.state.products
    return everything.seen_by(request.state.visible)


Published = Annotated[Products, Depends(products)]

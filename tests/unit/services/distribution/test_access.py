"""Which products a role opens."""

from pathlib import Path

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from refsys.services.common.settings import SettingsError
from refsys.services.distribution.access import DEFAULT, Roles, read_roles, visible
from refsys.services.distribution.auth import Identity
from refsys.services.distribution.odata.errors import ODataError

DIALECT: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy gives it no types


def opened(roles: Roles, *held: str) -> str | None:
    condition = visible(Identity("somebody", frozenset(held), 0), roles)
    if condition is None:
        return None
    shown = condition.compile(dialect=DIALECT, compile_kwargs={"literal_binds": True})
    return str(shown).replace("distribution.product.", "")


def test_prip_user_sees_everything() -> None:
    assert opened(DEFAULT, "prip-user", "prip-s1") is None


def test_roles_add_up() -> None:
    shown = opened(DEFAULT, "prip-s1", "prip-s3", "operator")
    assert shown is not None
    assert "'S1'" in shown
    assert "'S3'" in shown
    assert "'S2'" not in shown


def test_nobody_sees_nothing() -> None:
    with pytest.raises(ODataError) as caught:
        opened(DEFAULT, "operator")
    assert caught.value.status == 403


def test_file(tmp_path: Path) -> None:
    file = tmp_path / "collections.yaml"
    file.write_text("aux-only: {families: [AUXILIARY_FILE, S2_AUX]}\n")
    buckets = "'rs-s1-aux', 'rs-s1-aux-zip', 'rs-s2-aux', 'rs-s2-aux-zip'"
    assert f"bucket IN ({buckets})" in (opened(read_roles(file), "aux-only") or "")


@pytest.mark.parametrize("text", ["- x", "a: {missions: [X1]}", "a: {families: [NONE]}", "a: {other: 1}", "{", "5"])
def test_wrong_file(tmp_path: Path, text: str) -> None:
    file = tmp_path / "collections.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError, match="REFSYS_PRIP_COLLECTIONS_FILE"):
        read_roles(file)

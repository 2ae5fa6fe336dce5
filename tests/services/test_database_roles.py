"""What the database roles of services may do, as an environment makes them: grants of platform and migrations."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast
from uuid import UUID

import pytest
from sqlalchemy import Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError
from tests.means.postgresql import BINARIES, USER, PostgreSQL, postgresql
from tests.services.preparing import ENABLED, SLICE, Catalogued, NoMasks, job
from tests.services.published import event

from refsys.platform.components.postgresql_config import DATABASE, OWNER, ROLES, USERS, roles_sql
from refsys.services.catalogue.tables import Product as Catalogue
from refsys.services.common.database import open_database
from refsys.services.common.settings import DatabaseSettings, OnDemandSettings
from refsys.services.distribution.auth import Identity
from refsys.services.distribution.deletion import delete_product
from refsys.services.distribution.delivery import orders, recalls
from refsys.services.distribution.delivery.endpoints import Endpoints
from refsys.services.distribution.delivery.guard import Guard
from refsys.services.distribution.delivery.model import deleted_product, endpoint, product_order
from refsys.services.distribution.delivery.secrets import Cipher
from refsys.services.distribution.model import product
from refsys.services.distribution.publisher import publish
from refsys.services.jobs.control import control
from refsys.services.kpi.ledger import forget_old
from refsys.services.kpi.service import sweep
from refsys.services.kpi.tables import invalidation
from refsys.services.kpi.tables import product as kpi_product
from refsys.services.migrations.upgrade import upgrade
from refsys.services.ondemand.documents import Addresses
from refsys.services.ondemand.inputs import Execute
from refsys.services.ondemand.orders import Orders
from refsys.services.ondemand.telling import tell
from refsys.services.preparation.coverage import Masks
from refsys.services.preparation.preparation import Preparation
from refsys.services.production.drmaa import Action
from refsys.services.production.tables import AddedChain

ORDERED = SLICE.replace("AB12", "AB13")
NAME = "S1A_OPER_AUX_RESORB.EOF"
As = Callable[[str], Engine]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """A server of its own, as an environment has it: roles cannot be taken back from the tests' common one."""
    with postgresql(tmp_path_factory.mktemp("roles") / "server") as server:
        yield server


def apply(server: PostgreSQL, folder: Path, applications: Sequence[str] = ()) -> None:
    """Run the script of the roles, as the job does."""
    script = folder / "roles.sql"
    script.write_text(roles_sql(str(folder), applications))
    command = [
        str(BINARIES / "psql"), "-h", "127.0.0.1", "-p", str(server.port), "-U", USER, "-d", "postgres", "-qf",
        str(script),
    ]  # fmt: skip
    environment = os.environ | {"PGPASSWORD": server.password_file.read_text()}
    subprocess.run(command, check=True, capture_output=True, env=environment)


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("passwords")
    for user in USERS:
        (folder / user).write_text(f"password of {user}")
    return folder


@pytest.fixture(scope="module")
def connect(server: PostgreSQL, passwords: Path) -> Iterator[As]:
    """Engines of users of the roles, as OpenBao makes them, on the migrated database."""
    apply(server, passwords)
    for role in ROLES:
        (passwords / role).write_text(f"v-{role}\npassword of {role}\n")
        server.run(f"CREATE ROLE \"v-{role}\" LOGIN PASSWORD 'password of {role}' IN ROLE {role}")
        server.run(f"ALTER ROLE \"v-{role}\" SET role = '{role}'")
    engines: dict[str, Engine] = {}

    def connect(role: str) -> Engine:
        if role not in engines:
            url = server.url(DATABASE).replace(f"//{USER}@", f"//{role}@")
            settings = DatabaseSettings(url=url, password_file=passwords / role)
            engines[role] = open_database(settings, "tests")
        return engines[role]

    upgrade(connect(OWNER))
    yield connect
    for engine in engines.values():
        engine.dispose()


@pytest.fixture
def ordered(connect: As) -> UUID:
    """The Id of a published product that is offline and ordered."""
    given = event(NAME, b"content")
    publish(connect("publisher"), given)
    with connect("lifecycle").begin() as connection:
        connection.execute(update(product).values(online=False))
    with connect("prip").begin() as connection:
        row = connection.execute(select(product)).mappings().one()
        orders.place(connection, "u", row, 1)
    return given.product_id


def test_the_ingestion_serves_recalls_and_changes_no_product(connect: As, ordered: UUID) -> None:
    engine = connect("ingestion")
    claimed = recalls.claim(engine)
    assert claimed is not None
    recalls.assign(engine, claimed["id"], "LTA", "1")
    assert recalls.fail(engine, claimed["id"], "none has it")
    for table in (product, deleted_product):
        with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
            connection.execute(select(table.c.id))


def test_the_search_deletes_products_and_changes_none(connect: As, ordered: UUID) -> None:
    engine = connect("metadata_search")
    with engine.begin() as connection:
        assert delete_product(connection, ordered, "Deleted by an operator")
    with connect("prip").connect() as connection:
        assert connection.execute(select(deleted_product.c.name)).scalar_one() == NAME
        assert connection.execute(select(func.count()).select_from(product_order)).scalar_one() >= 1
    with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
        connection.execute(update(product).values(online=True))


def test_operators_invalidate_and_change_no_figure(connect: As) -> None:
    values = {"responsibility": "E2E", "root_cause": "storm", "operator_name": "olga"}
    with connect("operations").begin() as connection:
        number = connection.execute(insert(invalidation).values(values).returning(invalidation.c.id)).scalar_one()
        connection.execute(delete(invalidation).where(invalidation.c.id == number))
        assert connection.execute(select(func.count()).select_from(kpi_product)).scalar_one() == 0
    with pytest.raises(ProgrammingError, match="permission denied"), connect("operations").begin() as connection:
        connection.execute(delete(kpi_product))


def test_the_kpis_are_made_of_what_others_wrote(connect: As) -> None:
    engine = connect("kpi")
    assert sweep(engine, [], timedelta(days=1)) == 0
    forget_old(engine)
    with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
        connection.execute(delete(product))


def test_production_looks_at_the_catalogue_and_changes_only_its_jobs(connect: As) -> None:
    preparing = Preparation(connect("preparation"), ENABLED, cast(Masks, NoMasks()), {})
    taken = Catalogued(connect("catalogue"), preparing).come(SLICE, "L0_SLICE", timeliness="NRT")
    for action in (Action.HOLD, Action.TERMINATE, Action.RESTART):
        control(connect("operations"), job(connect("preparation"))["id"], action, "olga")
    assert job(connect("preparation"))["attempt"] == 1
    with pytest.raises(ProgrammingError, match="permission denied"), connect("preparation").begin() as connection:
        connection.execute(delete(Catalogue).where(Catalogue.name == taken.key_object_storage))


def test_orders_make_and_end_jobs_and_change_nothing_else(connect: As, tmp_path: Path) -> None:
    Catalogued(connect("catalogue"), cast(Preparation, None)).add(ORDERED, "L0_SLICE")
    key = tmp_path / "key"
    key.write_text("a-secret-of-at-least-twenty-four-characters")
    engine, anna = connect("ondemand"), Identity("anna", frozenset({"ondemand-user"}), 0)
    orders = Orders(engine, Endpoints(Cipher(key), Guard()), OnDemandSettings())
    offered = next(place for place in ENABLED.on_demand() if place.table.name == "IW_L1")
    asked = Execute.model_validate(
        {
            "inputs": {"products": ORDERED},
            "subscriber": {"successUri": "https://example.org/x", "failedUri": "https://example.org/x"},
        }
    )
    request, _ = orders.place(offered, asked, anna.name, None)
    orders.page(anna, None, 0, 10)
    orders.dismiss(request, anna)
    tell(orders.entities, Addresses("https://ondemand.example.org/ogc", "https://prip.example.org"))
    orders.forget_old()
    for statement in (delete(Catalogue), delete(product), delete(AddedChain), select(endpoint.c.secret)):
        with pytest.raises(ProgrammingError, match="permission denied"), engine.begin() as connection:
            connection.execute(statement)


def test_an_application_has_its_schema_alone_and_leaves_nothing(
    connect: As, server: PostgreSQL, passwords: Path
) -> None:
    for _ in range(2):  # a second run changes nothing
        apply(server, passwords, ["app_notes", "app_other"])
    (passwords / "app_notes").write_text("v-notes\npassword of notes\n")
    server.run("CREATE ROLE \"v-notes\" LOGIN PASSWORD 'password of notes' IN ROLE app_notes")
    server.run("ALTER ROLE \"v-notes\" SET role = 'app_notes'")
    url = server.url(DATABASE).replace(f"//{USER}@", "//app_notes@")
    joined = "&" if "?" in url else "?"
    settings = DatabaseSettings(
        url=f"{url}{joined}options=-csearch_path%3Dapp_notes%2Cpublic", password_file=passwords / "app_notes"
    )
    engine = open_database(settings, "tests")
    with engine.begin() as own:
        own.execute(text("CREATE TABLE note (words text)"))
        own.execute(text("INSERT INTO app_notes.note VALUES ('one')"))
    for refused in (
        "CREATE TABLE public.note (words text)",
        "CREATE TABLE app_other.note (words text)",
        "SELECT * FROM distribution.product",
        "CREATE SCHEMA mine",
    ):
        with engine.begin() as own, pytest.raises(ProgrammingError, match="permission denied"):
            own.execute(text(refused))
    apply(server, passwords, ["app_other"])
    engine.dispose()
    names = text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'app%' UNION SELECT nspname FROM pg_namespace")
    with connect(OWNER).begin() as owner:
        found = {name for name in owner.scalars(names) if name.startswith("app")}
    assert found == {"app_other", "applications"}
    apply(server, passwords)

"""The fixture `keycloak`, for test modules that say `pytest_plugins = ("tests.services.identity",)`."""

from collections.abc import Iterator

import pytest
from tests.services.keycloak import Keycloak, running


@pytest.fixture(scope="session")
def keycloak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keycloak]:
    """One Keycloak for all tests of the session."""
    with running(tmp_path_factory.mktemp("keycloak")) as server:
        yield server

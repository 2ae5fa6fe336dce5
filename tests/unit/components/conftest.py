"""What the tests of the components share."""

from pathlib import Path

import pytest
from tests.means.envoy import binary
from tests.unit.components.mocked_stack import Made, build


@pytest.fixture(scope="session")
def made() -> list[Made]:
    return build()


@pytest.fixture(scope="session")
def envoy() -> Path:
    """The gateway's real binary, from the wheel that its image is made of."""
    return binary()

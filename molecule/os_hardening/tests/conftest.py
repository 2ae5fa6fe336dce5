"""Ways into the hardened node."""

import pytest
from access import FOLDER, Way, variables
from testinfra.host import Host


@pytest.fixture
def address(host: Host) -> str:
    return str(host.ansible.get_variables()["ansible_host"])


@pytest.fixture
def controller(address: str) -> Way:
    return Way("root", variables()["ansible_ssh_private_key_file"], address)


@pytest.fixture
def break_glass(address: str) -> Way:
    return Way("breakglass", str(FOLDER / "break_glass"), address)

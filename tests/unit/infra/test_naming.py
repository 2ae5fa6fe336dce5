"""Names and addresses derived from an environment's name."""

import ipaddress
import json

import pytest

from refsys.infra import shell
from refsys.infra.clouds.local import naming
from refsys.infra.errors import UserError

RESERVED = {"pod range": "10.244.0.0/16", "service range": "10.96.0.0/12"}
NAMES = ["local", "t-one", "t-two", "ops", *(f"env-{number}" for number in range(200))]


def test_environments_do_not_share_names() -> None:
    assert len({naming.bridge(name) for name in NAMES}) == len(NAMES)
    assert len({naming.default_cidr(name) for name in NAMES}) > 0.95 * len(NAMES)


@pytest.mark.parametrize("name", NAMES[:20])
def test_derived_networks_keep_clear_of_the_cluster_ranges(name: str) -> None:
    assert len(naming.bridge(name)) <= 15
    for other in RESERVED.values():
        assert not ipaddress.ip_network(naming.default_cidr(name)).overlaps(ipaddress.ip_network(other))


@pytest.mark.parametrize(
    ("cidr", "words"),
    [("10.244.7.0/24", "pod range"), ("10.100.1.0/24", "service range"), ("192.168.77.0/24", "route 192.168.0.0/16")],
)
def test_an_overlap_is_refused(monkeypatch: pytest.MonkeyPatch, cidr: str, words: str) -> None:
    routes = [{"dst": "default", "dev": "eth0"}, {"dst": "192.168.0.0/16", "dev": "eth1"}]
    monkeypatch.setattr(shell, "run", lambda *_: json.dumps(routes))
    with pytest.raises(UserError, match=words):
        naming.check_cidr("local", cidr, RESERVED)


def test_the_own_bridge_is_no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [{"dst": "10.150.0.0/24", "dev": naming.bridge("local")}]
    monkeypatch.setattr(shell, "run", lambda *_: json.dumps(routes))
    naming.check_cidr("local", "10.150.0.0/24", RESERVED)

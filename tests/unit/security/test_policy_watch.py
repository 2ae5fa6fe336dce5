"""What the nodes' program makes of the counters of Calico's rules."""

from collections import Counter
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).parents[3] / "security/roles/policy_watch/files/refsys-policy-watch"

RULES = """\
*filter
:cali-fw-cali16b9be7ce8f - [0:0]
[9:700] -A cali-fw-cali16b9be7ce8f -p udp -m comment --comment "cali:Zv" -m comment --comment "Drop VXLAN" -j DROP
[12:1024] -A cali-fw-cali16b9be7ce8f -m comment --comment "cali:v6" -m comment --comment "Drop if no policies passed \
packet" -m mark --mark 0x0/0x20000 -j DROP
[2:120] -A cali-fw-cali16b9be7ce8f -m comment --comment "cali:gX" -m comment --comment "Drop if no profiles matched" \
-j DROP
[5:300] -A cali-tw-cali16b9be7ce8f -m comment --comment "cali:gX" -m comment --comment "Drop if no profiles matched" \
-j DROP
[77:999] -A cali-tw-cali16b9be7ce8f -m comment --comment "cali:ok" -j ACCEPT
"""


@pytest.fixture(scope="module")
def program() -> ModuleType:
    loader = SourceFileLoader("refsys_policy_watch", str(PROGRAM))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_refused_packets_are_counted_by_direction_and_interface(program: ModuleType) -> None:
    assert program.refused(RULES) == {("fw", "cali16b9be7ce8f"): 14, ("tw", "cali16b9be7ce8f"): 5}


def test_what_came_since_is_right_when_counters_begin_again(program: ModuleType) -> None:
    before = Counter({("fw", "cali1"): 14, ("fw", "cali2"): 14, ("tw", "cali1"): 3, ("tw", "gone"): 1})
    now = Counter({("fw", "cali1"): 15, ("fw", "cali2"): 2, ("tw", "cali1"): 3, ("tw", "new"): 4})
    assert program.since(before, now) == {("fw", "cali1"): 1, ("fw", "cali2"): 2, ("tw", "new"): 4}


def test_pods_are_known_by_their_interface_once_they_are_a_minute_old(program: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "processing_publisher-7c9_9f2b"
    folder.mkdir()
    made = folder.stat().st_ctime
    assert program.pods(tmp_path, made + 59) == {}
    assert program.pods(tmp_path, made + 60) == {"cali21c990023c2": "processing/publisher-7c9"}

"""What resources cost in a month, by a table of prices."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from refsys.infra.costs import Declared, PriceTable, Rates, monthly, prices_of
from refsys.infra.costs.table import FOLDER


@dataclass(frozen=True)
class Use:
    vcpu_hour: float = 0.02
    memory_gib_hour: float = 0.003
    volume_gib_month: float = 0.05


@dataclass(frozen=True)
class Described:
    cloud: str
    costs: Rates = field(default_factory=Rates)
    prices: Use = field(default_factory=Use)


OWN = Rates(
    servers={"S": 0.1},
    volumes={"default": 0.1, "fast": 0.2},
    load_balancers={"default": 0.02},
    gateways={"default": 0.01},
    address_hour=0.005,
    object_gb_month=0.01,
)


def _table(rates: Rates = OWN, *, cloud_disks: bool = True) -> PriceTable:
    return PriceTable(rates, Use(), "test", cloud_disks=cloud_disks)


def _costs(kind: str, inputs: dict[str, object], table: PriceTable | None = None) -> list[tuple[str, str, float]]:
    estimate = monthly([Declared(kind, "it", inputs)], table or _table())
    assert estimate.unpriced == ()
    return [(line.kind, line.what, round(line.eur, 4)) for line in estimate.lines]


def _claim(storage_class: str | None, size: str) -> dict[str, object]:
    return {"spec": {"storageClassName": storage_class, "resources": {"requests": {"storage": size}}}}


CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
NODE = "pulumi-python:dynamic/local:Node"


@pytest.mark.parametrize(
    ("kind", "inputs", "costs"),
    [
        ("openstack:compute/instance:Instance", {"flavorName": "S"}, [("nodes", "S", 73.0)]),
        ("openstack:compute/instance:Instance", {"flavorName": "SCS-4V-16"}, [("nodes", "SCS-4V-16", 93.44)]),
        ("openstack:compute/instance:Instance", {"flavorName": "SCS-2V-7.5-50"}, [("nodes", "SCS-2V-7.5-50", 45.625)]),
        (
            "openstack:compute/instance:Instance",
            {
                "flavorName": "S",
                "blockDevices": [
                    {"sourceType": "image", "destinationType": "volume", "volumeSize": 50, "volumeType": "fast"},
                    {"sourceType": "volume", "destinationType": "volume", "uuid": "priced by itself"},
                ],
            },
            [("nodes", "S", 73.0), ("volumes", "50 GB fast", 10.0)],
        ),
        ("openstack:blockstorage/volume:Volume", {"size": 2000}, [("volumes", "2000 GB", 200.0)]),
        ("openstack:blockstorage/volume:Volume", {"size": 10, "volumeType": "odd"}, [("volumes", "10 GB odd", 1.0)]),
        ("openstack:loadbalancer/loadBalancer:LoadBalancer", {}, [("load balancers", "load balancer", 14.6)]),
        ("openstack:networking/floatingIp:FloatingIp", {"pool": "x"}, [("addresses", "public address", 3.65)]),
        ("openstack:networking/router:Router", {"externalNetworkId": "e"}, [("gateways", "gateway", 7.3)]),
        ("openstack:networking/router:Router", {}, []),
        ("openstack:networking/network:Network", {}, []),
        ("scaleway:instance/server:Server", {"type": "S"}, [("nodes", "S", 73.0)]),
        (
            "scaleway:instance/server:Server",
            {"type": "S", "rootVolume": {"volumeType": "sbs_volume", "sizeInGb": 40, "sbsIops": 5000}},
            [("nodes", "S", 73.0), ("volumes", "40 GB sbs_5k", 4.0)],
        ),
        ("scaleway:block/volume:Volume", {"sizeInGb": 100, "iops": 15000}, [("volumes", "100 GB sbs_15k", 10.0)]),
        ("scaleway:network/publicGateway:PublicGateway", {"type": "VPC-GW-S"}, [("gateways", "VPC-GW-S", 7.3)]),
        ("scaleway:loadbalancers/ip:Ip", {}, [("addresses", "public address", 3.65)]),
        ("scaleway:loadbalancers/ip:Ip", {"isIpv6": True}, []),
        (
            "pulumi-python:dynamic/local:Node",
            {"cpus": 2, "memory_mib": 8192},
            [("nodes", "2 processors, 8 GiB", 46.72)],
        ),
        (CLAIM, _claim("local", "20Gi"), []),
        (CLAIM, _claim(None, "10G"), [("volumes", "10 GB", 1.0)]),
    ],
)
def test_each_type_is_charged_for_what_it_is(
    kind: str, inputs: dict[str, object], costs: list[tuple[str, str, float]]
) -> None:
    assert _costs(kind, inputs) == costs


def test_claims_cost_by_their_size_where_no_cloud_is_paid_for_disks() -> None:
    assert _costs(CLAIM, _claim("local", "512Mi"), _table(cloud_disks=False)) == [("volumes", "0.5 GiB", 0.025)]


def test_what_has_no_price_is_named_and_never_taken_for_free() -> None:
    resources = [
        Declared("scaleway:instance/server:Server", "w1", {"type": "HUGE"}),
        Declared("scaleway:instance/server:Server", "w2", {}),
        Declared("openstack:blockstorage/volume:Volume", "disk", {"size": {"unknown": "value"}}),
        Declared("scaleway:loadbalancers/ip:Ip", "address", {}),
    ]
    estimate = monthly(resources, _table(Rates()))
    assert estimate.total == 0
    assert estimate.unpriced == (
        "w1: no price of HUGE; set refsys:costs.servers",
        "w2: its type is not known yet",
        "disk: its size is not known yet",
        "address: no price of addresses; set refsys:costs.address_hour",
    )


def test_objects_cost_by_what_will_be_stored() -> None:
    estimate = monthly([Declared("scaleway:object/bucket:Bucket", "products", {})], _table())
    assert estimate.total == 0
    assert estimate.by_use == ("products: 0.01 EUR a GB and month of what is stored",)


def test_the_total_is_the_sum_of_its_kinds_the_dearest_first() -> None:
    resources = [
        Declared("scaleway:loadbalancers/ip:Ip", "address", {}),
        Declared("scaleway:instance/server:Server", "w1", {"type": "S"}),
        Declared("scaleway:instance/server:Server", "w2", {"type": "S"}),
    ]
    estimate = monthly(resources, _table())
    assert estimate.by_kind() == {"nodes": pytest.approx(146.0), "addresses": pytest.approx(3.65)}
    assert list(estimate.by_kind()) == ["nodes", "addresses"]
    assert estimate.total == pytest.approx(149.65)


def test_an_operators_price_takes_the_place_of_the_shipped_one_alone() -> None:
    shipped = prices_of(Described("scaleway"))
    own = prices_of(Described("scaleway", Rates(servers={"POP2-2C-8G": 0.06}, address_hour=0.0)))
    assert own.rates.servers == {**shipped.rates.servers, "POP2-2C-8G": 0.06}
    assert own.rates.address_hour == 0
    assert own.rates.volumes == shipped.rates.volumes
    assert own.source == f"{shipped.source} and refsys:costs"


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_shipped_tables_are_whole_and_say_where_they_come_from(file: Path) -> None:
    table = prices_of(Described(file.stem))
    assert all(getattr(table.rates, name) is not None for name in Rates.model_fields)
    assert table.rates.servers
    assert table.rates.volumes["default"] > 0
    assert "20" in table.source


def test_a_cloud_without_a_table_is_priced_by_what_is_used() -> None:
    table = prices_of(Described("local"))
    assert not table.cloud_disks
    assert table.source == "refsys:prices"

"""What each type of resource is charged for."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from refsys.infra.costs.table import DEFAULT, PriceTable

HOURS = 730
"""Of a month, as clouds count it."""
NODES, VOLUMES, BALANCERS, GATEWAYS, ADDRESSES = "nodes", "volumes", "load balancers", "gateways", "addresses"
BY_USE = "by use"

# https://docs.scs.community/standards/scs-0100-v3-flavor-naming: processors and GiB of memory are in the name.
_SCS_FLAVOUR = re.compile(r"SCS-(\d+)[CTVL]i?-(\d+(?:\.\d+)?)")
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([KMGT]i?)?")
_BYTES = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}

Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Charge:
    """One part of what a resource costs."""

    kind: str
    what: str
    eur: float | None
    """In a month; None where there is no price, then `what` says why."""


Rule = Callable[[Inputs, PriceTable], list[Charge]]


def _server(flavour: Any, prices: PriceTable) -> Charge:
    if not _known(flavour):
        return Charge(NODES, "its type is not known yet", None)
    hour = prices.rates.servers.get(flavour)
    named = _SCS_FLAVOUR.match(flavour)
    if hour is None and named:
        hour = _hour(float(named[1]), float(named[2]), prices)
    if hour is None:
        return Charge(NODES, f"no price of {flavour}; set refsys:costs.servers", None)
    return Charge(NODES, flavour, hour * HOURS)


def _hour(cpus: float, memory_gib: float, prices: PriceTable) -> float:
    return cpus * prices.usage.vcpu_hour + memory_gib * prices.usage.memory_gib_hour


def _volume(size: Any, volume_class: Any, prices: PriceTable) -> Charge:
    if not isinstance(size, int | float):
        return Charge(VOLUMES, "its size is not known yet", None)
    name = volume_class if _known(volume_class) else DEFAULT
    month = prices.rates.volumes.get(name, prices.rates.volumes.get(DEFAULT))
    if month is None:
        return Charge(VOLUMES, f"no price of volumes {name}; set refsys:costs.volumes", None)
    return Charge(VOLUMES, f"{size:g} GB" + (f" {name}" if name != DEFAULT else ""), size * month)


def _hourly(kind: str, field: str, named: str) -> Rule:
    """A rule for what is paid by the hour and the type in the input `named`."""

    def rule(inputs: Inputs, prices: PriceTable) -> list[Charge]:
        name = inputs.get(named) if _known(inputs.get(named)) else DEFAULT
        rates: dict[str, float] = getattr(prices.rates, field)
        hour = rates.get(str(name), rates.get(DEFAULT))
        if hour is None:
            return [Charge(kind, f"no price of {kind} {name}; set refsys:costs.{field}", None)]
        return [Charge(kind, str(name) if name != DEFAULT else kind.removesuffix("s"), hour * HOURS)]

    return rule


def _address(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    if inputs.get("type") == "routed_ipv6" or inputs.get("isIpv6"):
        return []
    if prices.rates.address_hour is None:
        return [Charge(ADDRESSES, "no price of addresses; set refsys:costs.address_hour", None)]
    return [Charge(ADDRESSES, "public address", prices.rates.address_hour * HOURS)]


def _objects(_inputs: Inputs, prices: PriceTable) -> list[Charge]:
    month = prices.rates.object_gb_month
    if month is None:
        return [Charge(BY_USE, "no price of objects; set refsys:costs.object_gb_month", None)]
    return [Charge(BY_USE, f"{month:g} EUR a GB and month of what is stored", 0.0)]


def _local_node(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    cpus, memory = inputs.get("cpus"), inputs.get("memory_mib")
    if not isinstance(cpus, int | float) or not isinstance(memory, int | float):
        return [Charge(NODES, "its size is not known yet", None)]
    gib = memory / 1024
    return [Charge(NODES, f"{cpus:g} processors, {gib:g} GiB", _hour(cpus, gib, prices) * HOURS)]


def _claim(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    spec = inputs.get("spec") or {}
    size = _QUANTITY.fullmatch(str(((spec.get("resources") or {}).get("requests") or {}).get("storage")))
    if prices.cloud_disks and spec.get("storageClassName"):
        return []  # It lies on a node's disk, which is paid already.
    if size is None:
        return [Charge(VOLUMES, "its size is not known yet", None)]
    octets = float(size[1]) * _BYTES[size[2] or ""]
    if prices.cloud_disks:
        return [_volume(octets / 1e9, None, prices)]
    gib = octets / 2**30
    return [Charge(VOLUMES, f"{gib:g} GiB", gib * prices.usage.volume_gib_month)]


def _openstack_server(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    disks = [disk for disk in inputs.get("blockDevices") or [] if disk.get("destinationType") == "volume"]
    made = [disk for disk in disks if disk.get("sourceType") != "volume"]
    flavour = inputs.get("flavorName") or inputs.get("flavorId")
    return [
        _server(flavour, prices),
        *(_volume(disk.get("volumeSize"), disk.get("volumeType"), prices) for disk in made),
    ]


def _openstack_volume(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    return [_volume(inputs.get("size"), inputs.get("volumeType"), prices)]


def _openstack_router(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    return _GATEWAY({}, prices) if inputs.get("externalNetworkId") else []


def _scaleway_server(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    root = inputs.get("rootVolume") or {}
    charges = [_server(inputs.get("type"), prices)]
    if root.get("volumeType") == "sbs_volume":
        charges.append(_volume(root.get("sizeInGb"), _sbs_class(root.get("sbsIops")), prices))
    return charges


def _scaleway_volume(inputs: Inputs, prices: PriceTable) -> list[Charge]:
    return [_volume(inputs.get("sizeInGb"), _sbs_class(inputs.get("iops")), prices)]


def _sbs_class(iops: Any) -> str | None:
    return f"sbs_{int(iops) // 1000}k" if isinstance(iops, int | float) else None


def _known(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


_GATEWAY = _hourly(GATEWAYS, "gateways", "type")

RULES: Mapping[str, Rule] = {
    "pulumi-python:dynamic/local:Node": _local_node,
    "kubernetes:core/v1:PersistentVolumeClaim": _claim,
    "openstack:compute/instance:Instance": _openstack_server,
    "openstack:blockstorage/volume:Volume": _openstack_volume,
    "openstack:networking/router:Router": _openstack_router,
    "openstack:networking/floatingIp:FloatingIp": _address,
    "openstack:loadbalancer/loadBalancer:LoadBalancer": _hourly(BALANCERS, "load_balancers", "flavorId"),
    "openstack:objectstorage/container:Container": _objects,
    "scaleway:instance/server:Server": _scaleway_server,
    "scaleway:instance/ip:Ip": _address,
    "scaleway:block/volume:Volume": _scaleway_volume,
    "scaleway:network/publicGateway:PublicGateway": _GATEWAY,
    "scaleway:network/publicGatewayIp:PublicGatewayIp": _address,
    "scaleway:loadbalancers/loadBalancer:LoadBalancer": _hourly(BALANCERS, "load_balancers", "type"),
    "scaleway:loadbalancers/ip:Ip": _address,
    "scaleway:object/bucket:Bucket": _objects,
}

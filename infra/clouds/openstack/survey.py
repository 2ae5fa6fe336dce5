"""What a project of an OpenStack must have and allow, looked at before anything is made."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openstack.connection import Connection

from refsys.infra.clouds.common.names import OWNER, named
from refsys.infra.clouds.openstack.connection import connect, explained, place
from refsys.infra.clouds.openstack.settings import OpenStack
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError

UNLIMITED = -1
SIMILAR = 12
"""As many names are told where one is not found."""


@dataclass(frozen=True)
class Survey:
    """What the program takes from the cloud as it is."""

    external_network_id: str
    image_id: str | None
    """None where the image is yet to be uploaded."""


@dataclass
class Count:
    """Servers and volumes: what they take of the project's quota."""

    instances: int = 0
    cores: int = 0
    ram: int = 0
    volumes: int = 0
    gigabytes: int = 0
    floating: int = 0
    ports: int = 0

    def add(self, flavor: Any, number: int) -> None:
        """Servers of a flavour."""
        self.instances += number
        self.cores += number * int(flavor.vcpus)
        self.ram += number * int(flavor.ram)
        self.ports += number


@dataclass(frozen=True)
class _Limit:
    """A quota of the project."""

    name: str
    limit: int
    used: int
    needed: int
    unit: str = ""

    @property
    def problem(self) -> str:
        """What is lacking; nothing where it is enough."""
        free = self.limit - self.used
        if self.limit == UNLIMITED or self.needed <= free:
            return ""
        return (
            f"quota of {self.name}: {self.needed}{self.unit} more are needed, {max(free, 0)}{self.unit} of "
            f"{self.limit}{self.unit} are free"
        )


@dataclass
class _Found:
    """Problems, collected so that all are told at once."""

    problems: list[str] = field(default_factory=list)

    def need(self, problem: str) -> None:
        if problem:
            self.problems.append(problem)


_seen: dict[tuple[str, str], Survey] = {}


def seen(environment: Environment, settings: OpenStack) -> Survey:
    """What the cloud has, looked at once in a command for the same settings.

    Raises:
        UserError: see `look`.
    """
    key = environment.name, settings.model_dump_json()
    if key not in _seen:
        _seen[key] = look(environment, settings)
    return _seen[key]


def look(environment: Environment, settings: OpenStack, log_in: Callable[[OpenStack], Connection] = connect) -> Survey:
    """Look at the project.

    Raises:
        UserError: names everything that is missing or not allowed, with the cloud's own words.
    """
    if settings.image_file and not Path(settings.image_file).expanduser().is_file():
        raise UserError(
            f"the image file {settings.image_file} does not exist", fix="make it: ./refsys image build --output FILE"
        )
    cloud, found = log_in(settings), _Found()
    with explained(settings):
        _services(cloud, settings, found)
        external = _external(cloud, settings, found)
        image = cloud.image.find_image(settings.image, ignore_missing=True)
        _image(image, settings, found)
        flavors = _flavors(cloud, settings, image, found)
        if len(flavors) == len(_flavor_names(settings)):
            _quotas(cloud, environment, settings, flavors, found)
        _names(cloud, environment, found)
    if found.problems or external is None:
        raise UserError(
            f"{place(settings)} can't take environment {environment.name}:\n"
            + "\n".join(f"    {problem}" for problem in found.problems),
            fix=f"correct refsys:openstack, or have the project's administrator mend it, then ./refsys up "
            f"{environment.name} again",
        )
    return Survey(str(external.id), str(image.id) if image and not settings.image_file else None)


def _services(cloud: Connection, settings: OpenStack, found: _Found) -> None:
    wanted = {
        "load-balancer": settings.load_balancer == "octavia",
        "object-store": bool(settings.containers),
        "block-storage": any(pool.volume_gib for pool in settings.nodes),
    }
    remedy = {
        "load-balancer": "set load_balancer: haproxy",
        "object-store": "take containers out",
        "block-storage": "take volume_gib out of the pools",
    }
    for service, needed in wanted.items():
        if needed and not cloud.has_service(service):
            found.need(f"it has no {service} service: {remedy[service]}")


def _external(cloud: Connection, settings: OpenStack, found: _Found) -> Any:
    name = settings.external_network
    network = cloud.network.find_network(name, ignore_missing=True)
    if network is None or not network.is_router_external:
        known = [each.name for each in cloud.network.networks(is_router_external=True)]
        what = "is not external" if network else "does not exist"
        found.need(f"external_network {name} {what}; external are: {_some(known)}")
        return None
    return network


def _image(image: Any, settings: OpenStack, found: _Found) -> None:
    if settings.image_file:
        return
    if image is None:
        found.need(f"image {settings.image} does not exist; upload it, or set image_file")
    elif image.status != "active":
        found.need(f"image {settings.image} is {image.status}, not active")


def _flavor_names(settings: OpenStack) -> list[str]:
    names = [pool.flavor for pool in settings.nodes] + [settings.bastion_flavor]
    names += [settings.balancer_flavor] if settings.balancer_flavor else []
    return list(dict.fromkeys(names))


def _flavors(cloud: Connection, settings: OpenStack, image: Any, found: _Found) -> dict[str, Any]:
    known = {flavor.name: flavor for flavor in cloud.compute.flavors()}
    wanted = _flavor_names(settings)
    for name in wanted:
        if name not in known:
            found.need(f"flavour {name} does not exist; there are: {_some(list(known))}")
        elif image is not None and 0 < known[name].disk < (image.min_disk or 0):
            found.need(
                f"flavour {name} has a disk of {known[name].disk} GB; image {settings.image} needs {image.min_disk} GB"
            )
    return {name: known[name] for name in wanted if name in known}


def needed(settings: OpenStack, flavors: Mapping[str, Any], have: Sequence[str]) -> Count:
    """What is yet to be made, where servers called `have` are there."""
    count = Count()
    for pool in settings.pools():
        declared = settings.pool(pool.name)
        number = len([name for name in pool.names if name not in have])
        count.add(flavors[declared.flavor], number)
        count.floating += number if declared.floating else 0
        count.volumes += number if declared.volume_gib else 0
        count.gigabytes += number * (declared.volume_gib or 0)
    if "bastion" not in have:
        # The load balancer's address comes with the bastion's.
        count.add(flavors[settings.bastion_flavor], 1)
        count.floating += 2
    if settings.load_balancer == "haproxy" and settings.balancer_flavor and "balancer" not in have:
        count.add(flavors[settings.balancer_flavor], 1)
    return count


def _quotas(
    cloud: Connection, environment: Environment, settings: OpenStack, flavors: Mapping[str, Any], found: _Found
) -> None:
    prefix = named(environment.name, "")
    servers = [server for server in cloud.compute.servers() if server.metadata.get(OWNER) == environment.name]
    count = needed(settings, flavors, [server.name.removeprefix(prefix) for server in servers])
    if count == Count():
        return
    compute = cloud.compute.get_limits().absolute
    limits = [
        _Limit("servers", compute.instances, compute.instances_used, count.instances),
        _Limit("cores", compute.total_cores, compute.total_cores_used, count.cores),
        _Limit("memory", compute.total_ram, compute.total_ram_used, count.ram, " MiB"),
    ]
    if count.volumes:
        volumes = cloud.block_storage.get_limits().absolute
        limits += [
            _Limit("volumes", volumes.max_total_volumes, volumes.total_volumes_used, count.volumes),
            _Limit(
                "volumes' size",
                volumes.max_total_volume_gigabytes,
                volumes.total_gigabytes_used,
                count.gigabytes,
                " GiB",
            ),
        ]
    network = cloud.network.get_quota(str(cloud.current_project_id), details=True)
    for name, quota, number in (
        ("floating addresses", network.floating_ips, count.floating),
        ("ports", network.ports, count.ports),
        ("networks", network.networks, 0 if servers else 1),
        ("routers", network.routers, 0 if servers else 1),
    ):
        if isinstance(quota, Mapping):
            limits.append(_Limit(name, int(quota["limit"]), int(quota["used"]), number))
    for limit in limits:
        found.need(limit.problem)


def _names(cloud: Connection, environment: Environment, found: _Found) -> None:
    """A key pair's name is its identity: one that is there without our network is somebody else's."""
    name = named(environment.name, "key")
    if cloud.compute.find_keypair(name, ignore_missing=True) is None:
        return
    if not any(cloud.network.networks(name=named(environment.name, "network"))):
        found.need(
            f"a key pair called {name} is there already, of another environment or user: remove it (openstack keypair "
            f"delete {name}), or give the environment another name"
        )


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(sorted(names)[:SIMILAR]) or "none"
    return shown + (", …" if len(names) > SIMILAR else "")

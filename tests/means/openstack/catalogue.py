"""What the cloud holds from the beginning: services with their addresses, users, networks, flavors, an image."""

from typing import Any

import openstack
from openstack.connection import Connection

from tests.means.openstack.configuration import ADDRESS

REGION = "RegionOne"
USER = "tester"
EXTERNAL = "public"
EXTERNAL_RANGE = "203.0.113.0/24"

_ENDPOINTS = {
    "placement": ("placement", "8778"),
    "glance": ("image", "9292"),
    "nova": ("compute", "8774/v2.1"),
    "neutron": ("network", "9696"),
    "cinder": ("block-storage", "8776/v3/%(project_id)s"),
}
# name: MiB of memory, processors, GB of disk; the last fits on no host.
FLAVORS = {
    "small": (2048, 1, 10),
    "medium": (4096, 2, 20),
    "m1.small": (2048, 1, 20),
    "m1.medium": (4096, 2, 40),
    "m1.xlarge": (16384, 8, 160),
    "SCS-4V-8": (8192, 4, 20),
    "SCS-4V-16": (16384, 4, 20),
    "SCS-8V-16": (16384, 8, 20),
    "SCS-8V-32": (32768, 8, 20),
    "giant": (2**30, 4, 10),
}
HOSTS = 3


def connect(user: str, password: str, project: str) -> Connection:
    """A session at the cloud."""
    return openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=f"http://{ADDRESS}:5000/v3",
        username=user,
        password=password,
        project_name=project,
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=REGION,
        app_name="refsys-tests",
    )


def fill_identity(password: str) -> None:
    """Make services, endpoints, the services' users, and the project of the tests."""
    identity: Any = connect("admin", password, "admin").identity  # the SDK cannot tell its two versions apart
    service_role = identity.find_role("service") or identity.create_role(name="service")
    roles = {role.name: role for role in identity.roles()}
    domain = identity.find_domain("Default", ignore_missing=False)
    services = identity.create_project(name="service", domain_id=domain.id)
    for name, (kind, path) in _ENDPOINTS.items():
        service = identity.create_service(name=name, type=kind)
        for interface in ("public", "internal", "admin"):
            identity.create_endpoint(
                service_id=service.id, interface=interface, url=f"http://{ADDRESS}:{path}", region_id=REGION
            )
        user = identity.create_user(name=name, password=password, domain_id=domain.id)
        for role in (roles["admin"], service_role):
            identity.assign_project_role_to_user(services, user, role)
    project = identity.create_project(name=USER, domain_id=domain.id)
    user = identity.create_user(name=USER, password=password, domain_id=domain.id)
    for role in ("member", "reader"):
        identity.assign_project_role_to_user(project, user, roles[role])


def fill(password: str) -> None:
    """Make the external network, flavors and limits wide enough for twenty nodes."""
    admin = connect("admin", password, "admin")
    external = admin.network.create_network(
        name=EXTERNAL, is_router_external=True, provider_network_type="flat", provider_physical_network="external"
    )
    admin.network.create_subnet(
        network_id=external.id, name=EXTERNAL, cidr=EXTERNAL_RANGE, ip_version=4, is_dhcp_enabled=False
    )
    for name, (ram, vcpus, disk) in FLAVORS.items():
        admin.compute.create_flavor(name=name, ram=ram, vcpus=vcpus, disk=disk)
    identity: Any = admin.identity
    project = identity.find_project(USER, ignore_missing=False)
    admin.compute.update_quota_set(project.id, instances=60, cores=400, ram=-1)
    admin.network.update_quota(
        project.id, ports=300, security_groups=60, security_group_rules=600, networks=20, floating_ips=40
    )
    admin.block_storage.update_quota_set(project.id, volumes=100, gigabytes=50_000)


def missing(password: str, since: str) -> str:
    """What does not answer yet, empty when the cloud is ready; workers must have reported after `since` (UTC, ISO)."""
    admin = connect("admin", password, "admin")
    down = [
        f"{service.binary} of nova"
        for service in admin.compute.services()
        if service.state != "up" or str(service.updated_at) < since
    ]
    known = {service.binary for service in admin.compute.services()}
    down += sorted({"nova-compute", "nova-conductor", "nova-scheduler"} - known)
    volumes = list(admin.block_storage.services())
    down += [
        f"{service.binary} of cinder" for service in volumes if service.state != "up" or str(service.updated_at) < since
    ]
    down += sorted({"cinder-scheduler", "cinder-volume"} - {service.binary for service in volumes})
    if not list(admin.block_storage.backend_pools()):
        down.append("what cinder-volume tells cinder-scheduler of its disks")
    list(admin.network.networks())
    list(admin.image.images())
    if len(list(admin.compute.hypervisors())) < HOSTS:
        down.append("a host of servers")
    return ", ".join(down)

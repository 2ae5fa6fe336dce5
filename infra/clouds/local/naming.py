"""Names and addresses of a local environment, all derived from its name, so that several live side by side."""

import hashlib
import ipaddress
import json

from refsys.infra import shell
from refsys.infra.errors import UserError


def digest(environment: str) -> str:
    """Eight hexadecimal digits that stand for the environment where names must be short."""
    return hashlib.sha256(environment.encode()).hexdigest()[:8]


def bridge(environment: str) -> str:
    """Name of the environment's bridge (interface names have at most 15 characters)."""
    return f"rs-{digest(environment)}"


def table(environment: str) -> str:
    """Name of the environment's nftables table."""
    return f"refsys_{digest(environment)}"


def machine(environment: str, node: str) -> str:
    """Name of a node's container."""
    return f"{environment}-{node}"


def default_cidr(environment: str) -> str:
    """The environment's /24, between the service range (10.96/12) and nothing else that is common."""
    number = int(digest(environment), 16)
    return f"10.{128 + number % 96}.{number // 96 % 256}.0/24"


def check_cidr(environment: str, cidr: str, reserved: dict[str, str]) -> None:
    """Refuse a network that overlaps a route of this machine or one of the cluster's own ranges.

    `reserved` maps what a range is for to the range. Routes over the environment's own bridge are fine.
    """
    wanted = ipaddress.ip_network(cidr)
    for purpose, other in reserved.items():
        if wanted.overlaps(ipaddress.ip_network(other)):
            raise UserError(
                f"network {cidr} of environment {environment} overlaps {other}, its {purpose}",
                fix="choose another private /24: pulumi config set refsys:cidr 10.x.y.0/24",
            )
    for route in json.loads(shell.run("ip", "-json", "-4", "route", "show")):
        if route["dst"] == "default" or route.get("dev") == bridge(environment):
            continue
        if wanted.overlaps(ipaddress.ip_network(route["dst"], strict=False)):
            raise UserError(
                f"network {cidr} of environment {environment} overlaps this machine's route "
                f"{route['dst']} over {route.get('dev')}",
                fix="choose another private /24: pulumi config set refsys:cidr 10.x.y.0/24",
            )

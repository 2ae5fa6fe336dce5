"""Wazuh and Falco, where the environment names their packages: variables of the roles `wazuh` and `falco`."""

from collections.abc import Mapping
from typing import Any

import pulumi

from refsys.infra.clouds.interface import Cloud, Machine
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.passwords import password
from refsys.infra.pki import Authority


def check(environment: Environment, cloud: Cloud) -> None:
    """Refuse what the cloud's nodes can't run.

    Raises:
        UserError: Falco is asked for on nodes without a kernel of their own.
    """
    if environment.detection.falco and cloud.variables["shared_kernel"]:
        raise UserError(
            f"Falco watches the calls of a kernel, and nodes of cloud {environment.cloud} have none of their own: they "
            "share this machine's",
            fix=f"pulumi config rm --stack {environment.name} --path refsys:detection.falco "
            "(what detects in its place: docs/security/detection.md)",
        )


def manager_host(domain: str) -> str:
    """Name of the Wazuh manager, as agents and its certificate have it."""
    return f"wazuh.{domain}"


def variables(environment: Environment, cloud: Cloud, authority: Authority) -> dict[str, Any]:
    """The roles' variables that are no secret; nothing of what is not asked for."""
    found: dict[str, Any] = {}
    if wazuh := environment.detection.wazuh:
        found |= {
            "wazuh_repository": wazuh.repository,
            "wazuh_repository_key": wazuh.key,
            "wazuh_version": wazuh.version,
            "wazuh_manager": manager_host(environment.domain),
            "wazuh_ca_pem": authority.ca_pem,
        }
    if falco := environment.detection.falco:
        found |= {
            "falco_repository": falco.repository,
            "falco_repository_key": falco.key,
            "falco_version": falco.version,
            "falco_shared_kernel": cloud.variables["shared_kernel"],
        }
    return found


def manager_variables(environment: Environment, machine: Machine, manager: Machine) -> dict[str, Any]:
    """What only the manager's node has."""
    return {"wazuh_part": "manager"} if environment.detection.wazuh and machine.name == manager.name else {}


def secrets(environment: Environment, authority: Authority) -> Mapping[str, pulumi.Input[str]]:
    """The roles' secret variables, for `playbooks/detect.yml`."""
    if not environment.detection.wazuh:
        return {}
    certificate = authority.issue("wazuh", dns_names=[manager_host(environment.domain)])
    return {
        "wazuh_password": password("wazuh-enrolment"),
        "wazuh_certificate_pem": certificate.certificate_pem,
        "wazuh_key_pem": certificate.key_pem,
    }

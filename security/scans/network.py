"""Nmap against the environment's own nodes: ports that nobody declared, and TLS that is too old."""

import ipaddress
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lxml import etree

from refsys.infra import shell
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.playbook import hosts
from refsys.platform.components.names import GATEWAY_NODE_PORT, KAFKA_NODE_PORT, LDAPS_NODE_PORT
from refsys.security.scans import waivers
from refsys.security.scans.report import Finding, Result

PACKAGE = "nmap"
AT_A_TIME = 4
ALL_PORTS = "1-65535"
NODE_PORTS = {
    GATEWAY_NODE_PORT: "node port of the gateway",
    LDAPS_NODE_PORT: "node port of the directory",
    KAFKA_NODE_PORT: "node port of Kafka, for the nodes' logs",
}
CIPHERS = "table[@key='ciphers']/table/elem[@key='name']"
GOOD_TLS = {"TLSv1.2", "TLSv1.3"}


@dataclass(frozen=True)
class Target:
    """A node: where it is, and what it is meant to answer on."""

    name: str
    address: str
    declared: Mapping[int, str]
    """Name by TCP port."""


@dataclass(frozen=True)
class Port:
    """An open port, with the versions of TLS that it speaks and the ciphers of each; none where it speaks no TLS."""

    number: int
    tls: Mapping[str, Sequence[str]]


def targets_of(inventory: Mapping[str, Any]) -> list[Target]:
    """The inventory's nodes with the ports that it and the cluster's node ports declare."""
    common = inventory["all"].get("vars", {})
    return [
        Target(name, values["ansible_host"], _declared(common | values))
        for name, values in sorted(hosts(dict(inventory)).items())
    ]


def _declared(values: Mapping[str, Any]) -> dict[int, str]:
    declared = {int(values.get("ansible_port", 22)): "SSH"} | NODE_PORTS
    for rule in values.get("os_hardening_firewall", []):
        if rule["protocol"] == "tcp":
            for ports in rule["ports"]:
                first, _, last = str(ports).partition("-")
                declared |= dict.fromkeys(range(int(first), int(last or first) + 1), rule["name"])
    return declared


def examine(environment: str, inventory_text: str) -> Result:
    """Look at the nodes of an environment that is up."""
    network = Environment.load(environment).network
    return scan(targets_of(json.loads(inventory_text)), network)


def scan(targets: Sequence[Target], network: str, ports: str = ALL_PORTS) -> Result:
    """Look at the TCP ports of targets, all of which must be in the environment's network.

    Raises:
        UserError: an address is not the environment's, or a waiver has ended.
    """
    for target in targets:
        if ipaddress.ip_address(target.address) not in ipaddress.ip_network(network):
            raise UserError(
                f"{target.name} has the address {target.address}, which is not in the environment's network {network}: "
                "nothing was scanned",
                fix="only nodes of the environment are scanned; ./refsys up writes the inventory anew",
            )
    known = waivers.load()
    found: dict[tuple[str, str, str, str], list[str]] = {}
    seen: list[str] = []
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        answers = list(pool.map(lambda target: open_ports(target.address, ports), targets))
    for target, answer in zip(targets, answers, strict=True):
        for port in answer:
            versions = ", ".join(f"{version} ({len(ciphers)} ciphers)" for version, ciphers in port.tls.items())
            seen.append(f"{target.name} {port.number}: {versions or 'no TLS'}")
            for finding in _judge(target, port):
                found.setdefault(finding, []).append(target.name)
    findings = [
        Finding(identity, what, tuple(names), level, text) for (identity, what, level, text), names in found.items()
    ]
    stand, accepted = waivers.split(findings, known)
    scanned = {
        "nodes": ", ".join(f"{target.name} ({target.address})" for target in targets),
        "TCP ports": ports,
        "open": "; ".join(seen) or "none",
    }
    return Result(scanned, stand, accepted)


def _judge(target: Target, port: Port) -> list[tuple[str, str, str, str]]:
    what, findings = f"tcp/{port.number}", []
    if port.number not in target.declared:
        findings.append(("open-port", what, "high", "open, but neither the firewall's table nor a node port names it"))
    if old := sorted(set(port.tls) - GOOD_TLS):
        findings.append(("weak-tls", what, "high", f"speaks {', '.join(old)}; TLS 1.2 is the least"))
    return findings


def open_ports(address: str, ports: str) -> list[Port]:
    """The open TCP ports of an address."""
    # Ports that the firewall drops never answer: without limits they would take hours.
    first = _nmap("-sS", "-T4", "--max-retries=2", "--min-rate=5000", f"-p{ports}", "--open", address)
    numbers = [port.get("portid", "") for port in first.iterfind(".//port") if _is_open(port)]
    if not numbers:
        return []
    # `+`: on every port, not only on those where TLS is usual.
    second = _nmap("-sT", f"-p{','.join(numbers)}", "--script=+ssl-enum-ciphers", address)
    return [Port(int(port.get("portid", "")), _tls(port)) for port in second.iterfind(".//port") if _is_open(port)]


def _nmap(*arguments: str) -> etree._Element:
    # Neither name service nor ping: the addresses are known.
    text = shell.run("nmap", "-n", "-Pn", "-oX", "-", *arguments)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(text.encode(), parser)


def _is_open(port: etree._Element) -> bool:
    return port.find("state[@state='open']") is not None


def _tls(port: etree._Element) -> dict[str, list[str]]:
    script = port.find("script[@id='ssl-enum-ciphers']")
    if script is None:
        return {}
    return {
        str(table.get("key")): [str(name.text) for name in table.iterfind(CIPHERS)]
        for table in script.iterfind("table")
    }

"""The bridge of an environment, its way out (NAT) and its load balancer, as one nftables table."""

import ipaddress
import json

from refsys.infra import shell
from refsys.infra.clouds.local import host, naming
from refsys.infra.errors import UserError


def gateway(cidr: str) -> str:
    """The machine's own address on the environment's network: router and load balancer."""
    return str(ipaddress.ip_network(cidr)[1])


def create(environment: str, cidr: str) -> None:
    """Make bridge and NAT; again on top of what is there, it changes nothing."""
    host.claim(environment)
    name = naming.bridge(environment)
    if not exists(environment):
        shell.run("ip", "link", "add", name, "type", "bridge")
    address = f"{gateway(cidr)}/{ipaddress.ip_network(cidr).prefixlen}"
    shell.run("ip", "address", "replace", address, "dev", name)
    shell.run("ip", "link", "set", name, "up")
    table = naming.table(environment)
    _nft(f"""
        table inet {table} {{
          chain postrouting {{ type nat hook postrouting priority srcnat; }}
          chain forward {{ type filter hook forward priority filter; }}
        }}
        flush chain inet {table} postrouting
        flush chain inet {table} forward
        add rule inet {table} postrouting ip saddr {cidr} oifname != "{name}" masquerade
        add rule inet {table} postrouting ip saddr {cidr} oifname "{name}" ct status dnat masquerade
        add rule inet {table} forward iifname "{name}" accept
        add rule inet {table} forward oifname "{name}" accept
    """)


def exists(environment: str) -> bool:
    """Whether the environment's bridge stands."""
    return naming.bridge(environment) in {link["ifname"] for link in json.loads(shell.run("ip", "-json", "link"))}


def intact(environment: str) -> bool:
    """Whether bridge, table and kernel keys are as `create` left them."""
    return exists(environment) and has_table(environment) and host.claimed()


def has_table(environment: str) -> bool:
    """Whether the environment's nftables table stands."""
    return f"table inet {naming.table(environment)}" in shell.run("nft", "list", "tables").splitlines()


def delete(environment: str) -> None:
    """Remove bridge and table and give back the kernel keys."""
    if has_table(environment):
        shell.run("nft", "delete", "table", "inet", naming.table(environment))
    if exists(environment):
        shell.run("ip", "link", "delete", naming.bridge(environment))
    host.release(environment)


def balance(environment: str, address: str, ports: dict[int, int], targets: list[str]) -> None:
    """Spread connections to `address` over the targets: `ports` maps the outside port to the nodes' port."""
    for port in ports:
        _refuse_taken(address, port)
    table = naming.table(environment)
    backends = ", ".join(f"{number} : {target}" for number, target in enumerate(sorted(targets)))
    rules = "\n".join(
        f"add rule inet {table} {chain} ip daddr {address} tcp dport {outside} "
        f"dnat ip to numgen inc mod {len(targets)} map {{ {backends} }} : {inside}"
        for chain in ("balance_in", "balance_out")
        for outside, inside in ports.items()
    )
    _nft(f"""
        table inet {table} {{
          chain balance_in {{ type nat hook prerouting priority dstnat; }}
          chain balance_out {{ type nat hook output priority -100; }}
        }}
        flush chain inet {table} balance_in
        flush chain inet {table} balance_out
        {rules}
    """)


def balanced(environment: str) -> bool:
    """Whether the load balancer's rules stand."""
    return has_table(environment) and "dnat ip to" in shell.run(
        "nft", "list", "table", "inet", naming.table(environment)
    )


def unbalance(environment: str) -> None:
    """Remove the load balancer."""
    if not has_table(environment):
        return
    table = naming.table(environment)
    for chain in ("balance_in", "balance_out"):
        shell.run("nft", "delete", "chain", "inet", table, chain, ok=(0, 1))


def _refuse_taken(address: str, port: int) -> None:
    if f"{address}:{port}" in shell.run("ss", "-Hltn", f"sport = :{port}").split():
        raise UserError(
            f"port {port} on {address} is in use on this machine",
            fix=f"stop what listens there: ss -ltnp 'sport = :{port}'",
        )


def _nft(script: str) -> None:
    shell.run("nft", "-f", "-", input_text=script)

"""Nodes without a stack, for tests of roles: `python -m refsys.infra.clouds.local.machines create|destroy`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from refsys.infra import paths, shell
from refsys.infra.clouds.local import image, naming, network, nspawn

app = typer.Typer(add_completion=False)

Environment = Annotated[str, typer.Option(help="Name of the throw-away environment.")]


@app.command()
def create(environment: Environment, nodes: Annotated[str, typer.Option(help="Names, by comma.")]) -> None:
    """Make the nodes that are missing; print addresses and the SSH key as JSON."""
    cidr = naming.default_cidr(environment)
    naming.check_cidr(environment, cidr, {})
    image.ensure()
    network.create(environment, cidr)
    key = ssh_key(environment)
    made = {}
    for number, name in enumerate(nodes.split(",")):
        spec = _spec(
            environment,
            name,
            f"{cidr.removesuffix('0/24')}{10 + number}",
            key.with_suffix(".pub").read_text(),
        )
        if nspawn.exists(spec):
            nspawn.start(spec)
        else:
            nspawn.create(spec)
        made[name] = {
            "address": spec.address,
            "ssh_key": str(key),
            "user": "root",
            "host_key": nspawn.host_key(spec),
        }
    typer.echo(json.dumps({"nodes": made}))


@app.command()
def destroy(environment: Environment) -> None:
    """Remove the environment's nodes and network; nothing is left."""
    sweep(environment)
    shell.run("rm", "-rf", paths.environment_home(environment))


def sweep(environment: str) -> None:
    """Remove every node and the network of the environment."""
    for node in sorted((paths.environment_home(environment) / "nodes").glob("*")):
        nspawn.destroy(_spec(environment, node.name, "", ""))
    network.delete(environment)


def ssh_key(environment: str) -> Path:
    """The environment's SSH key, made where it's missing."""
    key = paths.environment_home(environment) / "ssh" / "id_ed25519"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shell.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", environment, "-f", key)
    return key


def _spec(environment: str, name: str, address: str, public_key: str) -> nspawn.NodeSpec:
    return nspawn.NodeSpec(
        environment=environment,
        name=name,
        address=address,
        cidr=naming.default_cidr(environment),
        memory_mib=4096,
        cpus=2,
        public_key=public_key,
    )


if __name__ == "__main__":
    app()

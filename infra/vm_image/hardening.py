"""The distribution's own hardening, applied to the image's tree while it runs as a node of the local cloud."""

import os
from pathlib import Path
from typing import Any

from refsys.infra import paths, shell
from refsys.infra.clouds.local import machines, naming, network, nspawn
from refsys.infra.errors import UserError
from refsys.infra.playbook import PlaybookError, PlaybookRun
from refsys.infra.vm_image import recipe

ENVIRONMENT = "image-build"
NODE = "image"
ANYWHERE = "0.0.0.0/0"


def tree() -> Path:
    """Where the tree lies while it is made: where a node of that name has its root."""
    return _spec("").root


def harden() -> None:
    """Run `playbooks/harden.yml` on the tree.

    Raises:
        UserError: the playbook failed; its log stays.
    """
    cidr = naming.default_cidr(ENVIRONMENT)
    naming.check_cidr(ENVIRONMENT, cidr, {})
    key = machines.ssh_key(ENVIRONMENT)
    spec = _spec(key.with_suffix(".pub").read_text())
    nspawn.identify(spec, spec.root)
    network.create(ENVIRONMENT, cidr)
    try:
        nspawn.start(spec)
        PlaybookRun(ENVIRONMENT, _inventory(spec, key), {})("harden", {})
    except (PlaybookError, TimeoutError) as error:
        raise UserError(
            f"the image could not be hardened: {error}", fix="mend what it names, then run this again"
        ) from None
    finally:
        nspawn.stop(spec)
        network.delete(ENVIRONMENT)


def sweep() -> None:
    """Take away tree, node and network of the build; keys and logs stay."""
    machines.sweep(ENVIRONMENT)


def remove() -> None:
    """Take away all of the build; nothing is left."""
    sweep()
    shell.run("rm", "--recursive", "--force", "--one-file-system", paths.environment_home(ENVIRONMENT))


def _spec(public_key: str) -> nspawn.NodeSpec:
    cidr = naming.default_cidr(ENVIRONMENT)
    return nspawn.NodeSpec(
        environment=ENVIRONMENT,
        name=NODE,
        address=f"{cidr.removesuffix('0/24')}10",
        cidr=cidr,
        memory_mib=2048,
        cpus=os.cpu_count() or 1,
        public_key=public_key,
    )


def _inventory(spec: nspawn.NodeSpec, key: Path) -> dict[str, Any]:
    known_hosts = paths.environment_home(ENVIRONMENT) / "known_hosts"
    host = {
        "ansible_host": spec.address,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts} -o StrictHostKeyChecking=yes",
        "node_name": NODE,
        "node_host_key": nspawn.host_key(spec),
    }
    variables = {
        "os_hardening_profile": "kubernetes_node",
        "os_hardening_image": True,
        # Who may come, and from where, only an environment knows: its first playbook closes this.
        "os_hardening_root_login_from": [ANYWHERE],
        "os_hardening_ssh_users": [recipe.ACCOUNT],
    }
    return {"all": {"vars": variables, "children": {"kubernetes": {"hosts": {NODE: host}}}}}

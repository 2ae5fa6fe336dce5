"""A machine that is there already, as a Pulumi resource: it is taken over and released, never created or destroyed."""

from pathlib import Path
from typing import ClassVar

import pulumi
from pulumi.dynamic import Resource

from refsys.infra.clouds.existing import remote
from refsys.infra.clouds.existing.remote import Login
from refsys.infra.clouds.existing.settings import ExistingMachine
from refsys.infra.errors import UserError
from refsys.infra.managed import Managed, Properties

TAKE_OVER = Path(__file__).with_name("take_over.sh")
RELEASE = Path(__file__).with_name("release.sh")
IDENTITY = "cat /etc/machine-id"


def release(environment: str, login: Login) -> None:
    """Remove from the machine what the environment put there; a machine that is none of its nodes is left alone.

    Raises:
        UserError: it can't be reached.
    """
    script = RELEASE.read_text()
    try:
        remote.run(login.own(environment), script, environment)
    except UserError:
        # Released before, or never taken over: then the environment's key isn't let in.
        remote.run(login, script, environment)


class _NodeProvider(Managed):
    """Another address is another machine; another way to log in is not."""

    replace_on: ClassVar[frozenset[str]] = frozenset({"environment", "node", "address"})

    def identity(self, props: Properties) -> str:
        return f"{props['environment']}/{props['node']}"

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        login, environment = _login(props), props["environment"]
        script, arguments = TAKE_OVER.read_text(), (environment, props["public_key"])
        try:
            instance = remote.run(login.own(environment), script, *arguments)
        except UserError:
            instance = remote.run(login, script, *arguments)
        # From here on the environment's own key is used: better told now than by the first playbook.
        remote.run(login.own(environment), IDENTITY)
        return {"instance": instance.strip()}

    def probe(self, props: Properties) -> str:
        try:
            instance = remote.run(_login(props).own(props["environment"]), IDENTITY).strip()
        except UserError as error:
            return str(error.args[0])
        return "" if instance == props["instance"] else "it was set up anew"

    def remove(self, props: Properties) -> None:
        release(props["environment"], _login(props))


def _login(props: Properties) -> Login:
    return Login(
        props["node"], props["address"], int(props["port"]), props["user"], props["key_file"], props["host_key"]
    )


class ExistingNode(Resource, module="existing", name="Node"):
    """A machine that lets the environment's key in. Output: `instance`, another one when it was set up anew."""

    instance: pulumi.Output[str]

    def __init__(self, machine: ExistingMachine, *, environment: str, public_key: pulumi.Input[str]) -> None:
        """Take the machine over."""
        login = Login.given(machine)
        super().__init__(
            _NodeProvider(),
            machine.name,
            {
                "environment": environment,
                "node": machine.name,
                "address": machine.address,
                "port": machine.port,
                "user": machine.user,
                "key_file": login.key_file,
                "host_key": machine.host_key,
                "public_key": public_key,
                "instance": None,
            },
        )

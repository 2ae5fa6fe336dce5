"""The environment's users, groups and outside directory as the platform takes them."""

import pulumi

from refsys.infra.environment import Environment
from refsys.infra.stations import network_of
from refsys.infra.users import OutsideDirectory
from refsys.platform.components import Federation, Group, People, Person, Source, StationNetwork


def people_of(environment: Environment) -> People:
    """Users and groups that the environment declares."""
    return People(
        [Person(**user.model_dump()) for user in environment.users],
        [Group(**group.model_dump()) for group in environment.groups],
    )


def outside_of(directory: OutsideDirectory | None) -> tuple[Source, StationNetwork] | None:
    """The directory that is read in place of an own one, and where it is."""
    if directory is None:
        return None
    federation = Federation(
        directory.url, directory.users, directory.groups, directory.bind, freeipa=directory.kind == "freeipa"
    )
    password = pulumi.Output.secret(directory.password.get_secret_value())
    return Source(federation, password, directory.ca_file_pem), network_of(directory.url)

"""What the environment's model accepts and how it explains what it refuses."""

import pytest

from refsys.infra.clouds.local import naming
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError


def test_defaults_need_no_config() -> None:
    environment = Environment.parse("local", {})
    assert environment.domain == "local.refsys.test"
    assert environment.local.workers == 1
    assert environment.network == naming.default_cidr("local")


def test_values_come_as_json_or_as_objects() -> None:
    for value in ('{"workers": 3}', {"workers": 3}):
        assert Environment.parse("local", {"local": value}).local.workers == 3


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"domian": "x.org"}, ["domian", "did you mean domain?"]),
        ({"local": {"worker": 2}}, ["local.worker", "2"]),
        ({"local": {"wokers": 2}}, ["local.wokers", "did you mean workers?"]),
        ({"local": {"workers": "many"}}, ["local.workers", "'many'", "integer"]),
        ({"local": {"workers": 0}}, ["local.workers", "greater than or equal to 1"]),
        ({"cidr": "10.1.2.0/16"}, ["cidr"]),
        ({"cidr": "8.8.8.0/24"}, ["cidr", "private /24"]),
        ({"cloud": "moon"}, ["cloud", "'moon'", "'local'"]),
        ({"kubernetes": {"version": "1.20.0"}}, ["kubernetes.version", "1.35.4"]),
        ({"stations": [{"name": "X", "url": "ftp://x", "inboxes": []}]}, ["stations.0.url", "stations.0.inboxes"]),
    ],
)
def test_wrong_config_names_field_value_and_fix(config: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        Environment.parse("local", config)
    for word in [*words, "Pulumi.local.yaml", "fix:"]:
        assert word in str(error.value)


def test_a_name_that_does_not_fit_is_refused() -> None:
    with pytest.raises(UserError, match="name"):
        Environment.parse("Über", {})

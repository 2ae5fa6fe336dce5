"""What the environment's model accepts and how it explains what it refuses."""

import pytest

from refsys.infra.alerts import alerting_of, networks_of_alerts
from refsys.infra.clouds.local import naming
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.monitoring.components import Alerting, Mail
from refsys.platform.components.flows import StationNetwork

MAIL = {"to": ["duty@example.org"], "sender": "refsys@example.org", "server": "mail.example.org:587"}

WAZUH = {
    "repository": "https://mirror.example.org/wazuh/apt",
    "key": "-----BEGIN PGP PUBLIC KEY BLOCK-----",
    "version": "4.14.1-1",
}


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
        ({"detection": {"wazuh": WAZUH | {"version": "5.0.0-1"}}}, ["detection.wazuh.version", "'5.0.0-1'"]),
        ({"detection": {"falco": WAZUH | {"version": "0.37.0"}}}, ["detection.falco.version", "'0.37.0'"]),
        ({"detection": {"wazuh": WAZUH | {"key": "A1B2"}}}, ["detection.wazuh.key", "'A1B2'"]),
        ({"detection": {"samhain": {}}}, ["detection.samhain"]),
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


ANNA = {"name": "anna", "given_name": "Anna", "family_name": "A", "mail": "anna@example.org", "groups": ["users"]}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAbCdEfGhIjKlMnOpQrStUvWxYzAbCdEfGhIjKlMnOpQ anna@station"
OUTSIDE = {
    "url": "ldaps://ipa.example.org",
    "kind": "freeipa",
    "users": "cn=users,cn=accounts,dc=example,dc=org",
    "groups": "cn=groups,cn=accounts,dc=example,dc=org",
    "bind": "uid=reader,cn=users,cn=accounts,dc=example,dc=org",
    "password": "secret",
}


def test_people_are_told_where_the_config_says() -> None:
    alerts = Environment.parse("local", {"alerts": {"webhook": "https://192.0.2.1:8443/x", "mail": MAIL}}).alerts
    assert alerting_of(alerts) == Alerting(
        "https://192.0.2.1:8443/x", Mail(("duty@example.org",), "refsys@example.org", "mail.example.org:587")
    )
    assert networks_of_alerts(alerts) == [StationNetwork("192.0.2.1/32", 8443), StationNetwork("0.0.0.0/0", 587)]
    assert networks_of_alerts(Environment.parse("local", {}).alerts) == []


def test_the_dead_mans_switch_is_reached_once() -> None:
    told = {"webhook": "https://192.0.2.1/a", "dead_man_webhook": "https://192.0.2.1/b"}
    alerts = Environment.parse("local", {"alerts": told}).alerts
    assert alerting_of(alerts) == Alerting("https://192.0.2.1/a", dead_man_webhook="https://192.0.2.1/b")
    assert networks_of_alerts(alerts) == [StationNetwork("192.0.2.1/32", 443)]


def test_users_have_numbers_that_stay() -> None:
    one = Environment.parse("local", {"users": [{**ANNA, "ssh_keys": [KEY]}]})
    two = Environment.parse("local", {"users": [{**ANNA, "name": "bert"}, ANNA]})
    assert one.users[0].number == two.users[1].number != two.users[0].number
    assert 20_000 <= one.users[0].number < 60_000
    names = {"users", "uploaders", "producers", "viewers", "operators", "administrators"}
    assert {group.name for group in one.groups} == names
    assert len({group.number for group in one.groups}) == len(names)


def test_an_outside_directory_takes_the_place_of_declared_users() -> None:
    assert Environment.parse("local", {"directory": OUTSIDE}).directory


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"users": [{**ANNA, "name": "Anna"}]}, ["users.0.name", "'Anna'"]),
        ({"users": [{**ANNA, "name": "root"}]}, ["users.0.name", "take another name"]),
        ({"users": [{**ANNA, "mail": "anna"}]}, ["users.0.mail", "'anna'"]),
        ({"users": [{**ANNA, "groups": ["user"]}]}, ["anna is in user", "users, viewers"]),
        ({"users": [{**ANNA, "groups": []}]}, ["users.0.groups"]),
        ({"users": [{**ANNA, "password": "x"}]}, ["users.0.password", "no such field"]),
        ({"users": [{**ANNA, "ssh_keys": ["ssh-dss AAAA"]}]}, ["users.0.ssh_keys", ".pub file"]),
        ({"users": [{**ANNA, "ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}]}, ["private key"]),
        ({"users": [ANNA, ANNA]}, ["user anna is declared twice"]),
        ({"users": [{**ANNA, "number": 30000}, {**ANNA, "name": "bert", "number": 30000}]}, ["anna and bert"]),
        ({"users": [{**ANNA, "number": 5}]}, ["users.0.number", "20000"]),
        ({"groups": [{"name": "users", "roles": ["prip-users"]}]}, ["groups.0.roles", "no role prip-users"]),
        ({"groups": [{"name": "users", "roles": []}]}, ["groups.0.roles"]),
        ({"directory": OUTSIDE, "users": [ANNA]}, ["users come from the outside directory"]),
        ({"directory": {**OUTSIDE, "url": "ldap://ipa.example.org"}}, ["directory.url"]),
        ({"alerts": {"webhook": "http://chat/SECRET"}}, ["alerts: webhook must begin with https://"]),
        ({"alerts": {"dead_man_webhook": "http://a/SECRET"}}, ["alerts: dead_man_webhook must begin with https://"]),
        ({"alerts": {"mail": {**MAIL, "server": "mail"}}}, ["alerts.mail.server", "'mail'"]),
        ({"alerts": {"mail": {**MAIL, "username": "a"}}}, ["username and password belong together"]),
        ({"perimeter": {"operators_from": []}}, ["perimeter.operators_from"]),
        ({"perimeter": {"uploaders_ca_pem": "x"}}, ["perimeter.uploaders_ca_pem"]),
    ],
)
def test_wrong_users_are_explained(config: dict[str, object], words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        Environment.parse("local", config)
    for word in [*words, "Pulumi.local.yaml", "fix:"]:
        assert word in str(error.value)

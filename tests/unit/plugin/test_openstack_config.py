"""The provider's configuration: what reaches openstacksdk, what is refused, what stays secret."""

from pulumi.runtime.proto import provider_pb2
from tests.unit.plugin.openstack_cloud import Engine, MemoryCloud, _Context

from refsys.infra.plugins.common.values import UNKNOWN, decode, encode
from refsys.infra.plugins.openstack.config import Config, check, needs_replacement


def test_an_application_credential_becomes_the_sdks_arguments() -> None:
    given = {"authUrl": "http://k:5000/v3", "applicationCredentialId": "i", "applicationCredentialSecret": "s"}
    assert Config.read({**given, "region": "R", "insecure": "true"}).arguments == {
        "auth": {
            "auth_url": "http://k:5000/v3",
            "application_credential_id": "i",
            "application_credential_secret": "s",
        },
        "auth_type": "v3applicationcredential",
        "region_name": "R",
        "verify": False,
    }


def test_a_cloud_by_name_and_other_endpoints() -> None:
    config = Config.read({"cloud": "prod", "endpointOverrides": '{"compute": "http://c/"}'})
    assert config.arguments == {"cloud": "prod", "compute_endpoint_override": "http://c/"}
    assert not Config.read({"cloud": UNKNOWN}).known


def test_refusals() -> None:
    assert dict(check({"cloud": "a", "swauth": "true"})) == {
        "swauth": "swauth is not served by this plugin; leave it out"
    }
    assert [name for name, _ in check({"applicationCredentialId": "i"})] == ["applicationCredentialSecret"]
    assert not check({"cloud": "a", "allowReauth": "true", "version": "5.5.3"})


def test_another_cloud_replaces_the_provider_and_another_password_does_not() -> None:
    assert needs_replacement({"cloud": "a"}, {"cloud": "b"}) == "cloud"
    assert needs_replacement({"cloud": "a", "password": "x"}, {"cloud": "a", "password": "y"}) is None


def test_credentials_become_secret() -> None:
    request = provider_pb2.CheckRequest(
        news=encode({"authUrl": "u", "password": "p", "applicationCredentialSecret": "s"})
    )
    answer = Engine(MemoryCloud()).provider.CheckConfig(request, _Context())
    assert decode(answer.inputs).secrets == {("password",), ("applicationCredentialSecret",)}

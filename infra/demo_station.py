"""The station that an environment with `demo: true` polls; `./refsys demo` plays it on this machine."""

import pulumi

from refsys.infra.clouds.interface import Cloud
from refsys.infra.environment import Environment
from refsys.infra.files import EnvironmentFile
from refsys.infra.passwords import password
from refsys.infra.pki import Authority
from refsys.services.components import Station
from refsys.services.components.stations import AUXILIARY_INBOXES

PORT = 9443
USER = "refsys"
CLIENT = "refsys"


class DemoStation:
    """The station's place, its certificate and its credentials."""

    def __init__(self, environment: Environment, cloud: Cloud, authority: Authority) -> None:
        """Give it the operator machine's address on the nodes' network."""
        self.host = cloud.address(1)
        self.port = PORT
        certificate = authority.issue("demo-station", ip_addresses=[self.host])
        self.password = password("demo-station")
        self.certificate_file = EnvironmentFile("demo/station.pem", environment.name, certificate.certificate_pem)
        self.key_file = EnvironmentFile("demo/station.key", environment.name, certificate.key_pem)
        base = f"https://{self.host}:{self.port}"
        self.station = Station(
            name="DEMO",
            url=f"{base}/odata/v1",
            settings={"token_url": f"{base}/token", "client_id": CLIENT, "username": USER, "poll_seconds": 5},
            secrets={"password": self.password},
            ca_pem=authority.ca_pem,
            inboxes=AUXILIARY_INBOXES,
        )

    def endpoint(self) -> dict[str, pulumi.Input[object]]:
        """What the demo needs to play it."""
        return {
            "host": self.host,
            "port": self.port,
            "certificate_file": self.certificate_file.path,
            "key_file": self.key_file.path,
            "username": USER,
            "password": self.password,
            "client_id": CLIENT,
        }

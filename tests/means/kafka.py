"""A real Apache Kafka 4.1 (KRaft, one node) on loopback: mutual TLS and access rules as in an environment.

The jars come from Maven once, into the cache. The principals `CN=broker` and `CN=admin` may do everything.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.means.certificates import Authority, Certificate
from tests.means.fetched import fetched
from tests.means.processes import Server, free_port, listens, running

VERSION = "4.1.0"
CLUSTER = "4L6g3nShT-eMCtK--X86sw"
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>refsys</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
  </dependency></dependencies>
</project>
"""
LOG4J = """Configuration:
  Appenders: {Console: {name: out, PatternLayout: {pattern: "%d %p %c{1} %m%n"}}}
  Loggers: {Root: {level: warn, AppenderRef: {ref: out}}}
"""


@dataclass(frozen=True)
class Kafka:
    """A running broker; `admin` is the certificate of the administrator."""

    bootstrap: str
    authority: Authority
    server: Server

    def certificate(self, process: str) -> Certificate:
        """The client certificate of a process."""
        return self.authority.issue(process)


def jars() -> Path:
    """The folder of the jars, fetched if they are not there."""
    return fetched(f"kafka-{VERSION}", _fetch)


def _fetch(folder: Path) -> None:
    (folder / "pom.xml").write_text(POM)
    subprocess.run(
        ["mvn", "-q", "-B", "-f", folder / "pom.xml", "dependency:copy-dependencies",
         "-DincludeScope=runtime", f"-DoutputDirectory={folder}"],
        check=True, timeout=900,
    )  # fmt: skip


def _java(main: str, *arguments: str | Path, options: list[str]) -> list[str | Path]:
    return ["java", "-Xmx400m", "-Xms128m", "-XX:+UseSerialGC", *options, "-cp", f"{jars()}/*", main, *arguments]


def _combined(certificate: Certificate, folder: Path) -> Path:
    """Key and certificate in one file, as Kafka's PEM key stores want them."""
    store = folder / "broker.store.pem"
    store.write_bytes(certificate.key_file.read_bytes() + certificate.certificate_file.read_bytes())
    return store


@contextmanager
def kafka(folder: Path, authority: Authority) -> Iterator[Kafka]:
    """Run a broker with its data in a folder until the context ends."""
    folder.mkdir(parents=True, exist_ok=True)
    port, controller = free_port(), free_port()
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"CLIENT://127.0.0.1:{port}",
        "listener.security.protocol.map": "CLIENT:SSL,CONTROLLER:SSL",
        "inter.broker.listener.name": "CLIENT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(_combined(authority.issue("broker"), folder)),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority.ca_file),
        "ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:CN=broker;User:CN=admin",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
    }
    configuration = folder / "server.properties"
    configuration.write_text("\n".join(f"{key}={value}" for key, value in properties.items()))
    (folder / "log4j2.yaml").write_text(LOG4J)
    options = [f"-Dlog4j2.configurationFile={folder / 'log4j2.yaml'}"]
    log = folder / "kafka.log"
    with log.open("ab") as output:
        subprocess.run(
            # Most of its short life's work would be that of the second compiler.
            _java(
                "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", configuration,
                options=[*options, "-XX:TieredStopAtLevel=1"],
            ),
            check=True, stdout=output, stderr=output, timeout=120,
        )  # fmt: skip
    command = _java("kafka.Kafka", configuration, options=options)
    with running(command, log, ready=lambda: listens(port), seconds=120) as server:
        yield Kafka(f"127.0.0.1:{port}", authority, server)

"""Kafka 4 (KRaft): one node that is broker and controller, mutual TLS, access rules by certificate."""

import base64
import hashlib
from dataclasses import dataclass

import pulumi

from refsys.platform.components.component import Component
from refsys.platform.components.configuration import CA, config_files, secret_files
from refsys.platform.components.context import Context
from refsys.platform.components.kafka_metrics import agent_config
from refsys.platform.components.names import (
    KAFKA,
    KAFKA_METRICS_PORT,
    KAFKA_NODE_PORT,
    KAFKA_NODES_PORT,
    KAFKA_PORT,
    TOPICS,
)
from refsys.platform.components.pod import (
    UNPRIVILEGED_USER,
    Metrics,
    Pod,
    Resources,
    claim_mount,
    config_mount,
    scratch_mount,
    secret_mount,
    tcp_probes,
)
from refsys.platform.components.volume import Volume, VolumeArgs
from refsys.platform.components.workload import node_port_service, service, stateful_set

CONFIG_DIRECTORY = "/etc/refsys/kafka"
TLS_DIRECTORY = "/etc/refsys/tls"
DATA_DIRECTORY = "/var/lib/kafka"
METRICS_FILE = "metrics.yml"
CONTROLLER_PORT = 9094
HEAP_MIB = 512
MEMORY_LIMIT_MIB = 1024
START_SECONDS = 120


def kafka_host(domain: str) -> str:
    """Return the name by which nodes know the broker."""
    return f"kafka.{domain}"


def server_properties(domain: str) -> str:
    """Return `server.properties`.

    Nodes come in by a listener of their own, since a client goes on with the address that the broker tells it.

    A client's principal is its certificate's subject, `User:CN=<process>`. The broker itself and the job
    that makes topics and access rules are super users; anybody else may do what a rule says.
    """
    tls = {
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": f"{TLS_DIRECTORY}/keystore.pem",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": f"{TLS_DIRECTORY}/{CA}",
        "ssl.client.auth": "required",
        "ssl.enabled.protocols": "TLSv1.3,TLSv1.2",
    }
    properties = {
        "process.roles": "broker,controller",
        "node.id": "0",
        "controller.quorum.voters": f"0@localhost:{CONTROLLER_PORT}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "CLIENT",
        "listeners": f"CLIENT://:{KAFKA_PORT},NODES://:{KAFKA_NODES_PORT},CONTROLLER://localhost:{CONTROLLER_PORT}",
        "advertised.listeners": f"CLIENT://{KAFKA.host}:{KAFKA_PORT},NODES://{kafka_host(domain)}:{KAFKA_NODE_PORT}",
        "listener.security.protocol.map": "CLIENT:SSL,NODES:SSL,CONTROLLER:SSL",
        **tls,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:CN={KAFKA.name};User:CN={TOPICS.name}",
        "log.dirs": f"{DATA_DIRECTORY}/data",
        "auto.create.topics.enable": "false",
        "min.insync.replicas": "1",
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "10",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "10",
        "group.initial.rebalance.delay.ms": "500",
        "log.retention.hours": "168",
        "log.segment.bytes": "134217728",
    }
    return "".join(f"{name}={value}\n" for name, value in properties.items())


def cluster_id(domain: str) -> str:
    """Return the cluster's identity: 16 bytes as 22 characters of base64, the same for the same domain."""
    raw = bytearray(hashlib.sha256(domain.encode()).digest()[:16])
    raw[0] &= 0x7F  # a first character "-" would look like an option on Kafka's command line
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@dataclass(frozen=True)
class KafkaArgs:
    """Arguments of `Kafka`."""

    context: Context
    size: str = "20Gi"


class Kafka(Component):
    """The broker at `kafka.infra.svc:9093`, and for nodes at node port 32093 of the node that it runs on."""

    def __init__(self, name: str, args: KafkaArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make certificate, configuration, volume and StatefulSet."""
        super().__init__("Kafka", name, args.context, opts)
        context = args.context
        certificate = context.authority.issue(
            KAFKA.name,
            dns_names=(*KAFKA.dns_names, kafka_host(context.domain), "localhost"),
            common_name=KAFKA.name,
            parent=self,
        )
        keystore = pulumi.Output.concat(certificate.key_pem, certificate.certificate_pem)
        tls = secret_files(KAFKA, "kafka-tls", {"keystore.pem": keystore, CA: certificate.ca_pem}, self.child())
        config = config_files(
            KAFKA,
            "kafka-config",
            {"server.properties": server_properties(context.domain), METRICS_FILE: agent_config()},
            self.child(),
        )
        volume = Volume(KAFKA.label, VolumeArgs(context, KAFKA, args.size), self.child())
        service(KAFKA, {"kafka": KAFKA_PORT}, self.child(), headless=True)
        node_port_service(f"{KAFKA.name}-nodes", KAFKA, KAFKA_NODES_PORT, KAFKA_NODE_PORT, self.child())
        pod = Pod(
            KAFKA,
            image=context.image("kafka"),
            user=UNPRIVILEGED_USER,
            env={
                "KAFKA_CLUSTER_ID": cluster_id(context.domain),
                "KAFKA_HEAP_OPTS": f"-Xms{HEAP_MIB}m -Xmx{HEAP_MIB}m",
                "KAFKA_METRICS": f"{KAFKA_METRICS_PORT}:{CONFIG_DIRECTORY}/{METRICS_FILE}",
            },
            mounts=(
                config_mount("config", CONFIG_DIRECTORY, config),
                secret_mount("tls", TLS_DIRECTORY, tls),
                claim_mount("data", DATA_DIRECTORY, volume.claim),
                scratch_mount("temporary", "/tmp", "256Mi"),  # noqa: S108 - the pod's own
            ),
            files=(config, tls),
            ports={"kafka": KAFKA_PORT, "nodes": KAFKA_NODES_PORT},
            metrics=(Metrics("metrics", KAFKA_METRICS_PORT),),
            probes=tcp_probes(KAFKA_PORT, start_seconds=START_SECONDS),
            resources=Resources(cpu="100m", memory=f"{HEAP_MIB + 128}Mi", memory_limit=f"{MEMORY_LIMIT_MIB}Mi"),
            grace_seconds=60,
        )
        self.ready = stateful_set(pod, self.child())
        self.ca_pem = certificate.ca_pem
        self.bootstrap = f"{KAFKA.host}:{KAFKA_PORT}"
        self.register_outputs({"bootstrap": self.bootstrap})

"""Names of namespaces, workloads and in-cluster addresses, each written once."""

from typing import NamedTuple

DATABASE = "database"
INFRA = "infra"
IAM = "iam"
MONITORING = "monitoring"
NETWORKING = "networking"
PROCESSING = "processing"
SECURITY = "security"
PRODUCTION = {"S1": "production-s1", "S2": "production-s2", "S3": "production-s3"}
"""Where the jobs of each mission run."""

POOL_LABEL = "refsys/pool"
"""Label, and key of the taint, of nodes that one kind of pods has to itself."""
PROCESSING_POOL = "processing"
"""The pool of nodes that production jobs have to themselves, where an environment has one."""

NAMESPACES = (DATABASE, INFRA, IAM, MONITORING, NETWORKING, PROCESSING, *PRODUCTION.values(), SECURITY)
SYSTEM = "kube-system"
SYSTEM_NAMESPACES = ("default", "kube-node-lease", "kube-public", SYSTEM)
"""What every cluster has; only in `SYSTEM` do pods run, which come with the nodes."""


class App(NamedTuple):
    """A workload: the namespace it runs in and its `app.kubernetes.io/name`, also the name of its Service."""

    namespace: str
    name: str

    @property
    def selector(self) -> dict[str, str]:
        """The label that its pods have; those that come with the nodes keep upstream's."""
        return {"k8s-app" if self.namespace == SYSTEM else "app.kubernetes.io/name": self.name}

    @property
    def host(self) -> str:
        """Its Service's whole name inside the cluster, which takes one question to find."""
        return f"{self.name}.{self.namespace}.svc.cluster.local"

    @property
    def dns_names(self) -> tuple[str, str]:
        """The names its server certificate must carry."""
        return (self.host.removesuffix(".cluster.local"), self.host)

    @property
    def label(self) -> str:
        """A name unique in the whole environment, for Pulumi's resources."""
        return f"{self.namespace}-{self.name}"


COREDNS = App(SYSTEM, "kube-dns")
CALICO_CONTROLLERS = App(SYSTEM, "calico-kube-controllers")
POSTGRESQL = App(DATABASE, "postgresql")
POSTGRESQL_ROLES = App(DATABASE, "postgresql-roles")
KAFKA = App(INFRA, "kafka")
CLAMAV = App(INFRA, "clamav")
OBJECT_STORE = App(INFRA, "object-store")
OPENLDAP = App(IAM, "openldap")
KEYCLOAK = App(IAM, "keycloak")
KEYCLOAK_REALM = App(IAM, "keycloak-realm")
LOG_STORE = App(MONITORING, "log-store")
ALERTMANAGER = App(MONITORING, "alertmanager")
PROMETHEUS = App(MONITORING, "prometheus")
BLACKBOX = App(MONITORING, "blackbox")
KUBE_STATE_METRICS = App(MONITORING, "kube-state-metrics")
KAFKA_LAG = App(MONITORING, "kafka-lag")
ALERTMANAGER_CHECK = App(MONITORING, "alertmanager-check")
PROMETHEUS_CHECK = App(MONITORING, "prometheus-check")
THANOS_STORE = App(MONITORING, "thanos-store")
THANOS_COMPACTOR = App(MONITORING, "thanos-compactor")
THANOS_QUERY = App(MONITORING, "thanos-query")
GATEWAY = App(NETWORKING, "gateway")
OPENBAO = App(SECURITY, "openbao")
OPENBAO_SETUP = App(SECURITY, "openbao-setup")
OPENBAO_BACKUP = App(SECURITY, "openbao-backup")
MIGRATE = App(PROCESSING, "migrate")
TOPICS = App(PROCESSING, "topics")
BUCKETS = App(PROCESSING, "buckets")
INGESTION_TRIGGER = App(PROCESSING, "ingestion-trigger")
INGESTION_WORKER = App(PROCESSING, "ingestion-worker")
CATALOGUE = App(PROCESSING, "catalogue")
COMPRESSION_FILTER = App(PROCESSING, "compression-filter")
COMPRESSION_WORKER = App(PROCESSING, "compression-worker")
PREPARATION = App(PROCESSING, "preparation")
ROUTER = App(PROCESSING, "router")
PUBLISHER = App(PROCESSING, "publisher")
PRIP = App(PROCESSING, "prip")
METADATA_SEARCH = App(PROCESSING, "metadata-search")
STAC = App(PROCESSING, "stac")
ONDEMAND = App(PROCESSING, "ondemand")
NOTIFIER = App(PROCESSING, "notifier")
CADIP = App(PROCESSING, "cadip")
INGESTOR = App(PROCESSING, "ingestor")
EXECUTION = App(PROCESSING, "execution")
LIFECYCLE = App(PROCESSING, "lifecycle")
RECONCILE = App(PROCESSING, "reconcile")
DLQ = App(PROCESSING, "dlq")
OPERATIONS = App(PROCESSING, "operations")
LOG_INDEXER = App(PROCESSING, "log-indexer")
KPI = App(PROCESSING, "kpi")
DETECTOR = App(PROCESSING, "detector")
EXPORTER = App(PROCESSING, "exporter")

JOBS_S1 = App(PRODUCTION["S1"], "jobs-s1")
JOBS_S2 = App(PRODUCTION["S2"], "jobs-s2")
JOBS_S3 = App(PRODUCTION["S3"], "jobs-s3")
JOBS = {"S1": JOBS_S1, "S2": JOBS_S2, "S3": JOBS_S3}
"""Production jobs by mission: what execution makes of their templates."""

API_CLIENTS = (OPENBAO, PROMETHEUS, KUBE_STATE_METRICS, EXECUTION)
"""Whose pods get a token of the API server: OpenBao asks it who logs in, others what runs; execution runs jobs."""

SECRETS_AUDIENCE = "openbao"
"""For whom the pods' tokens are that log in to OpenBao; the API server takes none of them."""

POSTGRESQL_PORT = 5432
KAFKA_PORT = 9093
KAFKA_NODES_PORT = 9095  # for what runs on nodes
OBJECT_STORE_PORT = 7070
CLAMAV_PORT = 3310
OPENBAO_PORT = 8200
LOG_STORE_PORT = 9200
ALERTMANAGER_PORT = 9093
PROMETHEUS_PORT = 9090
THANOS_QUERY_PORT = 9090
THANOS_GRPC_PORT = 10901
THANOS_METRICS_PORT = 10902
LDAPS_PORT = 6636
PROCESS_PORT = 9090  # the chain's processes: how they are, and their metrics
KEYCLOAK_MANAGEMENT_PORT = 9000
BLACKBOX_PORT = 9115
CLAMAV_METRICS_PORT = 9091
KAFKA_METRICS_PORT = 9404
KUBE_STATE_METRICS_PORT = 8081
NODE_EXPORTER_PORT = 9100
OBJECT_STORE_METRICS_PORT = 9102
POSTGRESQL_METRICS_PORT = 9187
ENVOY_METRICS_PORT = 9902
HEALTH_PORT = 8080  # of the gateway, and of what is behind a sidecar: also the server's metrics, if it has some
HTTPS_PORT = 8443  # Keycloak, the APIs and the gateway inside the cluster
GATEWAY_NODE_PORT = 32443
LDAPS_NODE_PORT = 32636
KAFKA_NODE_PORT = 32093
DNS_PORT = 53
COREDNS_METRICS_PORT = 9153
CALICO_CONTROLLERS_METRICS_PORT = 9094
API_SERVER_PORT = 6443
KUBELET_PORT = 10250
ETCD_METRICS_PORT = 2381
CALICO_METRICS_PORT = 9091
NODE_METRICS_PORTS = (KUBELET_PORT, ETCD_METRICS_PORT, CALICO_METRICS_PORT, NODE_EXPORTER_PORT)
"""What tells its metrics on the nodes themselves."""

"""How Prometheus asks the nodes' exporters (role `node_exporter`): by TLS, with the certificate that it has."""

from typing import Any

from refsys.monitoring.components.scraping import NODES
from refsys.platform.components.configuration import CA, CERTIFICATE, PRIVATE_KEY
from refsys.platform.components.envoy import TLS_DIRECTORY
from refsys.platform.components.names import NODE_EXPORTER_PORT

JOB = "node"
_NODE = "__meta_kubernetes_node_"


def node_exporter_host(domain: str) -> str:
    """Return the name in the certificate that the exporters of all nodes show; no address goes by it."""
    return f"node-exporter.{domain}"


def node_job(domain: str) -> dict[str, Any]:
    """Return Prometheus' job."""
    return {
        "job_name": JOB,
        "file_sd_configs": [NODES],
        "scheme": "https",
        "tls_config": {
            "ca_file": f"{TLS_DIRECTORY}/{CA}",
            "cert_file": f"{TLS_DIRECTORY}/{CERTIFICATE}",
            "key_file": f"{TLS_DIRECTORY}/{PRIVATE_KEY}",
            "server_name": node_exporter_host(domain),
        },
        "relabel_configs": [
            {
                "source_labels": [f"{_NODE}address_InternalIP"],
                "target_label": "__address__",
                "replacement": f"$1:{NODE_EXPORTER_PORT}",
            },
            {"source_labels": [f"{_NODE}name"], "target_label": "node"},
            {"source_labels": [f"{_NODE}name"], "target_label": "instance"},
        ],
    }

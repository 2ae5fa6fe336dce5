"""Where the nodes' exporters listen, and the name that their certificate has."""

NODE_EXPORTER_PORT = 9100


def node_exporter_host(domain: str) -> str:
    """Return the name in the certificate that the exporters of all nodes show; no address goes by it."""
    return f"node-exporter.{domain}"

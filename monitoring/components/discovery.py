"""Tell Prometheus what runs in the cluster; runs beside it, in the `services` image.

Debian builds Prometheus without its discovery in Kubernetes. This asks the API server now and then for pods and nodes,
and writes files of targets with the labels that Prometheus' own discovery would give (as far as `scraping.py` uses
them), so that the rules for them would stay the same. While the API server does not answer, the files stay as they are.

It stands alone (Python, not this package) and takes environment variables: `DISCOVERY_URL` (the API server),
`DISCOVERY_TOKEN_FOLDER` (`token` and `ca.crt`) and `DISCOVERY_FOLDER` (where `pods.json` and `nodes.json` are written).
"""

import json
import os
import ssl
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

SECONDS = 15
TIMEOUT_SECONDS = 10
META = "__meta_kubernetes_"
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"

Json = dict[str, Any]
Target = dict[str, Any]


def targets_of_pod(pod: Json) -> Iterator[Target]:
    """Yield a target for each port of a pod's containers; one for a pod without any."""
    meta, spec, status = pod["metadata"], pod["spec"], pod["status"]
    if not status.get("podIP"):
        return
    labels = {
        f"{META}namespace": meta["namespace"],
        f"{META}pod_name": meta["name"],
        f"{META}pod_ip": status["podIP"],
        f"{META}pod_node_name": spec.get("nodeName", ""),
        f"{META}pod_label_app_kubernetes_io_name": meta.get("labels", {}).get("app.kubernetes.io/name", ""),
        f"{META}pod_label_k8s_app": meta.get("labels", {}).get("k8s-app", ""),
    }
    containers = [*spec["containers"], *spec.get("initContainers", [])]
    ports = [port for container in containers for port in container.get("ports", [])]
    for port in ports:
        named = labels | {f"{META}pod_container_port_name": port.get("name", "")}
        yield {"targets": [f"{status['podIP']}:{port['containerPort']}"], "labels": named}
    if not ports:
        yield {"targets": [status["podIP"]], "labels": labels}


def targets_of_node(node: Json) -> Iterator[Target]:
    """Yield the target of a node."""
    for address in node["status"].get("addresses", []):
        if address["type"] == "InternalIP":
            labels = {
                f"{META}node_name": node["metadata"]["name"],
                f"{META}node_address_InternalIP": address["address"],
                f"{META}node_labelpresent_node_role_kubernetes_io_control_plane": str(
                    CONTROL_PLANE in node["metadata"].get("labels", {})
                ).lower(),
            }
            yield {"targets": [address["address"]], "labels": labels}
            return


# Jobs that ended have no port any more.
KINDS = {
    "pods": ("/api/v1/pods?fieldSelector=status.phase%3DRunning&resourceVersion=0", targets_of_pod),
    "nodes": ("/api/v1/nodes?resourceVersion=0", targets_of_node),
}


def write(url: str, token_folder: Path, folder: Path) -> None:
    """Ask once, and replace the files.

    Raises:
        OSError, HTTPException, ValueError: there was no answer, or not one of the API server.
    """
    trust = ssl.create_default_context(cafile=str(token_folder / "ca.crt"))
    token = (token_folder / "token").read_text().strip()
    for name, (path, targets) in KINDS.items():
        request = urllib.request.Request(url + path, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - https
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=trust) as answer:  # noqa: S310
            items = json.load(answer)["items"]
        found = [target for item in items for target in targets(item)]
        new = folder / f".{name}.new"
        new.write_text(json.dumps(found))
        new.replace(folder / f"{name}.json")


def main() -> None:
    """Write the files again and again."""
    url = os.environ["DISCOVERY_URL"]
    token_folder, folder = Path(os.environ["DISCOVERY_TOKEN_FOLDER"]), Path(os.environ["DISCOVERY_FOLDER"])
    while True:
        try:
            write(url, token_folder, folder)
        except (OSError, HTTPException, ValueError, KeyError) as error:
            sys.stderr.write(f"{json.dumps({'level': 'error', 'event': 'no discovery', 'error': str(error)})}\n")
        time.sleep(SECONDS)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Approve the serving certificates that kubelets ask for: each may have one for its own name and address alone.

A node is known by a file of its name in `KNOWN` that holds its address. `approve-kubelets NODE` waits until that
node's request has come and been approved; without a node it looks once.
"""

import base64
import json
import logging
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KNOWN = Path("/etc/kubernetes/kubelets")
KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")
SIGNER = "kubernetes.io/kubelet-serving"
USAGES = {"digital signature", "key encipherment", "server auth"}
WAIT_SECONDS = 90


def main() -> int:
    """Approve what is right, say what is not; return an exit code."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else None
    deadline = time.monotonic() + WAIT_SECONDS
    while wanted not in approve():
        if time.monotonic() > deadline:
            logging.error("%s: no request for a serving certificate that can be approved in %d s", wanted, WAIT_SECONDS)
            return 1
        time.sleep(0.5)
    return 0


def approve() -> set[str | None]:
    """Approve the requests that are waiting; return the nodes that have an approved one, and None."""
    listed = run(*KUBECTL, "get", "csr", f"--field-selector=spec.signerName={SIGNER}", "--output=json")
    nodes: set[str | None] = {None}
    for request in json.loads(listed)["items"]:
        node = request["spec"]["username"].removeprefix("system:node:")
        conditions = {condition["type"] for condition in request.get("status", {}).get("conditions", [])}
        if not conditions and (wrong := objection(node, request["spec"])):
            logging.warning("%s of %s is not approved: %s", request["metadata"]["name"], node, wrong)
        elif not conditions & {"Denied", "Failed"}:
            if not conditions:
                run(*KUBECTL, "certificate", "approve", request["metadata"]["name"])
            nodes.add(node)
    return nodes


def objection(node: str, spec: dict[str, Any]) -> str:
    """Say what is wrong with a request of `node`; nothing where it is right."""
    known = KNOWN / node
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", node) or not known.is_file():
        return f"there is no node of this name in {KNOWN}"
    if "system:nodes" not in spec.get("groups", []) or not set(spec["usages"]) <= USAGES:
        return f"groups {spec.get('groups')}, usages {spec['usages']}"
    text = run("openssl", "req", "-noout", "-text", "-nameopt", "RFC2253", stdin=base64.b64decode(spec["request"]))
    subject = re.findall(r"Subject: *(.*)", text)
    names = set(re.findall(r"(?:DNS|IP Address|email|URI|othername):[^,\s]+", text))
    own = {f"DNS:{node}", f"IP Address:{known.read_text().strip()}"}
    if subject not in ([f"CN=system:node:{node},O=system:nodes"], [f"O=system:nodes,CN=system:node:{node}"]):
        return f"its subject is {subject}"
    return "" if names and names <= own else f"it is for {sorted(names)}, not for {sorted(own)}"


def run(*command: str, stdin: bytes | None = None) -> str:
    """Run a program; return its output."""
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout.decode()


if __name__ == "__main__":
    logging.basicConfig(format="%(message)s")
    sys.exit(main())

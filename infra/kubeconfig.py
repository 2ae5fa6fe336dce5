"""The kubeconfig of operators: nobody's credentials, but the way to get one's own."""

import base64
import json

import pulumi

from refsys.infra import paths
from refsys.infra.environment import Environment
from refsys.infra.files import EnvironmentFile
from refsys.infra.pki import Authority
from refsys.platform.components.realm import KUBERNETES_CLIENT, issuer_of

LOGIN = "kubectl_login.py"


def operators_kubeconfig(
    environment: Environment, authority: Authority, ca_file: EnvironmentFile, server: str
) -> EnvironmentFile:
    """The kubeconfig, and beside it the program that kubectl asks for a token."""
    program = EnvironmentFile(LOGIN, environment.name, (paths.CHECKOUT / "infra" / LOGIN).read_text(encoding="utf-8"))
    content = pulumi.Output.all(authority.cluster_bundle_pem, program.path, ca_file.path).apply(
        lambda found: _document(environment, server, *found)
    )
    return EnvironmentFile("kubeconfig.operators", environment.name, content)


def _document(environment: Environment, server: str, cluster_pem: str, program: str, ca_file: str) -> str:
    variables = {
        "REFSYS_ISSUER": issuer_of(environment.domain),
        "REFSYS_CLIENT": KUBERNETES_CLIENT,
        "REFSYS_CA_FILE": ca_file,
    }
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "python3",
        "args": [program],
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "interactiveMode": "IfAvailable",
        "installHint": "Python 3.11 or newer is needed",
    }
    authority = base64.b64encode(cluster_pem.encode()).decode()
    name = environment.name
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "operator", "user": {"exec": plugin}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "operator"}}],
        "current-context": name,
    }
    return json.dumps(document, indent=1) + "\n"

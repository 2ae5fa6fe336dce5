"""What the API server refuses, in its own expression language (CEL), for its own ValidatingAdmissionPolicy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refsys.platform.components.names import API_CLIENTS, SECRETS_AUDIENCE, SYSTEM

SYSTEM_WORKLOADS: Mapping[str, Sequence[str]] = {
    "component": ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    "k8s-app": ("calico-node", "kube-proxy"),
}
"""Label → values of the pods in `kube-system` that work on the node itself, and so may use it."""

REGISTRY_KEY = "registry"
"""Key of the parameters that holds host, port and folder of the environment's images; the others are digests."""


@dataclass(frozen=True)
class Rule:
    """An expression that must be true, and the text (an expression too) that says why it is not."""

    expression: str
    message: str


@dataclass(frozen=True)
class Policy:
    """A set of rules for pods."""

    name: str
    rules: Sequence[Rule]
    variables: Mapping[str, str] = field(default_factory=dict)
    """Name → expression; later ones may use earlier ones."""
    in_system: bool | None = None
    """True: only in `kube-system`; False: everywhere else; None: everywhere."""
    unless: str | None = None
    """Expression for pods that the policy leaves alone."""
    signed: bool = False
    """Its parameters are the signed images."""


def _of_containers(pod: str, what: str) -> str:
    """Return the expression for a list with `what` of all containers `c` of `pod`."""
    kinds = ("initContainers", "ephemeralContainers")
    more = [f"(has({pod}.spec.{kind}) ? {pod}.spec.{kind}.map(c, {what}) : [])" for kind in kinds]
    return " + ".join([f"{pod}.spec.containers.map(c, {what})", *more])


# Of a pod that is there already only what an update brings counts: it must be possible to end one of yesterday.
_IMAGES = {
    "before": f"oldObject == null ? [] : {_of_containers('oldObject', 'c.image')}",
    "images": f"({_of_containers('object', 'c.image')}).filter(i, !(i in variables.before))",
}
_SYSTEM_PODS = " || ".join(
    f"object.metadata.labels[?'{label}'].orValue('') in {list(values)!r}" for label, values in SYSTEM_WORKLOADS.items()
)

IMAGES = Policy(
    "refsys-signed-images",
    in_system=False,
    signed=True,
    variables=_IMAGES
    | {
        "registry": f"params.data['{REGISTRY_KEY}'] + '/'",
        "foreign": "variables.images.filter(i, !i.startsWith(variables.registry))",
        "tagged": "variables.images.filter(i, !i.matches('@sha256:[0-9a-f]{64}$'))",
        "unsigned": (
            "variables.images.filter(i, i.contains('@sha256:') && "
            "!(i.split('@sha256:')[1] in params.data && params.data[i.split('@sha256:')[1]] == i.split('@sha256:')[0]))"
        ),
    },
    rules=(
        Rule(
            "variables.foreign.size() == 0",
            "variables.foreign.join(', ') + ': images come from ' + variables.registry + ' alone'",
        ),
        Rule(
            "variables.tagged.size() == 0",
            "variables.tagged.join(', ') + ': a tag may be anything tomorrow; name a digest (@sha256:…)'",
        ),
        Rule(
            "variables.unsigned.size() == 0",
            "variables.unsigned.join(', ') + ': is not among the signed images of this environment "
            "(ConfigMap refsys-signed-images in kube-system)'",
        ),
    ),
)

SYSTEM_IMAGES = Policy(
    "refsys-system-images",
    in_system=True,
    signed=True,
    variables=_IMAGES
    | {
        "registry": f"params.data['{REGISTRY_KEY}'] + '/'",
        "foreign": "variables.images.filter(i, !i.startsWith(variables.registry))",
        "latest": "variables.images.filter(i, !i.matches('(@|/[^/]*:)[^/]+$') || i.endsWith(':latest'))",
    },
    rules=(
        Rule(
            "variables.foreign.size() == 0",
            "variables.foreign.join(', ') + ': images come from ' + variables.registry + ' alone'",
        ),
        Rule("variables.latest.size() == 0", "variables.latest.join(', ') + ': name a version or a digest'"),
    ),
)

HOST = Policy(
    "refsys-host",
    unless=f"request.namespace == '{SYSTEM}' && has(object.metadata.labels) && ({_SYSTEM_PODS})",
    variables={
        "volumes": "has(object.spec.volumes) ? object.spec.volumes.filter(v, has(v.hostPath)) : []",
        "paths": "variables.volumes.map(v, v.hostPath.path)",
        "privileged": _of_containers(
            "object", "has(c.securityContext) && c.securityContext.?privileged.orValue(false)"
        ),
        "ports": _of_containers("object", "has(c.ports) && c.ports.exists(p, p.?hostPort.orValue(0) != 0)"),
    },
    rules=(
        Rule("variables.paths.size() == 0", "variables.paths.join(', ') + ': no folder of a node may be mounted'"),
        Rule(
            "!object.spec.?hostNetwork.orValue(false) && !object.spec.?hostPID.orValue(false) && "
            "!object.spec.?hostIPC.orValue(false)",
            "'hostNetwork, hostPID and hostIPC are refused: a pod must not see the node or its neighbours'",
        ),
        Rule("!variables.privileged.exists(p, p)", "'a privileged container is root on the node'"),
        Rule("!variables.ports.exists(p, p)", "'hostPort opens a port of the node past the network policies'"),
    ),
)

TOKENS = Policy(
    "refsys-tokens",
    in_system=False,
    unless=" || ".join(
        f"(request.namespace == '{app.namespace}' && object.spec.?serviceAccountName.orValue('') == '{app.name}')"
        for app in API_CLIENTS
    ),
    rules=(
        Rule(
            "!has(object.spec.volumes) || object.spec.volumes.all(v, !has(v.projected) || "
            "!has(v.projected.sources) || v.projected.sources.all(s, !has(s.serviceAccountToken) || "
            f"s.serviceAccountToken.?audience.orValue('') == '{SECRETS_AUDIENCE}'))",
            "'the pod would get a token of the API server, which nothing here needs; set "
            "automountServiceAccountToken: false'",
        ),
    ),
)

POLICIES = (IMAGES, SYSTEM_IMAGES, HOST, TOKENS)

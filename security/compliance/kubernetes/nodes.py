"""Checks of what was seen on the nodes."""

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import yaml

from refsys.security.compliance.kubernetes.checks import Check, Condition, FileCheck, KubeletCheck
from refsys.security.compliance.kubernetes.report import Seen, Strict, judged

KUBELET = "/var/lib/kubelet/config.yaml"
AUTHENTICATION = "/etc/kubernetes/apiserver/authentication.yaml"
AUDIT_POLICY = "/etc/kubernetes/apiserver/audit-policy.yaml"
STRONG_PROVIDERS = ("aescbc", "kms", "secretbox")
AUDITED = ("secrets", "configmaps", "tokenreviews", "pods", "deployments", "pods/exec", "pods/portforward")


class File(Strict):
    """A file of a node."""

    path: str
    mode: str
    owner: str


class NodeFacts(Strict):
    """What `collect.py` saw on one node."""

    files: list[File]
    processes: Mapping[str, list[str]]
    documents: Mapping[str, str]
    encryption: list[str]

    @property
    def is_control_plane(self) -> bool:
        """Whether an API server runs on it."""
        return "kube-apiserver" in self.processes

    def flag(self, process: str, name: str) -> str | None:
        """Return the value of a flag; one without a value is true."""
        for argument in self.processes.get(process, []):
            key, _, value = argument.lstrip("-").partition("=")
            if argument.startswith("--") and key == name:
                return value or "true"
        return None

    def document(self, path: str) -> dict[str, Any]:
        """Return a configuration file, empty where there is none."""
        return yaml.safe_load(self.documents.get(path, "")) or {}


def on_nodes(check: Check, nodes: Mapping[str, NodeFacts]) -> Seen:
    """Judge a check on every node it is for; one that fails it is enough."""
    concerned = {name: node for name, node in nodes.items() if check.where == "all" or node.is_control_plane}
    seen = {name: _on_node(check, node) for name, node in concerned.items()}
    if not seen:
        return judged(False, "no node was seen", "a control plane node")
    worst = "fail" if any(one.status == "fail" for one in seen.values()) else next(iter(seen.values())).status
    told = {name: one.seen for name, one in seen.items() if one.status == worst}
    return Seen(
        status=worst,
        seen="; ".join(f"{name}: {text}" for name, text in told.items()),
        expected=next(iter(seen.values())).expected,
    )


def _on_node(check: Check, node: NodeFacts) -> Seen:
    if check.file:
        return _files(check.file, node)
    if check.kubelet:
        return _kubelet(check.kubelet, node)
    if check.flags is not None and check.process:
        return _flags(check.process, check.flags, node)
    return FUNCTIONS[str(check.node)](node)


def _files(check: FileCheck, node: NodeFacts) -> Seen:
    expected = f"{' '.join(check.paths)}: {check.mode or check.owner}"
    found = [file for file in node.files if any(fnmatchcase(file.path, path) for path in check.paths)]
    if not found:
        status = "not applicable" if check.optional else "fail"
        return Seen(status=status, seen="there is no such file", expected=expected)
    wrong = [file for file in found if _is_wrong(check, file)]
    told = [f"{file.path} {file.mode} {file.owner}" for file in wrong or found[:3]]
    return judged(not wrong, ", ".join(told), expected)


def _is_wrong(check: FileCheck, file: File) -> bool:
    return bool((check.owner and file.owner != check.owner) or (check.mode and int(file.mode, 8) & ~int(check.mode, 8)))


def _flags(process: str, flags: Mapping[str, Condition], node: NodeFacts) -> Seen:
    if process not in node.processes:
        return judged(False, f"{process} does not run", f"{process} runs")
    values = {name: node.flag(process, name) for name in flags}
    right = all(_holds(condition, values[name]) for name, condition in flags.items())
    seen = ", ".join(f"--{name}={value}" if value is not None else f"no --{name}" for name, value in values.items())
    return judged(right, seen, ", ".join(f"--{name} {_told(condition)}" for name, condition in flags.items()))


def _kubelet(check: KubeletCheck, node: NodeFacts) -> Seen:
    value: Any = node.document(KUBELET)
    for part in check.field.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if check.flag and (given := node.flag("kubelet", check.flag)) is not None:
        value = given
    text = None if value is None else ",".join(map(str, value)) if isinstance(value, list) else _text(value)
    return judged(_holds(check, text), f"{check.field}: {text}", f"{check.field} {_told(check)}")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _holds(condition: Condition, given: str | None) -> bool:
    value = condition.default if given is None else given
    if condition.absent or value is None:
        return condition.absent and value is None
    elements = value.split(",")
    return (
        condition.equals in (None, value)
        and (condition.has is None or condition.has in elements)
        and (condition.lacks is None or condition.lacks not in elements)
        and (condition.at_least is None or int(value) >= condition.at_least)
        and (condition.only is None or set(elements) <= set(condition.only))
    )


def _told(condition: Condition) -> str:
    words = {
        "not set": condition.absent,
        f"is {condition.equals}": condition.equals is not None,
        f"has {condition.has}": condition.has is not None,
        f"lacks {condition.lacks}": condition.lacks is not None,
        f"at least {condition.at_least}": condition.at_least is not None,
        f"nothing but {', '.join(condition.only or [])}": condition.only is not None,
    }
    return " and ".join(word for word, said in words.items() if said) or "set"


def _anonymous(node: NodeFacts) -> Seen:
    configured = node.document(AUTHENTICATION).get("anonymous") or {"enabled": True}
    taken = configured.get("enabled") and node.flag("kube-apiserver", "anonymous-auth") != "false"
    paths = [condition["path"] for condition in configured.get("conditions") or []]
    seen = f"taken for {', '.join(paths) or 'every path'}" if taken else "refused"
    return judged(not taken, seen, "refused")


def _encryption(node: NodeFacts) -> Seen:
    right = node.encryption[:1] and node.encryption[0] in STRONG_PROVIDERS
    return judged(bool(right), " then ".join(node.encryption) or "none", f"first one of {', '.join(STRONG_PROVIDERS)}")


def _etcd_authority(node: NodeFacts) -> Seen:
    own, cluster = node.flag("etcd", "trusted-ca-file"), node.flag("kube-apiserver", "client-ca-file")
    return judged(own not in (None, cluster), f"etcd: {own}, cluster: {cluster}", "different files")


def _identity_provider(node: NodeFacts) -> Seen:
    issuers = [entry["issuer"]["url"] for entry in node.document(AUTHENTICATION).get("jwt") or []]
    return judged(bool(issuers), ", ".join(issuers) or "none; administrators have certificates", "an issuer of tokens")


def _audit_policy(node: NodeFacts) -> Seen:
    rules = node.document(AUDIT_POLICY).get("rules") or []
    audited = {name for rule in rules if rule["level"] != "None" for name in _resources(rule)}
    content = {name for rule in rules if rule["level"].startswith("Request") for name in _resources(rule)}
    missing = [name for name in AUDITED if name not in audited]
    leaked = sorted({"secrets", "tokenreviews"} & content)
    seen = f"not audited: {', '.join(missing) or 'nothing'}; with content: {', '.join(leaked) or 'no secret'}"
    return judged(not missing and not leaked, seen, f"audited: {', '.join(AUDITED)}; secrets without content")


def _resources(rule: Mapping[str, Any]) -> Sequence[str]:
    return [name for group in rule.get("resources") or [] for name in group.get("resources") or []]


FUNCTIONS: Mapping[str, Callable[[NodeFacts], Seen]] = {
    "anonymous": _anonymous,
    "audit_policy": _audit_policy,
    "encryption": _encryption,
    "etcd_authority": _etcd_authority,
    "identity_provider": _identity_provider,
}

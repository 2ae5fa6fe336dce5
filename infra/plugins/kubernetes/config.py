"""The provider's configuration (`pulumi_kubernetes.Provider`)."""

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import UNKNOWN, Properties
from refsys.infra.plugins.kubernetes.objects import is_true

_NOT_SERVED = {
    "renderYamlToDirectory": "writing manifests to a folder is not supported by this plugin; leave it out",
    "skipUpdateUnreachable": "skipping an unreachable cluster is not supported by this plugin; leave it out",
}


@dataclass(frozen=True)
class Config:
    """How to reach the cluster. `kubeconfig` is content; `None` stands for the operator's own kubeconfig."""

    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    namespace: str | None = None
    delete_unreachable: bool = False
    config_map_mutable: bool = False
    secret_mutable: bool = False
    known: bool = True
    """False while a preview doesn't know the kubeconfig yet."""

    @classmethod
    def read(cls, properties: Properties) -> "Config":
        """Read the provider's properties. Raises `PluginError` where the kubeconfig file can't be read."""

        def text(key: str) -> str | None:
            value = properties.get(key)
            return value if isinstance(value, str) and value else None

        content = text("kubeconfig")
        keys = ("kubeconfig", "context", "cluster", "namespace")
        return cls(
            kubeconfig=kubeconfig_content(content) if content else None,
            context=text("context"),
            cluster=text("cluster"),
            namespace=text("namespace"),
            delete_unreachable=is_true(properties.get("deleteUnreachable")),
            config_map_mutable=is_true(properties.get("enableConfigMapMutable")),
            secret_mutable=is_true(properties.get("enableSecretMutable")),
            known=not any(properties.get(key) is UNKNOWN for key in keys),
        )


def kubeconfig_content(value: str) -> str:
    """Return the content of a kubeconfig given as content or as the path of a file."""
    if "\n" in value or value.lstrip().startswith("{"):
        return value
    path = Path(value).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise PluginError(
            f"provider kubernetes: can't read the kubeconfig {path}: {error.strerror}; "
            "give the path of a readable file, or its content"
        ) from error


def parse_kubeconfig(content: str) -> dict[str, Any]:
    """Parse a kubeconfig. Raises `PluginError` without showing its content, which is secret."""
    try:
        parsed = yaml.safe_load(content)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise PluginError(f"provider kubernetes: the kubeconfig is no valid YAML{line}") from None
    if not isinstance(parsed, dict) or not parsed.get("clusters"):
        raise PluginError("provider kubernetes: the kubeconfig names no cluster; give the one that kubeadm wrote")
    return parsed


def server_of(properties: Properties) -> str | None:
    """Return the API server's address that the properties lead to, where it can be told."""
    value = properties.get("kubeconfig")
    if not isinstance(value, str) or not value:
        return None
    try:
        parsed = parse_kubeconfig(kubeconfig_content(value))
    except PluginError:
        return None
    context = _chosen_context(parsed, properties.get("context"))
    server = _named(parsed, "clusters", properties.get("cluster") or context.get("cluster")).get("server")
    return server if isinstance(server, str) else None


def default_namespace(config: Config) -> str:
    """Return the namespace of objects that name none: the provider's, the context's, or `default`."""
    if config.namespace:
        return config.namespace
    content = config.kubeconfig
    own = Path(os.environ.get("KUBECONFIG", "~/.kube/config").split(os.pathsep)[0]).expanduser()
    if content is None and own.is_file():
        content = own.read_text(encoding="utf-8")
    if content is None:
        return "default"
    return _namespace_of(content, config.context)


# Asked for each resource, and the YAML takes a while.
@lru_cache(maxsize=4)
def _namespace_of(kubeconfig: str, context: str | None) -> str:
    namespace = _chosen_context(parse_kubeconfig(kubeconfig), context).get("namespace")
    return namespace if isinstance(namespace, str) and namespace else "default"


def _chosen_context(kubeconfig: dict[str, Any], name: Any) -> dict[str, Any]:
    return _named(kubeconfig, "contexts", name or kubeconfig.get("current-context"))


def _named(kubeconfig: dict[str, Any], section: str, name: Any) -> dict[str, Any]:
    found: dict[str, Any] = next((item for item in kubeconfig.get(section) or [] if item.get("name") == name), {})
    return found.get(section.removesuffix("s")) or {}


def check(properties: Properties) -> list[tuple[str, str]]:
    """Return what is wrong with the properties: pairs of property and reason."""
    failures = [
        (key, reason) for key, reason in _NOT_SERVED.items() if properties.get(key) not in (None, "", "false", False)
    ]
    if properties.get("enableServerSideApply") in (False, "false"):
        failures.append(("enableServerSideApply", "this plugin works by server-side apply only; leave it out"))
    value = properties.get("kubeconfig")
    if isinstance(value, str) and value:
        try:
            parse_kubeconfig(kubeconfig_content(value))
        except PluginError as error:
            failures.append(("kubeconfig", str(error)))
    return failures


def needs_replacement(old: Properties, new: Properties) -> str | None:
    """Return the property whose change means another cluster, so that all objects have to move."""
    before, after = old.get("clusterIdentifier"), new.get("clusterIdentifier")
    if before or after:
        return "clusterIdentifier" if before != after and after is not UNKNOWN else None
    was, now = server_of(old), server_of(new)
    return "kubeconfig" if was and now and was != now else None

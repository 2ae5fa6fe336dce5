"""What resources of the clouds say, in common terms: ports let in, volumes, tags, buckets."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refsys.infra.plan.changes import Resource
from refsys.infra.plan.groups import group_of

ANYWHERE = frozenset({"0.0.0.0/0", "::/0", ""})
TCP = frozenset({"", "tcp", "any", "all", "6"})
PUBLIC_ACLS = frozenset({"public-read", "public-read-write", "authenticated-read"})
_TAGGED = re.compile(
    r"^openstack:(compute/instance:|networking/(network|subnet|router|port|floatingIp|secGroup):|blockstorage/volume:)"
    r"|^scaleway:(instance|network|block|loadbalancers|object)/\w+:(Server|Volume|Ip|SecurityGroup|Vpc|PrivateNetwork"
    r"|PublicGateway|LoadBalancer|Bucket)$"
)
# `SCS-4V-16` (docs.scs.community/standards/scs-0100-v3-flavor-naming), `POP2-4C-16G` (Scaleway).
_FLAVOUR = re.compile(r"-(\d+)[CTVL]i?-\d")
_TAG_FIELDS = ("tags", "metadata")


@dataclass(frozen=True)
class Opening:
    """Ports of TCP that a resource lets in."""

    first: int
    last: int
    source: str

    @property
    def is_ssh_from_anywhere(self) -> bool:
        """Whether the whole world comes to port 22 by it."""
        return self.first <= 22 <= self.last and self.source in ANYWHERE


def is_node(resource: Resource) -> bool:
    """Whether it is a machine."""
    return group_of(resource.kind) == "nodes"


def is_volume(resource: Resource) -> bool:
    """Whether it is a volume of a cloud."""
    return bool(re.search(r"^(?!kubernetes:).*:Volume$", resource.kind))


def holds_data(resource: Resource) -> bool:
    """Whether data is lost with it, which nothing brings back."""
    return is_node(resource) or is_volume(resource) or bool(re.search(r":(Container|Bucket)$", resource.kind))


def openings(resource: Resource) -> Iterator[Opening]:
    """What the resource lets in, where it is a security group or a rule of one."""
    given = resource.inputs
    if resource.kind == "openstack:networking/secGroupRule:SecGroupRule":
        if given.get("direction") == "ingress" and not given.get("remoteGroupId") and _is_tcp(given):
            last = int(given.get("portRangeMax") or 0) or 65535
            yield Opening(int(given.get("portRangeMin") or 0), last, str(given.get("remoteIpPrefix") or ""))
    elif re.match(r"scaleway:instance/securityGroup(Rules)?:", resource.kind):
        if given.get("inboundDefaultPolicy", "accept") == "accept" and resource.kind.endswith(":SecurityGroup"):
            yield Opening(0, 65535, "")
        for rule in given.get("inboundRules") or []:
            if rule.get("action") == "accept" and _is_tcp(rule):
                first, last = _range(rule)
                yield Opening(first, last, str(rule.get("ipRange") or rule.get("ip") or ""))


def volume_type(resource: Resource) -> str:
    """The type of a volume, as its cloud calls it."""
    return str(resource.inputs.get("volumeType") or resource.inputs.get("type") or "")


def tags(resource: Resource) -> frozenset[str] | None:
    """Keys of the resource's tags; None for what can't have any. A text `key=value` is a tag too."""
    if not _TAGGED.match(resource.kind):
        return None
    found: set[str] = set()
    for field in _TAG_FIELDS:
        value = resource.inputs.get(field)
        if isinstance(value, Mapping):
            found |= set(value)
        elif isinstance(value, Sequence) and not isinstance(value, str):
            found |= {re.split("[=:]", str(each), maxsplit=1)[0] for each in value}
    return frozenset(found)


def public_access(resource: Resource) -> str:
    """How everybody reaches a bucket; empty where nobody does without a login."""
    given = resource.inputs
    if resource.kind == "openstack:objectstorage/container:Container":
        lists = (str(given.get(name) or "") for name in ("containerRead", "containerWrite"))
        return next((each for each in lists if re.search(r"\.r:\*|\.rlistings|^\*:\*$", each)), "")
    if re.match(r"scaleway:object/bucket(Acl)?:", resource.kind) and given.get("acl") in PUBLIC_ACLS:
        return str(given["acl"])
    return ""


def vcpus(resource: Resource) -> float | None:
    """A node's processors, by its inputs or by the name of its flavour; None where neither tells them."""
    value = resource.inputs.get("cpus")
    if isinstance(value, int | float):
        return float(value)
    flavour = str(resource.inputs.get("flavorName") or resource.inputs.get("type") or "")
    named = _FLAVOUR.search(flavour)
    return float(named[1]) if named else None


def _is_tcp(rule: Mapping[str, Any]) -> bool:
    return str(rule.get("protocol") or "").lower() in TCP


def _range(rule: Mapping[str, Any]) -> tuple[int, int]:
    text = str(rule.get("portRange") or rule.get("port") or "0-65535")
    first, _, last = text.partition("-")
    return int(float(first)), int(float(last or first))

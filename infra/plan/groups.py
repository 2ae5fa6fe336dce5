"""Resources in the groups in which a person looks at them, the most telling first."""

import re

GROUPS = (
    ("nodes", r":(Node|Server|Instance)$"),
    ("volumes and buckets", r":(Volume|VolumeAttach|Container|Bucket|ObjectBucket)$"),
    ("network", r"^(local:|openstack:(networking|loadbalancer)/|scaleway:(network|loadbalancers|ipam)/)"),
    ("network", r":(SecurityGroup|SecurityGroupRules|Ip|FloatingIp|FloatingIpAssociate|InstanceIp)$"),
    ("setup of nodes", r"^refsys:Playbook$"),
    ("cluster", r"^kubernetes:|^pulumi:providers:"),
    ("images", r"(?i)image"),
    ("keys, certificates and passwords", r":(Authority|Certificate|Password|\w*Key\w*)$"),
)
OTHER = "other"


def group_of(kind: str) -> str:
    """The group of a type's token."""
    return next((group for group, pattern in GROUPS if re.search(pattern, kind)), OTHER)


def in_order() -> list[str]:
    """All groups, the first to look at first."""
    return [*dict.fromkeys(group for group, _ in GROUPS), OTHER]

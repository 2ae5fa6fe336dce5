"""The operators' ClusterRoles and what binds them to the operators' groups."""

import pulumi
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs
from pulumi_kubernetes.rbac import v1 as rbac

from refsys.platform.components.component import Component
from refsys.platform.components.context import Context
from refsys.security.components.access import ACCESS, Access


class OperatorRoles(Component):
    """`refsys:viewer`, `refsys:operator` and `refsys:admin`, each bound to the group of its name."""

    def __init__(self, name: str, context: Context, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the roles and the bindings."""
        super().__init__("OperatorRoles", name, context, opts, package="security")
        for access in ACCESS:
            self._role(access)
        self.register_outputs({})

    def _role(self, access: Access) -> None:
        role = rbac.ClusterRole(
            access.name,
            metadata=ObjectMetaArgs(name=access.name),
            rules=[
                rbac.PolicyRuleArgs(api_groups=[right.group], resources=list(right.resources), verbs=list(right.verbs))
                for right in access.rights
            ],
            opts=self.child(),
        )
        group = "rbac.authorization.k8s.io"
        rbac.ClusterRoleBinding(
            access.name,
            metadata=ObjectMetaArgs(name=access.name),
            role_ref=rbac.RoleRefArgs(api_group=group, kind="ClusterRole", name=access.name),
            subjects=[rbac.SubjectArgs(api_group=group, kind="Group", name=access.name)],
            opts=self.child(role),
        )

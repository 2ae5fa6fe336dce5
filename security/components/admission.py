"""Admission by the API server itself: signed images, nothing of the node, no tokens."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.admissionregistration import v1 as admission
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, LabelSelectorRequirementArgs, ObjectMetaArgs

from refsys.platform.components.component import Component
from refsys.platform.components.context import Context
from refsys.platform.components.names import SYSTEM
from refsys.security.components.policies import POLICIES, REGISTRY_KEY, Policy

PARAMETERS = "refsys-signed-images"


@dataclass(frozen=True)
class AdmissionArgs:
    """Arguments of `Admission`."""

    context: Context
    registry: str
    """Host, port and folder of the environment's images, for example `registry.example.org:5000/refsys`."""
    signed: pulumi.Input[Mapping[str, str]]
    """Digest (hexadecimal) → repository of the images whose signatures were found right."""


class Admission(Component):
    """The policies, in force for all pods of the cluster.

    Attributes:
        ready: their bindings; others depend on them, so that no pod starts before.
    """

    def __init__(self, name: str, args: AdmissionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the policies, their parameters and their bindings."""
        super().__init__("Admission", name, args.context, opts, package="security")
        signed = pulumi.Output.from_input(args.signed).apply(lambda known: {REGISTRY_KEY: args.registry, **known})
        parameters = core.ConfigMap(
            PARAMETERS, metadata=ObjectMetaArgs(name=PARAMETERS, namespace=SYSTEM), data=signed, opts=self.child()
        )
        self.ready = [self._policy(policy, parameters) for policy in POLICIES]
        self.register_outputs({})

    def _policy(self, policy: Policy, parameters: core.ConfigMap) -> admission.ValidatingAdmissionPolicyBinding:
        made = admission.ValidatingAdmissionPolicy(
            policy.name,
            metadata=ObjectMetaArgs(name=policy.name),
            spec=policy_spec(policy),
            opts=self.child(parameters),
        )
        reference = admission.ParamRefArgs(name=PARAMETERS, namespace=SYSTEM, parameter_not_found_action="Deny")
        return admission.ValidatingAdmissionPolicyBinding(
            policy.name,
            metadata=ObjectMetaArgs(name=policy.name),
            spec=admission.ValidatingAdmissionPolicyBindingSpecArgs(
                policy_name=policy.name,
                param_ref=reference if policy.signed else None,
                validation_actions=["Deny", "Audit"],
            ),
            opts=self.child(made),
        )


def policy_spec(policy: Policy) -> admission.ValidatingAdmissionPolicySpecArgs:
    """Return the policy as Kubernetes has it; where it can't be asked, pods are refused."""
    kind = admission.ParamKindArgs(api_version="v1", kind="ConfigMap")
    exceptions = [admission.MatchConditionArgs(name="not-excepted", expression=f"!({policy.unless})")]
    return admission.ValidatingAdmissionPolicySpecArgs(
        failure_policy="Fail",
        param_kind=kind if policy.signed else None,
        match_constraints=admission.MatchResourcesArgs(
            namespace_selector=_namespaces(policy.in_system),
            resource_rules=[
                admission.NamedRuleWithOperationsArgs(
                    api_groups=[""],
                    api_versions=["v1"],
                    operations=["CREATE", "UPDATE"],
                    resources=["pods", "pods/ephemeralcontainers"],
                )
            ],
        ),
        match_conditions=exceptions if policy.unless else None,
        variables=[
            admission.VariableArgs(name=name, expression=expression) for name, expression in policy.variables.items()
        ],
        validations=[
            admission.ValidationArgs(
                expression=rule.expression, message_expression=rule.message, message=policy.name, reason="Forbidden"
            )
            for rule in policy.rules
        ],
    )


def _namespaces(in_system: bool | None) -> LabelSelectorArgs:
    if in_system is None:
        return LabelSelectorArgs()
    operator = "In" if in_system else "NotIn"
    name = LabelSelectorRequirementArgs(key="kubernetes.io/metadata.name", operator=operator, values=[SYSTEM])
    return LabelSelectorArgs(match_expressions=[name])

"""Admission policies and operators' roles as they are declared."""

import json
from typing import Any

import pytest
from tests.unit.components.mocked_stack import DOMAIN, Made, recorded

from refsys.platform.components import Context
from refsys.security.components import Admission, AdmissionArgs, OperatorRoles
from refsys.security.components.access import ACCESS, ADMIN, OPERATOR, VIEWER, Access
from refsys.security.components.policies import POLICIES

REGISTRY = f"registry.{DOMAIN}:5000/refsys"


@pytest.fixture(scope="module")
def security() -> list[Made]:
    def program(context: Context) -> None:
        Admission("admission", AdmissionArgs(context, REGISTRY, {"0" * 64: f"{REGISTRY}/services"}))
        OperatorRoles("roles", context)

    return recorded(program)


def of(made: list[Made], kind: str) -> dict[str, Any]:
    return {item.name: item.inputs for item in made if item.kind == kind}


def test_every_policy_is_bound_and_denies(security: list[Made]) -> None:
    policies, bindings = of(security, "ValidatingAdmissionPolicy"), of(security, "ValidatingAdmissionPolicyBinding")
    assert set(policies) == set(bindings) == {policy.name for policy in POLICIES}
    for name, binding in bindings.items():
        assert binding["spec"]["policyName"] == name
        assert "Deny" in binding["spec"]["validationActions"]
        assert policies[name]["spec"]["failurePolicy"] == "Fail"
        assert ("paramKind" in policies[name]["spec"]) is ("paramRef" in binding["spec"])
        assert binding["spec"].get("paramRef", {}).get("parameterNotFoundAction", "Deny") == "Deny"


def test_the_parameters_are_the_registry_and_the_signed_images(security: list[Made]) -> None:
    (parameters,) = of(security, "ConfigMap").values()
    assert parameters["data"] == {"registry": REGISTRY, "0" * 64: f"{REGISTRY}/services"}


def test_roles_are_bound_to_groups_and_have_no_wildcard(security: list[Made]) -> None:
    roles, bindings = of(security, "ClusterRole"), of(security, "ClusterRoleBinding")
    assert set(roles) == set(bindings) == {access.name for access in ACCESS}
    assert "*" not in json.dumps([role["rules"] for role in roles.values()])
    for name, binding in bindings.items():
        assert [(one["kind"], one["name"]) for one in binding["subjects"]] == [("Group", name)]
        assert binding["roleRef"]["name"] == name


def verbs(access: Access, resource: str) -> set[str]:
    return {verb for right in access.rights if resource in right.resources for verb in right.verbs}


def test_nobody_reads_secrets_or_widens_rights() -> None:
    for access in ACCESS:
        assert verbs(access, "secrets") & {"get", "list", "watch"} == set()
        assert verbs(access, "clusterroles") | verbs(access, "rolebindings") <= {"get", "list", "watch"}
        assert verbs(access, "validatingadmissionpolicies") <= {"get", "list", "watch"}
    assert {verb for right in VIEWER.rights for verb in right.verbs} == {"get", "list", "watch"}
    assert "create" not in verbs(OPERATOR, "pods") | verbs(OPERATOR, "pods/exec")
    assert "create" in verbs(ADMIN, "pods/exec")

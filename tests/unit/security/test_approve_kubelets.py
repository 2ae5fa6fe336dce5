"""Serving certificates of kubelets: only for the node's own name and address."""

import base64
import importlib.util
from ipaddress import ip_address
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from refsys.infra import paths

SCRIPT = paths.CHECKOUT / "platform/roles/kubernetes_control_plane/files/approve_kubelets.py"


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("approve_kubelets", SCRIPT)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.KNOWN = tmp_path  # type: ignore[attr-defined]
    (tmp_path / "w1").write_text("10.0.0.20\n")
    return module


def request(
    *, node: str = "w1", names: tuple[str, ...] = ("w1",), addresses: tuple[str, ...] = ("10.0.0.20",), **more: Any
) -> dict[str, Any]:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{more.pop('common_name', node)}"),
        ]
    )
    alternatives = [*map(x509.DNSName, names), *(x509.IPAddress(ip_address(one)) for one in addresses)]
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    )
    return {
        "request": base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode(),
        "groups": ["system:nodes", "system:authenticated"],
        "usages": ["digital signature", "server auth"],
    } | more


def test_its_own_name_and_address_are_right(script: ModuleType) -> None:
    assert script.objection("w1", request()) == ""


@pytest.mark.parametrize(
    ("node", "spec", "reason"),
    [
        ("w9", request(node="w9"), "no node of this name"),
        ("../w1", request(), "no node of this name"),
        ("w1", request(names=("w1", "api.example.org")), "api.example.org"),
        ("w1", request(addresses=("10.0.0.20", "10.0.0.10")), "10.0.0.10"),
        ("w1", request(common_name="w2"), "subject"),
        ("w1", request(groups=["system:authenticated"]), "groups"),
        ("w1", request(usages=["client auth"]), "usages"),
    ],
)
def test_anything_else_is_not(script: ModuleType, node: str, spec: dict[str, Any], reason: str) -> None:
    assert reason in script.objection(node, spec)

"""The root of trust of a running environment, from its encrypted state: what it signs, the environment trusts."""

import ipaddress
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from refsys.infra import paths

EXPORT = 'eval "$(./refsys toolchain env)" && pulumi stack export --stack "$1" --show-secrets'


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate_pem: str
    key_pem: str


@dataclass(frozen=True)
class Root:
    """The environment's root authority."""

    certificate_pem: str
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def of(cls, environment: str) -> "Root":
        """Read it from the state of a stack."""
        command = ["bash", "-c", EXPORT, "bash", environment]
        done = subprocess.run(command, cwd=paths.CHECKOUT, capture_output=True, text=True, check=True)
        (found,) = [
            resource["outputs"]
            for resource in json.loads(done.stdout)["deployment"]["resources"]
            if resource["urn"].endswith("::root-ca")
        ]
        key = serialization.load_pem_private_key(json.loads(found["key_pem"]["plaintext"]).encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(found["certificate_pem"], key)

    def issue(self, name: str, lives: timedelta, addresses: Sequence[str] = ()) -> Issued:
        """Issue a certificate for server and client use."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        issuer = x509.load_pem_x509_certificate(self.certificate_pem.encode())
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        names.append(x509.DNSName(name))
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(issuer.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + lives)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return Issued(certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode())

"""The environment's own certificate authority (X.509, RFC 5280) and the certificates it issues."""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pulumi
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pulumi.dynamic import Resource

from refsys.infra.managed import Managed, Properties

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 365
RENEW_DAYS = 60


class _CertificateProvider(Managed):
    """Issues certificates; renews them when a refresh finds less than `RENEW_DAYS` left."""

    def identity(self, props: Properties) -> str:
        return str(props["purpose"])

    def probe(self, props: Properties) -> str:
        certificate = x509.load_pem_x509_certificate(props["certificate_pem"].encode())
        left = certificate.not_valid_after_utc - datetime.now(UTC)
        return f"expires in {left.days} days" if left < timedelta(days=RENEW_DAYS) else ""

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, props["common_name"])])
        now = datetime.now(UTC)
        authority = bool(props["authority"])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=AUTHORITY_DAYS if authority else CERTIFICATE_DAYS))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(_key_usage(authority), critical=True)
        )
        names = [x509.DNSName(name) for name in props["dns_names"]]
        addresses = [x509.IPAddress(ipaddress.ip_address(address)) for address in props["ip_addresses"]]
        if names or addresses:
            builder = builder.add_extension(x509.SubjectAlternativeName([*names, *addresses]), critical=False)
        if not authority:
            usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if props["issuer_certificate_pem"]:
            issuer = x509.load_pem_x509_certificate(props["issuer_certificate_pem"].encode())
            signer = serialization.load_pem_private_key(props["issuer_key_pem"].encode(), None)
            assert isinstance(signer, ec.EllipticCurvePrivateKey)  # noqa: S101 - our own authority's key
            issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
            builder = builder.issuer_name(issuer.subject).add_extension(issuer_key, critical=False)
        else:
            signer = key
            builder = builder.issuer_name(subject)
        certificate = builder.sign(signer, hashes.SHA256())
        return {
            "certificate_pem": certificate.public_bytes(serialization.Encoding.PEM).decode(),
            "key_pem": private_key_pem(key),
        }


def private_key_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """A private key as PEM (PKCS 8, RFC 5208), not encrypted: for the stack's encrypted state."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not authority,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


class Certificate(Resource, module="refsys", name="Certificate"):
    """A certificate with its private key, for servers and clients, or an authority."""

    certificate_pem: pulumi.Output[str]
    key_pem: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        common_name: str,
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[pulumi.Input[str]] = (),
        authority: bool = False,
        issuer: "Certificate | None" = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Issue a certificate; without `issuer` it signs itself."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["key_pem", "issuer_key_pem"])
        super().__init__(
            _CertificateProvider(),
            name,
            {
                "purpose": name,
                "common_name": common_name,
                "dns_names": list(dns_names),
                "ip_addresses": list(ip_addresses),
                "authority": authority,
                "issuer_certificate_pem": issuer.certificate_pem if issuer else "",
                "issuer_key_pem": pulumi.Output.secret(issuer.key_pem) if issuer else "",
                "certificate_pem": None,
                "key_pem": None,
            },
            pulumi.ResourceOptions.merge(opts, secret),
        )
        self.ca_pem = issuer.certificate_pem if issuer else self.certificate_pem


class Authority(pulumi.ComponentResource):
    """The environment's root of trust, and the cluster's authority under it."""

    def __init__(self, environment: str, opts: pulumi.ResourceOptions | None = None) -> None:
        """Make the root and the cluster's intermediate authority."""
        super().__init__("refsys:infra:Authority", environment, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        self.root = Certificate("root-ca", common_name=f"refsys {environment} root", authority=True, opts=child)
        self._environment = environment
        self.cluster = self.intermediate("kubernetes", self)
        self.ca_pem = self.root.certificate_pem
        self.cluster_bundle_pem = pulumi.Output.concat(self.cluster.certificate_pem, self.root.certificate_pem)
        self.register_outputs({"ca_pem": self.ca_pem})

    def intermediate(self, name: str, parent: pulumi.Resource) -> Certificate:
        """Make the authority `name` under the root."""
        return Certificate(
            f"{name}-ca",
            common_name=f"refsys {self._environment} {name}",
            authority=True,
            issuer=self.root,
            opts=pulumi.ResourceOptions(parent=parent),
        )

    def issue(
        self,
        name: str,
        *,
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[pulumi.Input[str]] = (),
        common_name: str | None = None,
        parent: pulumi.Resource | None = None,
    ) -> Certificate:
        """Issue a certificate for a server (`dns_names`, `ip_addresses`) or a client (`common_name`)."""
        return Certificate(
            f"{name}-certificate",
            common_name=common_name or name,
            dns_names=dns_names,
            ip_addresses=ip_addresses,
            issuer=self.root,
            opts=pulumi.ResourceOptions(parent=parent or self),
        )

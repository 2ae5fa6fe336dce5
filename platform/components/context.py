"""What every component gets from the program: provider, names, images, certificates, passwords."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pulumi


class Certificate(Protocol):
    """A leaf certificate, its key and the authority that clients must trust; all PEM."""

    @property
    def certificate_pem(self) -> pulumi.Output[str]:
        """The leaf followed by its intermediates."""

    @property
    def key_pem(self) -> pulumi.Output[str]:
        """The private key as PKCS #8 (Kafka reads no other form), RSA or EC; a secret."""

    @property
    def ca_pem(self) -> pulumi.Output[str]:
        """The root to trust."""


class CertificateAuthority(Protocol):
    """Issues certificates of the environment's authority, for servers and for clients."""

    @property
    def ca_pem(self) -> pulumi.Output[str]:
        """The root to trust."""

    def issue(
        self,
        name: str,
        *,
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[str] = (),
        common_name: str | None = None,
        parent: pulumi.Resource | None = None,
    ) -> Certificate:
        """Issue the certificate `name`; the common name is `name` unless given."""

    def intermediate(self, name: str, parent: pulumi.Resource) -> Certificate:
        """Make the authority `name` under this one."""


class Passwords(Protocol):
    """Makes random passwords that stay the same from one `up` to the next."""

    def __call__(self, name: str, parent: pulumi.Resource | None = None) -> pulumi.Output[str]:
        """Return the password `name`: a secret of letters, digits, `-` and `_`."""


@dataclass(frozen=True)
class Context:
    """What an environment's components share."""

    provider: pulumi.ProviderResource
    domain: str
    images: Mapping[str, pulumi.Input[str]]
    """Image name (architecture, Names) → reference with digest."""
    authority: CertificateAuthority
    passwords: Passwords
    volume_node: pulumi.Input[str] | None
    """Hostname of the node that keeps the volumes; None where the cluster has a default storage class."""

    def image(self, name: str) -> pulumi.Input[str]:
        """Return the reference of image `name`; `LookupError` names what is missing."""
        try:
            return self.images[name]
        except KeyError:
            known = ", ".join(sorted(self.images)) or "none"
            raise LookupError(
                f"Context.images has no image {name!r} (has: {known}); add it to the built images"
            ) from None

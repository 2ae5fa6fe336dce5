"""The environment's key for images, and the images that it vouches for."""

import ssl
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import pulumi
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pulumi.dynamic import Resource

from refsys.infra.errors import UserError
from refsys.infra.managed import Managed, Properties
from refsys.infra.pki import private_key_pem
from refsys.platform import images

AT_A_TIME = 8


class _SigningKeyProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["environment"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        if old and old.get("private_key_pem"):
            return {name: old[name] for name in ("private_key_pem", "public_key_pem")}
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {"private_key_pem": private_key_pem(key), "public_key_pem": public.decode()}


class SigningKey(Resource, module="refsys", name="SigningKey"):
    """The key that signs the environment's images (ECDSA, P-256); it never leaves the stack's encrypted state."""

    private_key_pem: pulumi.Output[str]
    public_key_pem: pulumi.Output[str]

    def __init__(self, environment: str) -> None:
        """Make the key."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["private_key_pem"])
        props = {"environment": environment, "private_key_pem": None, "public_key_pem": None}
        super().__init__(_SigningKeyProvider(), "image-signing-key", props, secret)


class _SignedImagesProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["registry"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        faults = _faults(props, props["references"])
        if any(faults.values()):
            raise UserError("\n".join(filter(None, faults.values())), fix="run ./refsys up again")
        # Pods of the last update may have to start again while this one is under way.
        before = _faults(props, (old or {}).get("references", []))
        known = [*faults, *(reference for reference, fault in before.items() if not fault)]
        return {"allowed": {digest: name for name, _, digest in (one.partition("@sha256:") for one in sorted(known))}}


def _faults(props: Properties, references: Sequence[str]) -> dict[str, str]:
    """Say of each image what is wrong with its signature; nothing where it is right."""

    def fault(reference: str) -> str:
        with repository_of(props, reference) as repository:
            try:
                images.verify(repository, reference, props["public_key_pem"])
            except UserError as error:
                return str(error.args[0])
        return ""

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return dict(zip(references, pool.map(fault, references), strict=True))


def repository_of(
    props: Properties, reference: str, *, seconds: float = 60
) -> AbstractContextManager[images.Repository]:
    """The repository of an image, for a resource with the registry's `ca_pem`, `username` and `password`."""
    context = ssl.create_default_context(cadata=props["ca_pem"])
    access = {"username": props["username"], "password": props["password"]}
    return images.opened(reference.partition("@")[0], context=context, seconds=seconds, **access)


class SignedImages(Resource, module="refsys", name="SignedImages"):
    """The images whose signatures were found right: `allowed` has each digest (hexadecimal) with its repository."""

    allowed: pulumi.Output[Mapping[str, str]]

    def __init__(
        self,
        *,
        references: Sequence[pulumi.Input[str]],
        public_key_pem: pulumi.Input[str],
        registry: str,
        ca_pem: pulumi.Input[str],
        username: str,
        password: pulumi.Input[str],
    ) -> None:
        """Check the signatures of `references`; a wrong one stops the update before anything may run it."""
        super().__init__(
            _SignedImagesProvider(),
            "signed-images",
            {
                "references": list(references),
                "public_key_pem": public_key_pem,
                "registry": registry,
                "ca_pem": ca_pem,
                "username": username,
                "password": password,
                "allowed": None,
            },
            pulumi.ResourceOptions(additional_secret_outputs=["password"]),
        )

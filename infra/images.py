"""Container images as resources: built once, kept in the environment's registry."""

import tempfile
from pathlib import Path

import pulumi
from pulumi.dynamic import Resource

from refsys.infra.errors import UserError
from refsys.infra.managed import Managed, Properties
from refsys.infra.signing import SigningKey, repository_of
from refsys.platform import images

PROBE_SECONDS = 5


class _ImageProvider(Managed):
    def identity(self, props: Properties) -> str:
        return str(props["image"])

    def apply(self, props: Properties, old: Properties | None) -> Properties:
        built = images.build(props["image"])
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as ca_file:
            ca_file.write(props["ca_pem"])
            ca_file.flush()
            reference = images.push(
                built,
                props["registry"],
                ca_file=Path(ca_file.name),
                username=props["username"],
                password=props["password"],
            )
        with repository_of(props, reference) as repository:
            images.sign(repository, reference, props["private_key_pem"])
        return {"reference": reference}

    def probe(self, props: Properties) -> str:
        try:
            with repository_of(props, props["reference"], seconds=PROBE_SECONDS) as repository:
                images.verify(repository, props["reference"], props["public_key_pem"])
        except UserError as error:
            return str(error.args[0])
        return ""


class Image(Resource, module="refsys", name="Image"):
    """One of the distribution's images in the environment's registry, signed; `reference` names it with its digest."""

    reference: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        registry: str,
        ca_pem: pulumi.Input[str],
        username: str,
        password: pulumi.Input[str],
        signing_key: SigningKey,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Build, push and sign the image of `platform/images/recipes/<name>.yaml`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["password", "private_key_pem"])
        super().__init__(
            _ImageProvider(),
            f"image-{name}",
            {
                "image": name,
                "input": images.input_digest(name),
                "registry": registry,
                "ca_pem": ca_pem,
                "username": username,
                "password": password,
                "private_key_pem": signing_key.private_key_pem,
                "public_key_pem": signing_key.public_key_pem,
                "reference": None,
            },
            pulumi.ResourceOptions.merge(opts, secret),
        )

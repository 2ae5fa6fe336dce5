"""Container images as resources: built once, kept in the environment's registry."""

import ssl
import tempfile
from pathlib import Path

import httpx
import pulumi
from pulumi.dynamic import Resource

from refsys.infra.managed import Managed, Properties
from refsys.platform import images


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
        return {"reference": reference}

    def probe(self, props: Properties) -> str:
        repository, _, digest = str(props["reference"]).removeprefix(f"{props['registry']}/").partition("@")
        try:
            response = httpx.head(
                f"https://{props['registry']}/v2/{repository}/manifests/{digest}",
                headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
                auth=(props["username"], props["password"]),
                verify=ssl.create_default_context(cadata=props["ca_pem"]),
                timeout=5,
            )
        except httpx.HTTPError as error:
            return f"the registry doesn't answer: {error}"
        return "" if response.status_code == httpx.codes.OK else f"not in the registry (HTTP {response.status_code})"


class Image(Resource, module="refsys", name="Image"):
    """One of the distribution's images in the environment's registry; `reference` names it with its digest."""

    reference: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        registry: str,
        ca_pem: pulumi.Input[str],
        username: str,
        password: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Build and push the image of `platform/images/recipes/<name>.yaml`."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["password"])
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
                "reference": None,
            },
            pulumi.ResourceOptions.merge(opts, secret),
        )

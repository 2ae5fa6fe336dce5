"""The protocol's answers that are about Kubernetes: outputs, refusals, objects that are not ready."""

from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2

from refsys.infra.plugins.common.answers import InitializationFailed
from refsys.infra.plugins.common.values import Decoded, Path, Properties, encode, secrets_of_outputs
from refsys.infra.plugins.kubernetes.errors import NotReadyError
from refsys.infra.plugins.kubernetes.objects import metadata_of, object_id


def refusal(resource_type: str, inputs: Properties) -> provider_pb2.CheckFailure | None:
    """Tell why a resource type is not served here, `None` for what is."""
    name = resource_type.rpartition(":")[2]
    kind = str(inputs.get("kind") or name)
    if name.endswith("Patch") and kind != name:
        advice = "patches of objects made elsewhere are not served by this plugin; declare the object itself"
    elif kind.endswith("List") and isinstance(inputs.get("items"), list):
        advice = "lists are not served by this plugin; declare each item as a resource"
    elif resource_type.startswith(("kubernetes:helm.sh/", "kubernetes:kustomize", "kubernetes:yaml")):
        advice = "charts and manifest files are not served by this plugin; declare the objects as resources"
    else:
        return None
    return provider_pb2.CheckFailure(property="kind", reason=f"{resource_type}: {advice}")


def id_of(live: Properties) -> str:
    """Return the identifier of a live object."""
    metadata = metadata_of(live)
    return object_id(metadata.get("namespace"), metadata["name"])


def outputs(live: Properties, inputs: Decoded) -> Struct:
    """Write a live object; what is secret in the inputs stays secret, and so is the data of a Secret."""
    metadata = {key: value for key, value in metadata_of(live).items() if key != "managedFields"}
    secrets = secrets_of_outputs(inputs.secrets) | _kind_secrets(live)
    return encode({**live, "metadata": metadata}, secrets)


def input_secrets(inputs: Decoded, live: Properties) -> frozenset[Path]:
    """Secret paths of inputs as read back: lists may have changed, so they are secret as a whole."""
    return secrets_of_outputs(inputs.secrets) | _kind_secrets(live)


def _kind_secrets(live: Properties) -> frozenset[Path]:
    secret = live.get("kind") == "Secret" and live.get("apiVersion") == "v1"
    return frozenset({("data",), ("stringData",)}) if secret else frozenset()


def initialization_failed(error: NotReadyError, inputs: Decoded) -> InitializationFailed:
    """Write the state of an object that is not ready."""
    state = provider_pb2.ErrorResourceInitFailed(
        id=id_of(error.live),
        properties=outputs(error.live, inputs),
        inputs=encode(inputs.value, inputs.secrets),
    )
    return InitializationFailed(str(error), state)

"""Signatures of images as cosign keeps them: a "simple signing" payload in the registry, beside the image.

The tag `sha256-<digest>.sig` names a manifest whose layer is the payload; an annotation carries the ECDSA signature.
`cosign verify --key KEY --insecure-ignore-tlog` reads them.
"""

import base64
import binascii
import json

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from refsys.infra.errors import UserError
from refsys.platform.images.builder import CONFIG_TYPE, CREATED, MANIFEST_TYPE
from refsys.platform.images.registry import Repository
from refsys.platform.images.store import Json, canonical, digest_of

PAYLOAD_TYPE = "application/vnd.dev.cosign.simplesigning.v1+json"
ANNOTATION = "dev.cosignproject.cosign/signature"
KIND = "cosign container image signature"


def sign(repository: Repository, reference: str, private_key_pem: str) -> None:
    """Sign the image `reference` (with digest) unless its signature is right already."""
    key = serialization.load_pem_private_key(private_key_pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UserError("the signing key is not of an elliptic curve", fix="make it with `openssl ecparam -genkey`")
    if not _fault(repository, reference, key.public_key()):
        return
    name, _, digest = reference.partition("@")
    payload = canonical(
        {
            "critical": {
                "identity": {"docker-reference": name},
                "image": {"docker-manifest-digest": digest},
                "type": KIND,
            },
            "optional": None,
        }
    )
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(hashes.SHA256()))).decode()
    configuration = canonical(
        {
            "architecture": "",
            "os": "",
            "created": CREATED,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(payload)]},
        }
    )
    layer = {"mediaType": PAYLOAD_TYPE, "annotations": {ANNOTATION: signature}} | repository.put(payload)
    manifest: Json = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE} | repository.put(configuration),
        "layers": [layer],
    }
    repository.put_manifest(_tag(digest), canonical(manifest))


def verify(repository: Repository, reference: str, public_key_pem: str) -> None:
    """Check that the image `reference` (with digest) is in the registry and signed by the environment's key.

    Raises:
        UserError: says what is wrong with it.
    """
    key = serialization.load_pem_public_key(public_key_pem.encode())
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise UserError("the key of signatures is not of an elliptic curve", fix="give the environment's public key")
    digest = reference.partition("@")[2]
    image = repository.get(f"manifests/{digest}")
    fault = "it is not in the registry" if image is None else _fault(repository, reference, key)
    if image is not None and digest_of(image) != digest:
        fault = "the registry gives something else under its digest"
    if fault:
        raise UserError(f"image {reference} may not run: {fault}", fix="push and sign it again: ./refsys up")


def _fault(repository: Repository, reference: str, key: ec.EllipticCurvePublicKey) -> str:
    """Say what is wrong with an image's signatures; nothing where one of them is right."""
    name, _, digest = reference.partition("@")
    manifest = repository.get(f"manifests/{_tag(digest)}")
    if manifest is None:
        return "it has no signature"
    faults = [_fault_of(repository, layer, name, digest, key) for layer in json.loads(manifest).get("layers", [])]
    return "" if "" in faults else "; ".join(faults) or "it has no signature"


def _fault_of(repository: Repository, layer: Json, name: str, digest: str, key: ec.EllipticCurvePublicKey) -> str:
    payload = repository.get(f"blobs/{layer['digest']}")
    if payload is None:
        return "the signed text is not in the registry"
    try:
        signature = base64.b64decode(layer.get("annotations", {}).get(ANNOTATION, ""), validate=True)
        key.verify(signature, payload, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, binascii.Error):
        return "its signature is not of the environment's key"
    # Whose name and digest it is counts only now: nothing of a text that is not signed is believed.
    signed = json.loads(payload)["critical"]
    if signed["image"]["docker-manifest-digest"] != digest or signed["identity"]["docker-reference"] != name:
        return f"its signature is that of {signed['identity']['docker-reference']}"
    return ""


def _tag(digest: str) -> str:
    return digest.replace(":", "-") + ".sig"

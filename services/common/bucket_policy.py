"""Lets an account of the object store use one bucket, by the bucket's policy."""

import hashlib
import hmac
import json
from datetime import datetime
from urllib.parse import urlsplit

import httpx

from refsys.services.common.messages import utc_now
from refsys.services.common.settings import S3Settings, secret
from refsys.services.common.store import StoreUnavailableError
from refsys.services.common.tls import trust

OF_BUCKET = ("s3:ListBucket", "s3:ListBucketMultipartUploads")
OF_OBJECTS = (
    "s3:GetObject",
    "s3:PutObject",
    "s3:DeleteObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)


def policy(bucket: str, account: str) -> str:
    """Return the policy: the account lists, reads, writes and deletes objects, and changes nothing of the bucket."""

    def allow(actions: tuple[str, ...], resource: str) -> dict[str, object]:
        return {"Effect": "Allow", "Principal": {"AWS": [account]}, "Action": list(actions), "Resource": resource}

    arn = f"arn:aws:s3:::{bucket}"
    return json.dumps({"Version": "2012-10-17", "Statement": [allow(OF_BUCKET, arn), allow(OF_OBJECTS, f"{arn}/*")]})


def let_in(settings: S3Settings, bucket: str, account: str) -> None:
    """Put the bucket's policy in place of what it had.

    Raises:
        StoreUnavailableError: the store does not take it.
    """
    url = f"{str(settings.endpoint).rstrip('/')}/{bucket}?policy="
    body = policy(bucket, account).encode()
    with httpx.Client(verify=trust(settings.ca_file), timeout=30, trust_env=False) as client:
        answer = client.put(url, content=body, headers=signed("PUT", settings, url, body, utc_now()))
    if answer.is_error:
        raise StoreUnavailableError(
            f"object store {settings.endpoint}: cannot let {account} into bucket {bucket}: "
            f"HTTP {answer.status_code} {answer.text[:300]}"
        )


def signed(method: str, settings: S3Settings, url: str, body: bytes, now: datetime) -> dict[str, str]:
    """Return the headers of a request as AWS' signature version 4 has them, which the client of objects can't make."""
    at, day = f"{now:%Y%m%dT%H%M%SZ}", f"{now:%Y%m%d}"
    parts, digest = urlsplit(url), hashlib.sha256(body).hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": digest, "x-amz-date": at}
    names = ";".join(headers)
    lines = [f"{name}:{value}" for name, value in headers.items()]
    request = "\n".join([method, parts.path, parts.query, *lines, "", names, digest])
    scope = f"{day}/{settings.region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", at, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{secret(settings.secret_key_file)}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{secret(settings.access_key_file)}/{scope}"
    return headers | {
        "authorization": f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    }

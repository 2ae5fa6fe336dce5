"""Stations that are buckets."""

from typing import Annotated, Literal

from pydantic import Field, HttpUrl

from refsys.services.common.settings import ReadableFile
from refsys.services.ingestion.stations.common import TlsStation


class S3Station(TlsStation):
    """A prefix of a bucket."""

    type: Literal["s3"] = "s3"
    url: HttpUrl
    bucket: str = Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")
    prefix: Annotated[str, Field(max_length=512)] = ""
    region: str = "us-east-1"
    access_key_file: ReadableFile
    secret_key_file: ReadableFile

"""Client of a station's AUXIP/PRIP interface (ESA-EOPG-EOPGC-IF-3)."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import AwareDatetime, Field

from refsys.services.common.digests import standard_name
from refsys.services.common.messages import Checksum, iso
from refsys.services.ingestion.session import Guid, Row
from refsys.services.ingestion.source import ListedFile
from refsys.services.ingestion.sources.odata import ODataClient
from refsys.services.ingestion.stations import AuxipStation


class _Checksum(Row):
    algorithm: str
    value: str
    checksum_date: AwareDatetime | None = None


class Product(Row):
    """An entity Product."""

    id: Guid
    name: str
    content_length: int = Field(ge=0)
    publication_date: AwareDatetime
    checksum: list[_Checksum] = Field(default_factory=list)

    def listed(self) -> ListedFile:
        """The product with the checksums in algorithms that can be verified, under their standard names."""
        return ListedFile(
            id=self.id,
            name=self.name,
            size=self.content_length,
            publication_date=self.publication_date,
            checksums=[
                Checksum(
                    algorithm=name, value=item.value.lower(), checksum_date=item.checksum_date or self.publication_date
                )
                for item in self.checksum
                if (name := standard_name(item.algorithm))
            ],
        )


class AuxipSource:
    """Products of one station, read by PublicationDate."""

    def __init__(self, station: AuxipStation) -> None:
        """Nothing is requested before the first use."""
        self._client = ODataClient(station)

    def listed(self, since: datetime | None) -> Iterator[list[ListedFile]]:
        """Pages of products with PublicationDate at or after `since`, oldest first."""
        for page in self._client.pages("Products", published(since), Product):
            yield [product.listed() for product in page]

    def content(self, file: ListedFile) -> Iterator[bytes]:
        """The bytes of a product."""
        return self._client.content(f"Products({file.id})/$value", file.size)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def published(since: datetime | None) -> dict[str, str]:
    """The query for what was published at or after `since`, oldest first."""
    query = {"$orderby": "PublicationDate asc"}
    if since is not None:
        query["$filter"] = f"PublicationDate ge {odata_date(since)}"
    return query


def odata_date(moment: datetime) -> str:
    """A date as filters have it: UTC, milliseconds, not rounded up."""
    return f"{iso(moment)[:-4]}Z"

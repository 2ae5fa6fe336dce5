"""Pages of what a tree of files has."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from refsys.services.ingestion.source import ListedFile


def pages(files: Iterable[ListedFile | None], start: datetime | None, size: int) -> Iterator[list[ListedFile]]:
    """Pages of `size` files, of those that were modified at or after `start`; None stands for one that is left out."""
    page: list[ListedFile] = []
    for file in files:
        if file is None or (start is not None and file.publication_date < start):
            continue
        page.append(file)
        if len(page) == size:
            yield page
            page = []
    if page:
        yield page

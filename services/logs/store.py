"""The searchable store of logs and alerts: OpenSearch, reached by mutual TLS."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import orjson
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from refsys.services.common.settings import LogStoreSettings
from refsys.services.logs.templates import templates, too_old

TIMEOUT_SECONDS = 30
CONNECTIONS = 8  # kept for threads that ask at the same time
ABSENT = "ignore_unavailable=true&allow_no_indices=true"
BRIEF = "filter_path=errors,items.index.status,items.index.error"
BULK_BYTES = 8 * 2**20
"""A request's size from which on the next documents go into another one; the store takes 32 MiB."""
HTTP_BUSY = frozenset({429, 503})

Document = dict[str, Any]


class StoreDownError(Exception):
    """The store does not answer, or takes nothing at the moment; what was asked can be asked again."""


class LogStore:
    """A client; threads may share it."""

    def __init__(self, settings: LogStoreSettings) -> None:
        """Nothing is asked for yet."""
        self._client = OpenSearch(
            str(settings.url).rstrip("/"),
            ca_certs=_text(settings.ca_file),
            client_cert=_text(settings.certificate_file),
            client_key=_text(settings.key_file),
            timeout=TIMEOUT_SECONDS,
            max_retries=0,
            pool_maxsize=CONNECTIONS,
        )

    def prepare(self, name: str) -> None:
        """Set one of the index templates; one that exists becomes as this version has it."""
        self._ask("PUT", f"/_index_template/{name}", templates()[name])

    def write(self, index: str, documents: Sequence[tuple[str, Document]], options: str = "") -> dict[int, str]:
        """Write documents (id, document) into an index; one that is there is replaced.

        Returns what the store refused for good: the position of the document, and the reason.

        Raises:
            StoreDownError: some or all could not be taken now.
        """
        refused: dict[int, str] = {}
        for first, body in _pieces(documents):
            answer = self._ask("POST", f"/{index}/_bulk?{BRIEF}{options}", body)
            for position, item in enumerate(answer["items"], first) if answer["errors"] else ():
                result = item["index"]
                if result["status"] in HTTP_BUSY:
                    raise StoreDownError(f"the log store is busy: {result['error']['reason']}")
                if "error" in result:
                    cause = result["error"].get("caused_by", {}).get("reason", "")
                    refused[position] = f"{result['error']['reason']} {cause}".strip()
        return refused

    def keep(self, index: str, documents: Sequence[tuple[str, Document]]) -> None:
        """Write documents of this program's own making, so that the next search finds them.

        Raises:
            StoreDownError: some or all were not taken.
        """
        if documents and (refused := self.write(index, documents, "&refresh=true")):
            raise StoreDownError(f"the log store refused {len(refused)} documents: {next(iter(refused.values()))}")

    def search(self, pattern: str, body: Mapping[str, Any]) -> Document:
        """Return the answer of a search; indices that do not exist hold nothing."""
        answer: Document = self._ask("POST", f"/{pattern}/_search?{ABSENT}", dict(body))
        return answer

    def search_all(self, pattern: str, bodies: Iterable[Mapping[str, Any]]) -> list[Document]:
        """Return the answers of several searches, asked in one request."""
        lines = [line for body in bodies for line in ({"ignore_unavailable": True, "allow_no_indices": True}, body)]
        answers: list[Document] = self._ask("POST", f"/{pattern}/_msearch", _lines(lines))["responses"]
        for answer in answers:
            if "error" in answer:
                raise StoreDownError(f"the log store refused a search: {answer['error']['reason']}")
        return answers

    def forget_old(self, today: date) -> list[str]:
        """Delete the indices that are older than their kind is kept; returns their names."""
        known = [row["index"] for row in self._ask("GET", "/_cat/indices/logs-*,traces-*?format=json&h=index")]
        old = [index for index in known if too_old(index, today)]
        for index in old:
            self._ask("DELETE", f"/{index}")
        return sorted(old)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        try:
            return self._client.transport.perform_request(method, path, body=body)
        except OpenSearchException as error:
            raise StoreDownError(f"the log store does not do {method} {path.partition('?')[0]}: {error}") from error


def hits(answer: Document) -> Iterator[Document]:
    """Yield the documents of a search's answer, with their ids as `_id`."""
    for hit in answer["hits"]["hits"]:
        yield hit["_source"] | {"_id": hit["_id"]}


def _pieces(documents: Sequence[tuple[str, Document]]) -> Iterator[tuple[int, bytes]]:
    """Yield bodies of bulk requests, each with the position of its first document."""
    lines: list[bytes] = []
    first = size = 0
    for position, (identifier, document) in enumerate(documents):
        line = orjson.dumps(document)
        if size + len(line) > BULK_BYTES:
            yield first, b"".join(lines)
            first, size, lines = position, 0, []
        lines += (b'{"index":{"_id":', orjson.dumps(identifier), b"}}\n", line, b"\n")
        size += len(line)
    if lines:
        yield first, b"".join(lines)


def _lines(documents: Iterable[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE) for document in documents)


def _text(path: Path | None) -> str | None:
    return str(path) if path else None

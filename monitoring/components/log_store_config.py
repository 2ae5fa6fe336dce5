"""OpenSearch's configuration, and who may ask what of it."""

import yaml

from refsys.platform.components.mutual_tls import Access, Guarded
from refsys.platform.components.names import DETECTOR, LOG_INDEXER, LOG_STORE, LOG_STORE_PORT, OPERATIONS

DATA_DIRECTORY = "/var/lib/opensearch"
TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108 - the pod's own
SERVER_PORT = 9201
TRANSPORT_PORT = 9300

# Indexes of logs and traces are of a day each: logs-<kind>-2026.01.31, traces-2026.01.31. Those of alerts, and what the
# detector remembers: alerts…, detector….
_DAY = r"(logs-[a-z]+|traces)-\d{4}\.\d{2}\.\d{2}"
_OF_DETECTOR = r"(alerts|detector)[a-z0-9.-]*"
_NAME = r"-?(logs|alerts|detector)[a-z0-9.*-]*"
_NAMES = f"{_NAME}(,{_NAME})*"
_READ = ("GET", "POST")
_WRITE = ("PUT", "POST")

ACCESS = (
    Access(LOG_INDEXER, ("GET",), "/|/_cluster/health"),
    Access(LOG_INDEXER, ("PUT",), r"/_index_template/(logs|traces)[a-z-]*"),
    Access(LOG_INDEXER, _WRITE, f"/{_DAY}/_bulk"),
    Access(LOG_INDEXER, ("GET",), r"/_cat/indices/logs-\*,traces-\*"),
    Access(LOG_INDEXER, ("DELETE",), f"/{_DAY}"),
    Access(DETECTOR, ("GET",), "/|/_cluster/health"),
    Access(DETECTOR, ("PUT",), r"/_index_template/(alerts|detector)[a-z-]*"),
    Access(DETECTOR, _READ, f"/{_NAMES}/_(search|msearch|count|refresh)"),
    Access(DETECTOR, _WRITE, f"/{_OF_DETECTOR}/_(bulk|doc|(doc|create|update)/[A-Za-z0-9_.:-]+)"),
    Access(DETECTOR, ("GET",), f"/{_OF_DETECTOR}/_doc/[A-Za-z0-9_.:-]+"),
    Access(OPERATIONS, _READ, f"/{_NAMES}/_(search|count)"),
    Access(OPERATIONS, _READ, r"/traces-[0-9.*]+/_(search|count)"),
)

GUARDED = Guarded(LOG_STORE, LOG_STORE_PORT, SERVER_PORT, ready="/", live="/", access=ACCESS)


def opensearch_yml() -> str:
    """Return `opensearch.yml`: one node that only its own pod reaches.

    A bulk request may write only the index that its path names, so that the paths above say who writes what. Free
    space counts in bytes, since a local volume is a folder of a disk that is also others'.
    """
    return yaml.safe_dump(
        {
            "cluster.name": "refsys",
            "node.name": LOG_STORE.name,
            "discovery.type": "single-node",
            "path.data": DATA_DIRECTORY,
            "path.logs": TEMPORARY_DIRECTORY,
            "http.host": "127.0.0.1",
            "http.port": SERVER_PORT,
            "http.max_content_length": "32mb",
            "transport.host": "127.0.0.1",
            "transport.port": TRANSPORT_PORT,
            # Mapped memory would need a kernel setting of the node.
            "node.store.allow_mmap": False,
            "rest.action.multi.allow_explicit_index": False,
            "action.auto_create_index": "+logs-*,+traces-*,+alerts*,+detector*,-*",
            "action.destructive_requires_name": True,
            "cluster.routing.allocation.disk.watermark.low": "2gb",
            "cluster.routing.allocation.disk.watermark.high": "1gb",
            "cluster.routing.allocation.disk.watermark.flood_stage": "512mb",
        }
    )

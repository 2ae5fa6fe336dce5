"""What the object store tells Prometheus: it speaks StatsD, which a sidecar translates."""

import yaml

from refsys.platform.components.context import Context
from refsys.platform.components.names import OBJECT_STORE, OBJECT_STORE_METRICS_PORT
from refsys.platform.components.pod import Resources, Sidecar

STATSD = "127.0.0.1:8125"
FILE = "statsd.yml"
_NAMES = {
    "bytes_written": "s3_written_bytes_total",
    "bytes_read": "s3_read_bytes_total",
    "object_created_count": "s3_objects_created_total",
    "object_removed_count": "s3_objects_removed_total",
}
_OUTCOMES = {"success_count": "success", "failed_count": "failure"}


def store_env(statsd: str = STATSD) -> dict[str, str]:
    """Return the store's settings; with tags, as DogStatsD has them, which become labels."""
    return {"VGW_METRICS_DOGSTATS_SERVERS": statsd, "VGW_METRICS_SERVICE_NAME": OBJECT_STORE.name}


def statsd_config() -> str:
    """Return how names become Prometheus': requests by action, bucket, status and outcome; all else is dropped."""
    requests = [
        {"match": f"versitygw.{name}", "name": "s3_requests_total", "labels": {"outcome": outcome}}
        for name, outcome in _OUTCOMES.items()
    ]
    counted = [{"match": f"versitygw.{name}", "name": metric} for name, metric in _NAMES.items()]
    rest = {"match": ".", "match_type": "regex", "action": "drop", "name": "dropped"}
    return yaml.safe_dump({"mappings": [*requests, *counted, rest]}, sort_keys=False)


def exporter(context: Context, mount: str, folder: str) -> Sidecar:
    """Return the sidecar; its configuration is `FILE` in `folder`, the pod's mount of that name."""
    return Sidecar(
        "exporter",
        {"GOMAXPROCS": "1", "GOMEMLIMIT": "24MiB"},
        Resources(cpu="2m", memory="16Mi", memory_limit="48Mi"),
        args=exporter_args(OBJECT_STORE_METRICS_PORT, STATSD, f"{folder}/{FILE}"),
        image=context.image("statsd-exporter"),
        sees=(mount,),
    )


def exporter_args(port: int, statsd: str, config: str) -> tuple[str, ...]:
    """Return the exporter's arguments."""
    return (
        f"--web.listen-address=:{port}",
        f"--statsd.listen-udp={statsd}",
        "--statsd.listen-tcp=",
        f"--statsd.mapping-config={config}",
        "--log.level=warn",
        "--log.format=json",
    )

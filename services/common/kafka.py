"""How every client of the environment reaches Kafka."""

from typing import Any

from refsys.services.common.pod import pod_name
from refsys.services.common.settings import KafkaSettings


def kafka_options(settings: KafkaSettings, process: str) -> dict[str, Any]:
    """The `librdkafka` options that every client of the environment needs."""
    options: dict[str, Any] = {
        "bootstrap.servers": settings.bootstrap,
        "client.id": f"{process}.{pod_name()}",
        "log_level": 4,
    }
    if settings.ca_file:
        options |= {
            "security.protocol": "ssl",
            "ssl.ca.location": str(settings.ca_file),
            "ssl.certificate.location": str(settings.certificate_file),
            "ssl.key.location": str(settings.key_file),
        }
    return options

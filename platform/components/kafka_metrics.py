"""What the broker tells Prometheus: rules of the JMX agent, which asks the Java machine for these objects alone."""

import yaml

_OBJECTS = (
    "kafka.controller:type=KafkaController,name=*",
    "kafka.network:type=RequestMetrics,name=TotalTimeMs,request=Produce",
    "kafka.network:type=RequestMetrics,name=TotalTimeMs,request=FetchConsumer",
    "kafka.network:type=SocketServer,name=NetworkProcessorAvgIdlePercent",
    "kafka.server:type=BrokerTopicMetrics,*",
    "kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent",
    "kafka.server:type=ReplicaManager,name=*",
)
_TOPICS = "BytesInPerSec|BytesOutPerSec|MessagesInPerSec|FailedProduceRequestsPerSec|FailedFetchRequestsPerSec"


def agent_config() -> str:
    """Return the agent's configuration."""
    rules = [
        {
            "pattern": f"kafka.server<type=BrokerTopicMetrics, name=({_TOPICS}), topic=(.+)><>Count",
            "name": "kafka_server_brokertopicmetrics_$1_total",
            "type": "COUNTER",
            "labels": {"topic": "$2"},
        },
        {
            "pattern": "kafka.network<type=RequestMetrics, name=TotalTimeMs, request=(.+)><>99thPercentile",
            "name": "kafka_network_requestmetrics_totaltimems_p99",
            "type": "GAUGE",
            "labels": {"request": "$1"},
        },
        {
            "pattern": r"kafka.(\w+)<type=(KafkaController|ReplicaManager), name=(\w+)><>(Value|OneMinuteRate)",
            "name": "kafka_$1_$2_$3",
            "type": "GAUGE",
        },
        {
            "pattern": r"kafka.(\w+)<type=(\w+), name=(\w+AvgIdlePercent)><>(Value|OneMinuteRate)",
            "name": "kafka_$1_$2_$3",
            "type": "GAUGE",
        },
    ]
    config = {"lowercaseOutputName": True, "includeObjectNames": list(_OBJECTS), "rules": rules}
    return yaml.safe_dump(config, sort_keys=False)

"""The way of a product: ingestion, catalogue, processing, distribution."""

from refsys.monitoring.dashboards.board import Board, Logs, Panel, Query

_PROCESSING = 'namespace:"processing"'
_BAD = "severity:(warning OR err OR crit)"


def _quantiles(metric: str, by: str, selector: str = "") -> list[Query]:
    buckets = f"sum by ({by}, le) (rate({metric}_bucket{selector}[5m]))"
    return [Query(f"histogram_quantile({share}, {buckets})", f"{{{{{by}}}}} {share:.0%}") for share in (0.5, 0.95)]


INGESTION = Board(
    "ingestion",
    "Ingestion",
    (
        Panel("Stations that answer", [Query("sum(max by (station) (refsys_station_up))")], figure=True, width=6),
        Panel(
            "Stations away",
            [Query("count(max by (station) (refsys_station_up) == 0) or vector(0)")],
            figure=True,
            red=1,
            width=6,
        ),
        Panel(
            "Files in an hour",
            [Query('sum(increase(refsys_station_files_total{outcome="queued"}[1h]))')],
            figure=True,
            width=6,
        ),
        Panel("Bytes in a second", [Query("sum(station:ingested:bytes_rate5m)")], "Bps", figure=True, width=6),
        Panel("Stations", [Query("max by (station) (refsys_station_up)", "{{station}}")], "bool_on_off"),
        Panel(
            "Probes of stations",
            [Query('probe_duration_seconds{job="blackbox", station!=""}', "{{station}} {{probe}}")],
            "s",
        ),
        Panel(
            "Stations' certificates, days left",
            [
                Query(
                    '(min by (station) (probe_ssl_earliest_cert_expiry{job="blackbox", station!=""}) - time()) / 86400',
                    "{{station}}",
                )
            ],
        ),
        Panel("Files by station", [Query("station:files:rate5m", "{{station}} {{outcome}}")], "cps"),
        Panel("Bytes by station", [Query("station:ingested:bytes_rate5m", "{{station}}")], "Bps"),
        Panel(
            "Files that wait",
            [Query('sum by (consumergroup) (kafka_consumergroup_lag{topic="ingestion-job"})', "{{consumergroup}}")],
        ),
        Panel(
            "From publication to the store",
            _quantiles("refsys_product_step_seconds", "mission", '{step="ingestion"}'),
            "s",
        ),
        Panel("Uploads", [Query("sum by (state) (increase(refsys_uploads_total[1h]))", "{{state}}")]),
        Panel("Recalls", [Query("sum by (outcome) (increase(refsys_recalls_total[1h]))", "{{outcome}}")]),
        Logs(
            "Log",
            f"{_PROCESSING} AND program:(ingestion-trigger OR ingestion-worker OR ingestor) AND {_BAD}",
        ),
    ),
)

CATALOGUE = Board(
    "catalogue",
    "Catalogue",
    (
        Panel(
            "Products in an hour", [Query("sum(increase(refsys_catalogued_products_total[1h]))")], figure=True, width=6
        ),
        Panel(
            "Invalid in a day",
            [Query('sum(increase(refsys_catalogued_products_total{state="INVALID"}[1d])) or vector(0)')],
            figure=True,
            red=1,
            width=6,
        ),
        Panel("Waiting", [Query('sum(kafka_consumergroup_lag{consumergroup="catalogue"})')], figure=True, width=6),
        Panel(
            "Findings of the last reconciliation", [Query("sum(refsys_reconciliation_findings)")], figure=True, width=6
        ),
        Panel("Products", [Query("mission:catalogued:rate5m", "{{mission}} {{state}}")], "cps"),
        Panel("Time for a message", _quantiles("refsys_message_seconds", "topic", '{topic="catalog-job"}'), "s"),
        Panel(
            "Evicted",
            [Query("sum by (mission, cause) (increase(refsys_evicted_products_total[1h]))", "{{mission}} {{cause}}")],
        ),
        Panel(
            "Evictions that wait",
            [
                Query("max(refsys_evictions_waiting)", "waiting"),
                Query("sum(increase(refsys_eviction_failures_total[1h]))", "failed"),
            ],
        ),
        Panel(
            "Search",
            [
                Query(
                    "sum by (route, status) (rate(refsys_metadata_search_request_seconds_count[5m]))",
                    "{{route}} {{status}}",
                )
            ],
            "reqps",
        ),
        Panel("Search, time", _quantiles("refsys_metadata_search_request_seconds", "route"), "s"),
        Logs(
            "Log",
            f"{_PROCESSING} AND program:(catalogue OR lifecycle OR metadata-search) AND {_BAD}",
        ),
    ),
)

PROCESSING = Board(
    "processing",
    "Processing",
    (
        Panel(
            "Dead letters in a day",
            [Query("sum(increase(refsys_dead_letters_total[1d])) or vector(0)")],
            figure=True,
            red=1,
            width=8,
        ),
        Panel(
            "Messages that wait",
            [Query('sum(consumergroup_topic:kafka_consumergroup_lag:sum{topic!~"logs-.*"})')],
            figure=True,
            width=8,
        ),
        Panel(
            "Compressed to",
            [Query('sum(rate(refsys_compression_bytes_total{direction="COMPRESS"}[1h]))')],
            "Bps",
            figure=True,
            width=8,
        ),
        Panel("Messages", [Query("topic:messages:rate5m", "{{topic}} {{outcome}}")], "cps", width=12),
        Panel("Time for a message", _quantiles("refsys_message_seconds", "topic"), "s", width=12),
        Panel(
            "Lag",
            [Query('consumergroup_topic:kafka_consumergroup_lag:sum{topic!~"logs-.*"}', "{{consumergroup}} {{topic}}")],
        ),
        Panel(
            "Dead letters",
            [Query("sum by (topic, action) (increase(refsys_dead_letters_total[1h]))", "{{topic}} {{action}}")],
        ),
        Panel("Sent again", [Query("sum by (topic) (increase(refsys_dead_letter_restarts_total[1h]))", "{{topic}}")]),
        Panel(
            "Compression",
            [Query("sum by (direction) (rate(refsys_compression_bytes_total[5m]))", "{{direction}}")],
            "Bps",
        ),
        Panel(
            "CPU by process",
            [
                Query(
                    'sum by (pod) (rate(container_cpu_usage_seconds_total{job="cadvisor", namespace="processing", '
                    'container!=""}[5m]))',
                    "{{pod}}",
                )
            ],
        ),
        Panel(
            "Memory by process",
            [
                Query(
                    'sum by (pod) (container_memory_working_set_bytes{job="cadvisor", namespace="processing", '
                    'container!=""})',
                    "{{pod}}",
                )
            ],
            "bytes",
        ),
        Logs("Log", f"{_PROCESSING} AND {_BAD}"),
    ),
)

DISTRIBUTION = Board(
    "distribution",
    "Distribution",
    (
        Panel(
            "Requests without error, an hour",
            [
                Query(
                    '1 - avg_over_time(slo:errors:rate5m{slo="prip-availability"}[1h]) '
                    '/ avg_over_time(slo:events:rate5m{slo="prip-availability"}[1h])'
                )
            ],
            "percentunit",
            figure=True,
            red=0.995,
            low=True,
            width=6,
        ),
        Panel(
            "Delivered in a day",
            [Query("sum(increase(refsys_prip_delivered_bytes_total[1d]))")],
            "bytes",
            figure=True,
            width=6,
        ),
        Panel("Downloads now", [Query("sum(refsys_prip_open_downloads)")], figure=True, width=6),
        Panel(
            "Refused by quotas in an hour",
            [Query("sum(increase(refsys_prip_quota_refused_total[1h]))")],
            figure=True,
            width=6,
        ),
        Panel("PRIP", [Query("prip:requests:rate5m", "{{status}}")], "reqps"),
        Panel("PRIP, time", _quantiles("refsys_prip_request_seconds", "route"), "s"),
        Panel("Delivered", [Query("sum(rate(refsys_prip_delivered_bytes_total[5m]))", "bytes")], "Bps"),
        Panel("STAC", [Query("sum by (status) (rate(refsys_stac_request_seconds_count[5m]))", "{{status}}")], "reqps"),
        Panel("STAC, time", _quantiles("refsys_stac_request_seconds", "route"), "s"),
        Panel("Gateway", [Query("gateway:requests:rate5m", "{{envoy_response_code_class}}xx")], "reqps"),
        Panel(
            "Notifications",
            [
                Query("sum by (outcome) (increase(refsys_notifications_posted_total[1h]))", "{{outcome}}"),
                Query("sum(increase(refsys_notifications_queued_total[1h]))", "queued"),
                Query("sum(increase(refsys_notifications_dropped_total[1h]))", "dropped"),
            ],
        ),
        Panel(
            "Routing",
            [Query("sum by (rule, outcome) (increase(refsys_routing_transfers_total[1h]))", "{{rule}} {{outcome}}")],
        ),
        Panel("Endpoints", [Query('probe_duration_seconds{job="blackbox", target!=""}', "{{target}} {{probe}}")], "s"),
        Logs(
            "Log",
            f"{_PROCESSING} AND program:(prip OR stac OR cadip OR notifier OR router) AND {_BAD}",
        ),
    ),
)

"""The way of a product: ingestion, catalogue, processing, distribution."""

from refsys.monitoring.dashboards.board import Board, Logs, Panel, Query, events

_PROCESSING = 'namespace:"processing"'
_JOBS = 'namespace:("production-s1" OR "production-s2" OR "production-s3")'
_BAD = "severity:(warning OR err OR crit)"


def _quantiles(metric: str, by: str, selector: str = "") -> list[Query]:
    return _shares(f"sum by ({by}, le) (rate({metric}_bucket{selector}[5m]))", by)


def _recorded_quantiles(metric: str, by: str, selector: str = "") -> list[Query]:
    """Return those of a histogram with so many series that a rule sums them up."""
    return _shares(f"{by}_le:{metric}:rate5m{selector}", by)


def _shares(buckets: str, by: str) -> list[Query]:
    return [events(f"histogram_quantile({share}, {buckets})", f"{{{{{by}}}}} {share:.0%}") for share in (0.5, 0.95)]


INGESTION = Board(
    "ingestion",
    "Ingestion",
    (
        Panel("Stations that answer", [Query("sum(max by (station) (refsys_station_up))")], figure=True, width=6),
        Panel(
            "Stations away",
            [Query("count(max by (station) (refsys_station_up) == 0) or on () vector(0)")],
            figure=True,
            red=1,
            width=6,
        ),
        Panel(
            "Files in an hour",
            [events('sum(increase(refsys_station_files_total{outcome="queued"}[1h]))')],
            figure=True,
            width=6,
        ),
        Panel("Bytes in a second", [events("sum(station:ingested:bytes_rate5m)")], "Bps", figure=True, width=6),
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
        Panel("Files by station", [events("station:files:rate5m", "{{station}} {{outcome}}")], "cps"),
        Panel("Bytes by station", [events("station:ingested:bytes_rate5m", "{{station}}")], "Bps"),
        Panel(
            "Files that wait",
            [Query('sum by (consumergroup) (kafka_consumergroup_lag{topic="ingestion-job"})', "{{consumergroup}}")],
        ),
        Panel(
            "From publication to the store",
            _quantiles("refsys_product_step_seconds", "mission", '{step="ingestion"}'),
            "s",
        ),
        Panel("Uploads", [events("sum by (state) (increase(refsys_uploads_total[1h]))", "{{state}}")]),
        Panel("Recalls", [events("sum by (outcome) (increase(refsys_recalls_total[1h]))", "{{outcome}}")]),
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
            "Products in an hour", [events("sum(increase(refsys_catalogued_products_total[1h]))")], figure=True, width=6
        ),
        Panel(
            "Invalid in a day",
            [events('sum(increase(refsys_catalogued_products_total{state="INVALID"}[1d]))')],
            figure=True,
            red=1,
            width=6,
        ),
        Panel("Waiting", [Query('sum(kafka_consumergroup_lag{consumergroup="catalogue"})')], figure=True, width=6),
        Panel("Evictions that wait", [Query("max(refsys_evictions_waiting)")], figure=True, width=6),
        Panel("Products", [events("mission:catalogued:rate5m", "{{mission}} {{state}}")], "cps"),
        Panel(
            "Time for a message", _recorded_quantiles("refsys_message_seconds", "topic", '{topic="catalog-job"}'), "s"
        ),
        Panel(
            "Evicted",
            [events("sum by (mission, cause) (increase(refsys_evicted_products_total[1h]))", "{{mission}} {{cause}}")],
        ),
        Panel(
            "Evictions that failed",
            [events("sum by (mission) (increase(refsys_eviction_failures_total[1h]))", "{{mission}}")],
        ),
        Panel(
            "Search",
            [
                events(
                    "sum by (route, status) (rate(refsys_metadata_search_request_seconds_count[5m]))",
                    "{{route}} {{status}}",
                )
            ],
            "reqps",
        ),
        Panel("Search, time", _recorded_quantiles("refsys_metadata_search_request_seconds", "route"), "s"),
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
            [events("sum(increase(refsys_dead_letters_total[1d]))")],
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
            [events('sum(rate(refsys_compression_bytes_total{direction="COMPRESS"}[1h]))')],
            "Bps",
            figure=True,
            width=8,
        ),
        Panel("Messages", [events("topic:messages:rate5m", "{{topic}} {{outcome}}")], "cps", width=12),
        Panel("Time for a message", _recorded_quantiles("refsys_message_seconds", "topic"), "s", width=12),
        Panel(
            "Production jobs",
            [Query("sum by (mission, state) (refsys_production_jobs)", "{{mission}} {{state}}")],
            width=6,
        ),
        Panel(
            "Jobs with their inputs, or without",
            [
                events(
                    "sum by (chain, outcome) (increase(refsys_production_jobs_prepared_total[1h]))",
                    "{{chain}} {{outcome}}",
                )
            ],
            width=6,
        ),
        Panel("Jobs waited", _quantiles("refsys_production_wait_seconds", "timeliness"), "s", width=6),
        Panel(
            "Jobs overdue",
            [events("max by (mission) (refsys_production_overdue_seconds)", "{{mission}}")],
            "s",
            width=6,
        ),
        Panel(
            "Jobs ended",
            [events("sum by (chain, outcome) (increase(refsys_jobs_total[1h]))", "{{chain}} {{outcome}}")],
            width=8,
        ),
        Panel(
            "Jobs tried again",
            [events("sum by (chain, cause) (increase(refsys_job_attempts_total[1h]))", "{{chain}} {{cause}}")],
            width=8,
        ),
        Panel(
            "Longest wait to run",
            [Query("max by (mission) (refsys_jobs_queued_seconds)", "{{mission}}")],
            "s",
            width=8,
        ),
        Panel(
            "Lag",
            [Query('consumergroup_topic:kafka_consumergroup_lag:sum{topic!~"logs-.*"}', "{{consumergroup}} {{topic}}")],
        ),
        Panel(
            "Dead letters",
            [events("sum by (topic, action) (increase(refsys_dead_letters_total[1h]))", "{{topic}} {{action}}")],
        ),
        Panel("Sent again", [events("sum by (topic) (increase(refsys_dead_letter_restarts_total[1h]))", "{{topic}}")]),
        Panel(
            "Compression",
            [events("sum by (direction) (rate(refsys_compression_bytes_total[5m]))", "{{direction}}")],
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
        Logs("Log of jobs", f"{_JOBS} AND {_BAD}"),
    ),
)

DISTRIBUTION = Board(
    "distribution",
    "Distribution",
    (
        Panel(
            "Requests without error, an hour",
            [
                events(
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
            [events("sum(increase(refsys_prip_delivered_bytes_total[1d]))")],
            "bytes",
            figure=True,
            width=6,
        ),
        Panel("Downloads now", [Query("sum(refsys_prip_open_downloads)")], figure=True, width=6),
        Panel(
            "Refused by quotas in an hour",
            [events("sum(increase(refsys_prip_quota_refused_total[1h]))")],
            figure=True,
            width=6,
        ),
        Panel("PRIP", [events("prip:requests:rate5m", "{{status}}")], "reqps"),
        Panel("PRIP, time", _recorded_quantiles("refsys_prip_request_seconds", "route"), "s"),
        Panel("Delivered", [events("sum(rate(refsys_prip_delivered_bytes_total[5m]))", "bytes")], "Bps"),
        Panel("STAC", [events("sum by (status) (rate(refsys_stac_request_seconds_count[5m]))", "{{status}}")], "reqps"),
        Panel("STAC, time", _recorded_quantiles("refsys_stac_request_seconds", "route"), "s"),
        Panel(
            "Orders in an hour",
            [
                events("sum(increase(refsys_ondemand_orders_total[1h]))", "placed"),
                events("sum by (quota) (increase(refsys_ondemand_quota_refused_total[1h]))", "refused: {{quota}}"),
            ],
        ),
        Panel("Gateway", [events("gateway:requests:rate5m", "{{envoy_response_code_class}}xx")], "reqps"),
        Panel(
            "Notifications",
            [
                events("sum by (outcome) (increase(refsys_notifications_posted_total[1h]))", "{{outcome}}"),
                events("sum(increase(refsys_notifications_queued_total[1h]))", "queued"),
                events("sum(increase(refsys_notifications_dropped_total[1h]))", "dropped"),
            ],
        ),
        Panel(
            "Routing",
            [events("sum by (rule, outcome) (increase(refsys_routing_transfers_total[1h]))", "{{rule}} {{outcome}}")],
        ),
        Panel(
            "Endpoints",
            [Query('probe_duration_seconds{job="blackbox", target!=""}', "{{target}} {{probe}}")],
            "s",
            width=24,
        ),
        Logs(
            "Log",
            f"{_PROCESSING} AND program:(prip OR stac OR ondemand OR cadip OR notifier OR router) AND {_BAD}",
        ),
    ),
)

"""What is looked at from above: security, KPIs and objectives, costs."""

from refsys.monitoring.dashboards.board import Board, Logs, Panel, Query, events

_STEP = 'sum by (mission, le) (rate(refsys_product_step_seconds_bucket{{step="{}"}}[1h]))'

SECURITY = Board(
    "security",
    "Security",
    (
        Panel(
            "Alerts of rules in a day",
            [events("sum(increase(refsys_alerts_total[1d]))")],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Detector looked ago",
            [Query("time() - max(refsys_detection_looked_timestamp_seconds)")],
            "s",
            figure=True,
            red=120,
            width=4,
        ),
        Panel(
            "OpenBao open",
            [Query('min(vault_core_unsealed{job="openbao"})')],
            "bool_on_off",
            figure=True,
            red=1,
            low=True,
            width=4,
        ),
        Panel(
            "Security updates that wait",
            [Query('sum(apt_upgrades_pending{job="node", origin=~".*[Ss]ecurity.*"}) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Nodes with a virus",
            [Query('sum(clamav_scan_infected{job="node"}) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Suricata away",
            [Query('count(suricata_up{job="node"} == 0) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel("Alerts by level", [events("sum by (level) (increase(refsys_alerts_total[1h]))", "{{level}}")]),
        Panel(
            "Alerts of the network",
            [Query('sum by (node) (increase(suricata_detect_alert_total{job="node"}[1h]))', "{{node}}")],
        ),
        Panel(
            "Packets missed",
            [
                Query(
                    'rate(suricata_capture_kernel_drops_total{job="node"}[5m]) '
                    '/ rate(suricata_capture_kernel_packets_total{job="node"}[5m])',
                    "{{node}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Requests that the gateway refused",
            [events('gateway:requests:rate5m{envoy_response_code_class="4"}', "4xx")],
            "reqps",
        ),
        Panel(
            "Refused by role, at Envoys",
            [events('sum by (app) (rate(envoy_http_rbac_denied{job="envoy"}[5m]))', "{{app}}")],
            "reqps",
        ),
        Panel(
            "Age of signatures, days",
            [
                Query("(time() - clamav_signatures_timestamp_seconds) / 86400", "uploads"),
                Query('(time() - clamav_host_signatures_timestamp_seconds{job="node"}) / 86400', "{{node}}"),
            ],
        ),
        Panel("Records by topic", [Query("topic:log_records:rate5m", "{{topic}}")], "cps"),
        Panel(
            "Records that wait",
            [
                Query(
                    'sum by (topic) (consumergroup_topic:kafka_consumergroup_lag:sum{consumergroup="log-indexer"})',
                    "{{topic}}",
                )
            ],
        ),
        Panel(
            "Days to the end of certificates",
            [
                Query(
                    '(min by (target) (probe_ssl_earliest_cert_expiry{job="blackbox", target!=""}) - time()) / 86400',
                    "{{target}}",
                )
            ],
        ),
        Logs("Refused at the gateway", "program:gateway AND event.status:[400 TO 499]"),
    ),
)

KPIS = Board(
    "kpis",
    "KPIs",
    (
        Panel(
            "PRIP without error, two days",
            [
                events(
                    '1 - sum_over_time(slo:errors:rate5m{slo="prip-availability"}[2d]) '
                    '/ sum_over_time(slo:events:rate5m{slo="prip-availability"}[2d])'
                )
            ],
            "percentunit",
            figure=True,
            red=0.995,
            low=True,
        ),
        Panel(
            "Ingested in time, two days",
            [
                events(
                    '1 - sum_over_time(slo:errors:rate5m{slo="ingestion-delay"}[2d]) '
                    '/ sum_over_time(slo:events:rate5m{slo="ingestion-delay"}[2d])'
                )
            ],
            "percentunit",
            figure=True,
            red=0.99,
            low=True,
        ),
        Panel(
            "Published in time, two days",
            [
                events(
                    '1 - sum_over_time(slo:errors:rate5m{slo="timeliness"}[2d]) '
                    '/ sum_over_time(slo:events:rate5m{slo="timeliness"}[2d])'
                )
            ],
            "percentunit",
            figure=True,
            red=0.95,
            low=True,
        ),
        Panel("Error budget, times too fast (6 h)", [events("slo:burn:6h", "{{slo}}")], red=1),
        Panel("Error budget, times too fast (1 h)", [events("slo:burn:1h", "{{slo}}")], red=6),
        Panel(
            "Late products",
            [
                events(
                    "sum by (mission, timeliness) (increase(refsys_products_late_total[1h]))",
                    "{{mission}} {{timeliness}}",
                )
            ],
        ),
        Panel(
            "Published",
            [events('sum by (mission) (increase(refsys_product_step_seconds_count{step="total"}[1h]))', "{{mission}}")],
            stacked=True,
        ),
        Panel("In all, 90 %", [events(f"histogram_quantile(0.9, {_STEP.format('total')})", "{{mission}}")], "s"),
        Panel("Ingestion, 90 %", [events(f"histogram_quantile(0.9, {_STEP.format('ingestion')})", "{{mission}}")], "s"),
        Panel("Catalogue, 90 %", [events(f"histogram_quantile(0.9, {_STEP.format('catalogue')})", "{{mission}}")], "s"),
        Panel(
            "Publication, 90 %", [events(f"histogram_quantile(0.9, {_STEP.format('publication')})", "{{mission}}")], "s"
        ),
        Panel(
            "Alerts",
            [Query('sum by (severity) (ALERTS{alertstate="firing", alertname!="Watchdog"})', "{{severity}}")],
            stacked=True,
        ),
    ),
    since="now-2d",
)

_GIB = 1024**3
_DAY, _MONTH = "24", "730"
_STORED = f'sum(pg_database_size_bytes{{job="postgresql"}}) / {_GIB}'
_SHARE = "namespace:container_cpu:rate5m / on () group_left sum(namespace:container_cpu:rate5m)"

FINOPS = Board(
    "finops",
    "Finops",
    (
        Panel(
            "Environment, a day",
            [Query(f"sum(environment:cost:eur_per_hour) * {_DAY}")],
            "currencyEUR",
            figure=True,
            width=6,
        ),
        Panel(
            "Environment, a month",
            [Query(f"sum(environment:cost:eur_per_hour) * {_MONTH}")],
            "currencyEUR",
            figure=True,
            width=6,
        ),
        Panel(
            "A published product, this day",
            [Query(f"sum(environment:cost:eur_per_hour) * {_DAY} / sum(max by (mission) (refsys_products_of_day))")],
            "currencyEUR",
            figure=True,
            width=6,
        ),
        Panel(
            "In the last two days",
            [Query("sum(avg_over_time(environment:cost:eur_per_hour[2d:10m])) * 48")],
            "currencyEUR",
            figure=True,
            width=6,
        ),
        Panel(
            "Environment by what is paid for, a day",
            [Query(f"sum by (kind) (environment:cost:eur_per_hour) * {_DAY}", "{{kind}}")],
            "currencyEUR",
            stacked=True,
        ),
        Panel(
            "By chain, a day",
            [Query(f"sum by (mission) (chain:cost:eur_per_hour) * {_DAY}", "{{mission}}")],
            "currencyEUR",
            stacked=True,
        ),
        Panel(
            "Nodes by namespace, a day",
            [
                Query(
                    f'{_SHARE} * on () group_left sum(environment:cost:eur_per_hour{{kind="nodes"}}) * {_DAY}',
                    "{{namespace}}",
                )
            ],
            "currencyEUR",
            stacked=True,
        ),
        Panel("Node hours in a day", [Query("avg_over_time(count(kube_node_info)[1d:5m]) * 24", "node hours")]),
        Panel(
            "CPU that was asked for",
            [Query('sum by (namespace) (kube_pod_container_resource_requests{resource="cpu"})', "{{namespace}}")],
            stacked=True,
        ),
        Panel(
            "CPU asked for, used",
            [
                Query(
                    "namespace:container_cpu:rate5m / on (namespace) sum by (namespace) "
                    '(kube_pod_container_resource_requests{resource="cpu"})',
                    "{{namespace}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Memory asked for, used",
            [
                Query(
                    "namespace:container_memory:bytes / on (namespace) sum by (namespace) "
                    '(kube_pod_container_resource_requests{resource="memory"})',
                    "{{namespace}}",
                )
            ],
            "percentunit",
        ),
        Panel(
            "Volumes",
            [Query("sum by (namespace) (kube_persistentvolumeclaim_resource_requests_storage_bytes)", "{{namespace}}")],
            "bytes",
            stacked=True,
        ),
        Panel(
            "Object store, written and read",
            [
                events('sum(increase(s3_written_bytes_total{job="object-store"}[1d]))', "written in a day"),
                events('sum(increase(s3_read_bytes_total{job="object-store"}[1d]))', "read in a day"),
            ],
            "bytes",
        ),
        Panel("Object store by mission", [Query("max by (mission) (refsys_stored_bytes)", "{{mission}}")], "bytes"),
        Panel("Databases, GiB", [Query(_STORED, "databases")]),
    ),
    since="now-2d",
)

"""What everything stands on: nodes, cluster, Kafka, PostgreSQL."""

from refsys.monitoring.dashboards.board import Board, Panel, Query

NODES = Board(
    "nodes",
    "Nodes",
    (
        Panel(
            "Ready", [Query('sum(kube_node_status_condition{condition="Ready", status="true"})')], figure=True, width=4
        ),
        Panel(
            "Gone",
            [Query('count(kube_node_status_condition{condition="Ready", status="true"} == 0) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Least disk left",
            [Query("min(node:disk_available:ratio)")],
            "percentunit",
            figure=True,
            red=0.15,
            low=True,
            width=4,
        ),
        Panel(
            "Least memory left",
            [Query("min(node:memory_available:ratio)")],
            "percentunit",
            figure=True,
            red=0.08,
            low=True,
            width=4,
        ),
        Panel(
            "Failed units",
            [Query('sum(node_systemd_unit_state{job="node", state="failed"})')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel("Restart waits", [Query('sum(node_reboot_required{job="node"})')], figure=True, red=1, width=4),
        Panel("CPU", [Query("node:cpu_busy:ratio_rate5m", "{{node}}")], "percentunit"),
        Panel("Load", [Query('node_load5{job="node"}', "{{node}}")]),
        Panel("Memory left", [Query("node:memory_available:ratio", "{{node}}")], "percentunit"),
        Panel("Disks", [Query("1 - node:disk_available:ratio", "{{node}} {{mountpoint}}")], "percentunit"),
        Panel(
            "Disk traffic",
            [
                Query('sum by (node) (rate(node_disk_read_bytes_total{job="node"}[5m]))', "{{node}} read"),
                Query('sum by (node) (rate(node_disk_written_bytes_total{job="node"}[5m]))', "{{node}} written"),
            ],
            "Bps",
        ),
        Panel(
            "Waiting for disks",
            [Query('rate(node_pressure_io_waiting_seconds_total{job="node"}[5m])', "{{node}}")],
            "percentunit",
        ),
        Panel(
            "Network",
            [
                Query("node:network_received:bytes_rate5m", "{{node}} received"),
                Query("node:network_sent:bytes_rate5m", "{{node}} sent"),
            ],
            "Bps",
        ),
        Panel("Clock's offset", [Query('node_timex_offset_seconds{job="node"}', "{{node}}")], "s"),
        Panel("Updates that wait", [Query('sum by (node) (apt_upgrades_pending{job="node"})', "{{node}}")]),
    ),
)

CLUSTER = Board(
    "cluster",
    "Cluster",
    (
        Panel("Pods running", [Query('sum(kube_pod_status_phase{phase="Running"})')], figure=True, width=4),
        Panel(
            "Pods waiting", [Query('sum(kube_pod_status_phase{phase=~"Pending|Unknown"})')], figure=True, red=1, width=4
        ),
        Panel(
            "Crash-looping",
            [Query('sum(kube_pod_container_status_waiting_reason{reason="CrashLoopBackOff"}) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Failed Jobs",
            [Query('sum(kube_job_failed{condition="true"}) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel(
            "Alerts",
            [Query('count(ALERTS{alertstate="firing", alertname!="Watchdog"}) or on () vector(0)')],
            figure=True,
            red=1,
            width=4,
        ),
        Panel("Targets down", [Query("count(up == 0) or on () vector(0)")], figure=True, red=1, width=4),
        Panel("CPU by namespace", [Query("namespace:container_cpu:rate5m", "{{namespace}}")], stacked=True),
        Panel(
            "Memory by namespace", [Query("namespace:container_memory:bytes", "{{namespace}}")], "bytes", stacked=True
        ),
        Panel(
            "Starts of containers",
            [Query("sum by (namespace) (increase(kube_pod_container_status_restarts_total[1h]))", "{{namespace}}")],
        ),
        Panel(
            "Volumes", [Query("1 - volume:available:ratio", "{{namespace}}/{{persistentvolumeclaim}}")], "percentunit"
        ),
        Panel(
            "API server",
            [Query("code:apiserver_requests:rate5m", "{{code}}")],
            "reqps",
        ),
        Panel(
            "API server, time",
            [
                Query(
                    "verb:apiserver_request_seconds:mean5m",
                    "{{verb}}",
                )
            ],
            "s",
        ),
        Panel(
            "etcd, writes to disk",
            [
                Query(
                    "histogram_quantile(0.99, sum by (node, le) "
                    '(rate(etcd_disk_wal_fsync_duration_seconds_bucket{job="etcd"}[5m])))',
                    "{{node}}",
                )
            ],
            "s",
        ),
        Panel("etcd, size", [Query('etcd_mvcc_db_total_size_in_bytes{job="etcd"}', "{{node}}")], "bytes"),
        Panel(
            "DNS",
            [Query('sum by (rcode) (rate(coredns_dns_responses_total{job="coredns"}[5m]))', "{{rcode}}")],
            "reqps",
        ),
    ),
)

KAFKA = Board(
    "kafka",
    "Kafka",
    (
        Panel(
            "Partitions without leader",
            [Query('max(kafka_controller_kafkacontroller_offlinepartitionscount{job="kafka"})')],
            figure=True,
            red=1,
            width=6,
        ),
        Panel(
            "Partitions without copies",
            [Query('sum(kafka_server_replicamanager_underreplicatedpartitions{job="kafka"})')],
            figure=True,
            red=1,
            width=6,
        ),
        Panel(
            "Messages that wait", [Query("sum(consumergroup_topic:kafka_consumergroup_lag:sum)")], figure=True, width=6
        ),
        Panel(
            "Groups without members",
            [Query("count(kafka_consumergroup_members == 0) or on () vector(0)")],
            figure=True,
            width=6,
        ),
        Panel(
            "Lag", [Query("consumergroup_topic:kafka_consumergroup_lag:sum", "{{consumergroup}} {{topic}}")], width=12
        ),
        Panel(
            "Messages by topic",
            [Query("topic:kafka_records:rate5m", "{{topic}}")],
            "cps",
            width=12,
        ),
        Panel(
            "Bytes in",
            [
                Query(
                    'sum by (topic) (rate(kafka_server_brokertopicmetrics_bytesinpersec_total{job="kafka"}[5m]))',
                    "{{topic}}",
                )
            ],
            "Bps",
        ),
        Panel(
            "Bytes out",
            [
                Query(
                    'sum by (topic) (rate(kafka_server_brokertopicmetrics_bytesoutpersec_total{job="kafka"}[5m]))',
                    "{{topic}}",
                )
            ],
            "Bps",
        ),
        Panel("Memory of the machine", [Query('jvm_memory_used_bytes{job="kafka", area="heap"}', "{{pod}}")], "bytes"),
    ),
)

POSTGRESQL = Board(
    "postgresql",
    "PostgreSQL",
    (
        Panel("Answers", [Query('max(pg_up{job="postgresql"})')], "bool_on_off", figure=True, red=1, low=True, width=6),
        Panel(
            "Connections taken",
            [
                Query(
                    'sum(pg_stat_activity_count{job="postgresql"}) / max(pg_settings_max_connections{job="postgresql"})'
                )
            ],
            "percentunit",
            figure=True,
            red=0.8,
            width=6,
        ),
        Panel(
            "Longest transaction",
            [Query('max(pg_stat_activity_max_tx_duration{job="postgresql", state!="idle"})')],
            "s",
            figure=True,
            red=1800,
            width=6,
        ),
        Panel("Size", [Query('sum(pg_database_size_bytes{job="postgresql"})')], "bytes", figure=True, width=6),
        Panel(
            "Connections",
            [Query('sum by (datname, state) (pg_stat_activity_count{job="postgresql"}) > 0', "{{datname}} {{state}}")],
        ),
        Panel(
            "Transactions",
            [
                Query(
                    'sum by (datname) (rate(pg_stat_database_xact_commit{job="postgresql"}[5m]))', "{{datname}} kept"
                ),
                Query(
                    'sum by (datname) (rate(pg_stat_database_xact_rollback{job="postgresql"}[5m]))',
                    "{{datname}} given up",
                ),
            ],
            "ops",
        ),
        Panel(
            "Rows",
            [
                Query('sum(rate(pg_stat_database_tup_fetched{job="postgresql"}[5m]))', "fetched"),
                Query('sum(rate(pg_stat_database_tup_inserted{job="postgresql"}[5m]))', "inserted"),
                Query('sum(rate(pg_stat_database_tup_updated{job="postgresql"}[5m]))', "updated"),
            ],
            "ops",
        ),
        Panel(
            "Found in memory",
            [
                Query(
                    'sum by (datname) (rate(pg_stat_database_blks_hit{job="postgresql"}[5m])) / (sum by (datname) '
                    '(rate(pg_stat_database_blks_hit{job="postgresql"}[5m])) + sum by (datname) '
                    '(rate(pg_stat_database_blks_read{job="postgresql"}[5m])))',
                    "{{datname}}",
                )
            ],
            "percentunit",
        ),
        Panel("Locks", [Query('sum by (mode) (pg_locks_count{job="postgresql"})', "{{mode}}")]),
        Panel(
            "Deadlocks",
            [Query('sum by (datname) (increase(pg_stat_database_deadlocks{job="postgresql"}[1h]))', "{{datname}}")],
        ),
        Panel("Size by database", [Query('pg_database_size_bytes{job="postgresql"}', "{{datname}}")], "bytes"),
    ),
)

"""Alerts of a running environment: each is fired by its cause, reaches Alertmanager, and resolves when that is mended.

All causes are there at once, so that the waiting times of the rules pass together.
"""

import dataclasses
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from refsys.infra.clouds.local import nspawn
from refsys.infra.demo.endpoints import DOWNLINK, DemoStation, Endpoints
from refsys.infra.demo.stations import playing
from refsys.infra.playbook import hosts, login
from refsys.platform.components.names import TOPICS
from tests.local.conftest import Environment
from tests.local.probes import Probes, image, pod
from tests.local.prometheus import Asked, until
from tests.local.root import Root
from tests.means.cadip import Cadip

pytestmark = [pytest.mark.long, pytest.mark.timeout(3600)]

FIRE_SECONDS = 20 * 60  # ten minutes are the longest that one of them waits
RESOLVE_SECONDS = 15 * 60
LATE_SECONDS = 70 * 60
DISK, FOLDER = "/dev/causes", "/mnt/causes"
DISK_BYTES = 64 * 2**20
QUEUE = "causes"
WAITING = 10_100
NAMESPACE = "processing"
KAFKA = """
import json, os
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
plan = json.loads(os.environ["PLAN"])
options, name, messages = plan["options"], plan["name"], plan["messages"]
admin = AdminClient(options)
def read(number):
    consumer = Consumer({**options, "group.id": name, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    consumer.subscribe([name])
    for _ in range(number):
        message = consumer.poll(60)
        assert message is not None and message.error() is None, message and message.error()
    consumer.commit(message, asynchronous=False)
    consumer.close()
if plan["do"] == "fill":
    admin.create_topics([NewTopic(name, 1, 1)])[name].result()
    producer = Producer(options)
    for number in range(messages):
        producer.produce(name, str(number).encode())
        producer.poll(0) if number % 1000 else producer.flush()
    assert producer.flush(60) == 0
    read(1)
elif plan["do"] == "empty":
    read(messages - 1)
else:
    admin.delete_consumer_groups([name])[name].result()
    admin.delete_topics([name])[name].result()
with open(os.environ["RESULT"], "w") as told:
    told.write("true")
"""


@dataclass
class Scene:
    """The environment, and what causes need of it."""

    environment: Environment
    api: client.ApiClient
    prometheus: Asked
    root: Root
    folder: Path
    stations: dict[str, DemoStation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        endpoints = Endpoints.model_validate(self.environment.endpoints()["demo"])
        self.stations = {station.type: station for station in endpoints.stations}

    @contextmanager
    def played(self, kind: str, **changes: Any) -> Iterator[None]:
        """Play one of the demo's stations while the context lasts."""
        station = self.stations[kind].model_copy(update=changes)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, playing([station], Path(folder), None):
            yield

    def on_node(self, name: str, command: str) -> None:
        """Run a command of root on a node."""
        host = hosts(self.environment.inventory())[name]
        subprocess.run([*login(host), command], check=True, capture_output=True, timeout=60)

    def back_up(self, name: str) -> None:
        """Make a copy of OpenBao's secrets now."""
        batch = client.BatchV1Api(self.api)
        spec = batch.read_namespaced_cron_job("openbao-backup", "security").spec.job_template.spec
        batch.create_namespaced_job("security", {"metadata": {"name": name}, "spec": spec})
        for _ in until(180):
            if batch.read_namespaced_job(name, "security").status.succeeded:
                break
        batch.delete_namespaced_job(name, "security", propagation_policy="Background")


Course = Generator[None]
"""Provokes a cause, mends it when asked to go on, and cleans up when it is closed."""


def init_of(scene: Scene, node: str) -> int:
    """The first process of a node."""
    leader = nspawn.leader(nspawn.NodeSpec(scene.environment.name, node, "", "", 0, 0, ""))
    (first,) = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    return int(first)


def node_gone(scene: Scene) -> Course:
    """A second worker, which nothing else lies on, is killed; `up` brings it back."""
    scene.environment.configure(local={"workers": 2})
    try:
        scene.environment.refsys("up", scene.environment.name)
        os.kill(init_of(scene, "w2"), signal.SIGKILL)  # with it all processes of the node end
        yield
        scene.environment.refsys("up", scene.environment.name)
        yield
    finally:
        scene.environment.configure(local={"workers": 1})
        scene.environment.refsys("up", scene.environment.name)


def station_down(scene: Scene) -> Course:
    """A station that answered is stopped, and comes back."""
    up = f'max(refsys_station_up{{station="{scene.stations["auxip"].name}"}}) == 1'
    with scene.played("auxip"):
        for _ in until(300):
            if scene.prometheus.query(up):
                break
        else:
            raise AssertionError("the station is not asked")
    yield
    with scene.played("auxip"):
        yield


def certificate_ending(scene: Scene) -> Course:
    """A probed station shows a certificate that ends in seven hours, and then the one that it had."""
    station = scene.stations["xbip"]
    short = scene.root.issue("station", timedelta(hours=7), [station.host])
    certificate, key = scene.folder / "short.pem", scene.folder / "short.key"
    certificate.write_text(short.certificate_pem)
    key.write_text(short.key_pem)
    with scene.played("xbip", certificate_file=certificate, key_file=key):
        yield
    with scene.played("xbip"):
        yield


def product_late(scene: Scene) -> Course:
    """A station lists a session two hours after its files were received; Sentinel-1's have an hour."""
    settings = scene.stations["cadip"]
    options = settings.model_dump(exclude={"name", "type", "passive_ports"})
    station = Cadip(**options)
    orbit = int(time.time()) % 1_000_000
    session = station.add_session("S1A", 1, 1, downlink=DOWNLINK + timedelta(minutes=4), orbit=orbit)
    received = session.published - timedelta(hours=2)
    session.blocks[:] = [dataclasses.replace(block, published=received) for block in session.blocks]
    with station:
        yield
        station.faults.down = True


def disk_full(scene: Scene) -> Course:
    """A small disk of the worker is filled; its own one is the machine's, which must not be."""
    enter = ["nsenter", "--target", str(init_of(scene, "w1")), "--mount", "sh", "-c"]

    def inside(command: str) -> None:
        subprocess.run([*enter, command], check=True, capture_output=True)

    file = scene.folder / "disk"
    with file.open("wb") as disk:
        disk.truncate(DISK_BYTES)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", file], check=True)
    loop = subprocess.check_output(["losetup", "--find", "--show", file], text=True).strip()
    numbers = Path(loop).stat().st_rdev
    with ExitStack() as stack:
        stack.callback(subprocess.run, ["losetup", "--detach", loop], check=True)
        stack.callback(inside, f"umount {FOLDER}; rm {DISK}; rmdir {FOLDER}")
        inside(f"mknod {DISK} b {os.major(numbers)} {os.minor(numbers)} && mkdir {FOLDER} && mount {DISK} {FOLDER}")
        inside(f"dd if=/dev/zero of={FOLDER}/much bs=1M; test -s {FOLDER}/much")
        yield
        inside(f"rm {FOLDER}/much")
        yield


def pod_crash_looping(scene: Scene) -> Course:
    """A container ends as soon as it began, again and again."""
    manifest = pod("crashes", image(scene.api), "raise SystemExit(1)")
    manifest["spec"] |= {"restartPolicy": "Always", "nodeName": "w1"}
    with Probes(scene.api) as probes:
        probes.start(NAMESPACE, manifest)
        yield
    yield


def consumer_lag(scene: Scene) -> Course:
    """A consumer of ten thousand messages takes the first one and pauses, then takes the others."""
    issued = scene.root.issue(TOPICS.name, timedelta(hours=2))
    options = {
        "bootstrap.servers": "kafka.infra.svc:9093",
        "security.protocol": "ssl",
        "ssl.ca.pem": scene.root.certificate_pem,
        "ssl.certificate.pem": issued.certificate_pem,
        "ssl.key.pem": issued.key_pem,
    }

    def work(what: str) -> None:
        plan = {"options": options, "name": QUEUE, "messages": WAITING, "do": what}
        labels = {"app.kubernetes.io/name": TOPICS.name}
        with Probes(scene.api) as probes:
            probes.start(TOPICS.namespace, pod(f"lag-{what}", image(scene.api), KAFKA, plan=plan, labels=labels))
            # Others may have probes that do not end.
            for _ in until(180):
                found = probes.core.read_namespaced_pod(f"probe-lag-{what}", TOPICS.namespace)
                if found.status.phase in ("Succeeded", "Failed"):
                    break
            said = probes.core.read_namespaced_pod_log(f"probe-lag-{what}", TOPICS.namespace)
            assert found.status.phase == "Succeeded", said

    work("fill")
    try:
        yield
        work("empty")
        yield
    finally:
        work("remove")


def backup_missing(scene: Scene) -> Course:
    """Backups are no longer made, and the last one is four hours old: what a day brings, by the time of its file."""
    batch = client.BatchV1Api(scene.api)
    job, namespace = "openbao-backup", "security"
    scene.back_up("causes-before")
    batch.patch_namespaced_cron_job(job, namespace, {"spec": {"suspend": True}})
    try:
        folder = "/var/lib/refsys/volumes/object-store/rs-backups/openbao"
        scene.on_node("w1", f"find {folder} -type f -exec touch -d '4 hours ago' {{}} +")
        yield
        scene.back_up("causes-after")
        yield
    finally:
        batch.patch_namespaced_cron_job(job, namespace, {"spec": {"suspend": False}})


def target_down(scene: Scene) -> Course:
    """A node's exporter is stopped, and started."""
    scene.on_node("cp1", "systemctl stop prometheus-node-exporter")
    try:
        yield
    finally:
        scene.on_node("cp1", "systemctl start prometheus-node-exporter")
    yield


@dataclass(frozen=True)
class Alert:
    """An alert as it is expected: its name, and some of its labels."""

    name: str
    labels: dict[str, str]
    cause: Callable[[Scene], Course]
    resolves: bool = True

    def firing(self, prometheus: Asked) -> bool:
        """Whether Prometheus fires it."""
        named = {"alertname": self.name, "alertstate": "firing"} | self.labels
        return bool(prometheus.query("ALERTS{" + ",".join(f'{key}="{value}"' for key, value in named.items()) + "}"))

    def told(self, prometheus: Asked) -> bool:
        """Whether Alertmanager has it."""
        named = {"alertname": self.name} | self.labels
        return any(named.items() <= labels.items() for labels in prometheus.told())


# In the order in which they are provoked: `up` would start what others stopped, and the late product needs its time.
ALERTS = (
    Alert("NodeGone", {"node": "w2"}, node_gone),
    # The longest window of a rule, an hour, is waited for below.
    Alert("ProductsLate", {"mission": "S1", "timeliness": "S1_SESSION"}, product_late, resolves=False),
    Alert("StationDown", {"station": "DEMO_AUXIP"}, station_down),
    Alert("ConsumerLagHigh", {"consumergroup": QUEUE, "topic": QUEUE}, consumer_lag),
    Alert("BackupMissing", {"name": "openbao"}, backup_missing),
    Alert("PodCrashLooping", {"namespace": NAMESPACE, "pod": "probe-crashes"}, pod_crash_looping),
    Alert("CertificateEnding", {"station": "DEMO_XBIP"}, certificate_ending),
    Alert("DiskFull", {"node": "w1", "device": DISK}, disk_full),
    Alert("TargetDown", {"job": "node", "node": "cp1"}, target_down),
)


def test_each_cause_fires_its_alert_which_resolves(
    environment: Environment, cluster: client.ApiClient, tmp_path: Path
) -> None:
    asked = Asked(cluster)
    scene = Scene(environment, cluster, asked, Root.of(environment.name), tmp_path)
    with ExitStack() as stack:
        courses = {}
        for alert in ALERTS:
            courses[alert.name] = stack.enter_context(closing(alert.cause(scene)))
            next(courses[alert.name])
            assert alert.name == "ProductsLate" or not alert.firing(asked), f"{alert.name} was there before"
        left = wait(
            list(ALERTS), lambda alert: alert.firing(scene.prometheus) and alert.told(scene.prometheus), "fired"
        )
        assert left == []
        # `up`, which brings the node back, waits until all pods are well.
        for course in reversed(courses.values()):
            next(course, None)
        lasting = [alert for alert in ALERTS if alert.resolves]
        assert wait(lasting, lambda alert: not (alert.firing(asked) or alert.told(asked)), "over") == []


def wait(alerts: list[Alert], there: Callable[[Alert], bool], word: str) -> list[str]:
    """Wait until something is so of all alerts; return the names of those of which it is not."""
    started = time.monotonic()
    for _ in until(FIRE_SECONDS if word == "fired" else RESOLVE_SECONDS, every=10):
        for alert in [alert for alert in alerts if there(alert)]:
            alerts.remove(alert)
            print(f"{alert.name}: {word} after {time.monotonic() - started:.0f} s")  # noqa: T201 - shown with -rP
        if not alerts:
            break
    return [alert.name for alert in alerts]


@pytest.mark.timeout(LATE_SECONDS + 600)
def test_what_was_late_is_over_after_an_hour(cluster: client.ApiClient) -> None:
    """Near the end of the suite, which takes the hour that the rule looks back."""
    prometheus = Asked(cluster)
    fired = 'ALERTS{alertname="ProductsLate", alertstate="firing"}'
    assert prometheus.query(f"count_over_time({fired}[3h])"), "the cause was not provoked"
    for _ in until(LATE_SECONDS, every=30):
        if not prometheus.query(fired):
            break
    else:
        raise AssertionError("late products are late for ever")

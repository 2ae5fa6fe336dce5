"""The whole platform and chain, built once under Pulumi's mocks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes
from pulumi.runtime import mocks

from refsys.infra.applications import Application as Declared
from refsys.infra.hosting import application_args
from refsys.monitoring.components import (
    Alerting,
    Alertmanager,
    AlertmanagerArgs,
    Blackbox,
    BlackboxArgs,
    KubeStateMetrics,
    KubeStateMetricsArgs,
    LogStore,
    LogStoreArgs,
    MetricsHistory,
    MetricsHistoryArgs,
    ProbedStation,
    Prometheus,
    PrometheusArgs,
    targets,
)
from refsys.platform.components import (
    Context,
    Group,
    Mirror,
    NodeLogins,
    People,
    Person,
    Platform,
    PlatformArgs,
    StationNetwork,
)
from refsys.security.components import OpenBao, OpenBaoArgs
from refsys.services.components import Application, Chain, ChainArgs, Routing, RoutingRemote, Station, connected

DOMAIN = "test.example"
IMAGES = (
    *("postgresql", "kafka", "object-store", "openldap", "keycloak", "gateway", "clamav", "openbao"),
    *("opensearch", "alertmanager", "prometheus", "exporters", "statsd-exporter", "kube-state-metrics", "services"),
    "level0",
    "thanos",
    "xeyes",
    "mission-planning",
    "sra",
)
PEOPLE = People(
    [Person("anna", "Anna", "A", "anna@example.org", ["operators"], [], 20_001)],
    [Group("operators", 20_002, ["operator", "node-login"])],
)
SECRET_MARK = "4dabf18193072939515e22adb298388d"


@dataclass(frozen=True)
class Made:
    """A resource as the engine was asked for it."""

    kind: str
    """Kubernetes kind."""
    inputs: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.inputs["metadata"]["name"])

    @property
    def template(self) -> dict[str, Any]:
        """The pod template, of what runs pods; otherwise empty."""
        spec = self.inputs.get("spec", {})
        spec = self.inputs if self.kind == "PodTemplate" else spec.get("jobTemplate", {}).get("spec", spec)
        found: dict[str, Any] = spec.get("template") or {}
        return found

    @property
    def pod(self) -> dict[str, Any] | None:
        """The pod template's spec, of what runs pods."""
        return self.template.get("spec")

    @property
    def namespace(self) -> str | None:
        namespace: str | None = self.inputs["metadata"].get("namespace")
        return namespace


class _Mocks(mocks.Mocks):
    def __init__(self) -> None:
        self.made: list[Made] = []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        if args.typ.startswith("kubernetes:"):
            self.made.append(Made(args.typ.split(":")[-1], args.inputs))
        return f"{args.name}-id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise NotImplementedError(args.token)


@dataclass(frozen=True)
class _Certificate:
    certificate_pem: pulumi.Output[str]
    key_pem: pulumi.Output[str]
    ca_pem: pulumi.Output[str]


class _Authority:
    ca_pem = pulumi.Output.from_input("authority\n")

    def intermediate(self, name: str, parent: pulumi.Resource) -> _Certificate:
        return self.issue(f"{name}-ca")

    def issue(
        self,
        name: str,
        *,
        dns_names: Sequence[str] = (),
        ip_addresses: Sequence[str] = (),
        common_name: str | None = None,
        parent: pulumi.Resource | None = None,
    ) -> _Certificate:
        subject = f"{name}/{common_name or name}/{','.join([*dns_names, *ip_addresses])}"
        return _Certificate(
            pulumi.Output.from_input(f"certificate {subject}\n"),
            pulumi.Output.secret(f"PRIVATE {name}\n"),
            pulumi.Output.from_input("authority\n"),
        )


def _password(name: str, parent: pulumi.Resource | None = None) -> pulumi.Output[str]:
    return pulumi.Output.secret(f"PASSWORD-{name}")


def recorded(program: Callable[[Context], None], *, volume_node: str | None = "w1", services: str = "1") -> list[Made]:
    """Run a program with a context of its own; return what was asked for."""
    recorder = _Mocks()
    mocks.set_mocks(recorder, project="refsys", stack="test", preview=False)

    def run() -> None:
        images = {name: f"registry.{DOMAIN}:5000/refsys/{name}@sha256:{'0' * 64}" for name in IMAGES}
        images["services"] = images["services"][:-1] + services
        context = Context(
            provider=pulumi_kubernetes.Provider("cluster", kubeconfig="{}"),
            domain=DOMAIN,
            images=images,
            authority=_Authority(),
            passwords=_password,
            volume_node=volume_node,
        )
        program(context)

    pulumi.runtime.test(run)()  # type: ignore[no-untyped-call]  # Pulumi gives it no types
    return recorder.made


def build(
    *,
    demo_user: bool = True,
    volume_node: str | None = "w1",
    services: str = "1",
    signatures: Mirror | None = None,
    metrics_history: bool = False,
    applications: Sequence[Declared] = (),
) -> list[Made]:
    """Build everything; return what was asked for."""

    def program(context: Context) -> None:
        arguments = PlatformArgs(
            context,
            [StationNetwork("10.0.0.1/32", 8443)],
            demo_user,
            routing_networks=[StationNetwork("10.0.0.2/32", 443)],
            signatures=signatures,
            api_servers=[StationNetwork("10.0.0.3/32", 6443)],
            people=PEOPLE,
            alert_networks=[StationNetwork("10.0.0.4/32", 443)],
            node_logins=NodeLogins("10.0.0.0/24", pulumi.Output.secret("PASSWORD-sssd")),
            metrics_history=metrics_history,
            applications=[each.hosted() for each in applications],
        )
        platform = Platform("platform", arguments)
        openbao = OpenBao("openbao", OpenBaoArgs(context, platform, pulumi.Output.secret("PASSWORD-seal")))
        LogStore("log-store", LogStoreArgs(context, platform))
        alerting = Alerting("https://10.0.0.4/alerts-of-PASSWORD-webhook")
        Alertmanager("alertmanager", AlertmanagerArgs(context, platform, alerting))
        KubeStateMetrics("kube-state-metrics", KubeStateMetricsArgs(context, platform))
        Blackbox("blackbox", BlackboxArgs(context, platform, ["station authority\n"]))
        probed = targets(DOMAIN, ["prip", "auth"], [ProbedStation("demo", "https://10.0.0.1:8443/odata/v1", True)])
        station = Station(
            name="demo",
            url="https://10.0.0.1:8443/odata/v1",
            inboxes=[{"match": ".*", "family": "AUXILIARY_FILE", "mission": "S1"}],
            settings={"token_url": "https://10.0.0.1:8443/token", "client_id": "client", "username": "refsys"},
            secrets={"password": pulumi.Output.secret("PASSWORD-station")},
            ca_pem="station authority\n",
        )
        remotes = [
            RoutingRemote(
                "src", "webdav", {"url": "https://10.0.0.2/"}, {"pass": pulumi.Output.secret("PASSWORD-src")}
            ),
            RoutingRemote("dst", "s3", {"provider": "Other"}),
        ]
        rule = {"name": "all", "source": "src:out", "target": "dst:in", "schedule": "* * * * *"}
        sampling = {"S1": [{"start": "0 19 * * 5", "minutes": 240}], "S2": []}
        routing = Routing(remotes, [rule], "remotes' authority\n")
        hosted = [connected(each.hosted(), platform, context.authority, platform) for each in applications]
        args = ChainArgs(
            context,
            platform,
            openbao,
            [station],
            sampling,
            routing,
            metrics_history=metrics_history,
            applications=hosted,
        )
        chain = Chain("chain", args)
        for declared, found in zip(applications, hosted, strict=True):
            Application(declared.name, application_args(declared, found, context, platform, chain))
        history = (
            MetricsHistory("metrics-history", MetricsHistoryArgs(context, platform, chain.buckets)).bucket
            if metrics_history
            else None
        )
        Prometheus("prometheus", PrometheusArgs(context, platform, probed=probed, history=history))

    return recorded(program, volume_node=volume_node, services=services)

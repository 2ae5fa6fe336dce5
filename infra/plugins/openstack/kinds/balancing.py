"""Load balancers (Octavia): each change waits until the whole balancer stands still again."""

from typing import Any, ClassVar

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds.base import NAME, REGION, Field, Kind
from refsys.infra.plugins.openstack.marks import is_mark
from refsys.infra.plugins.openstack.work import Work

_PROJECT = Field("project_id", replaces=True, computed=True)
_TAGS = Field("tags", unordered=True, partial=True)
_UP = Field("admin_state_up", default=True)
_COMMON = {"name": NAME, "adminStateUp": _UP, "tenantId": _PROJECT, "region": REGION}


class Balancing(Kind):
    """A type of Octavia. While a balancer changes, it takes no other change (409): each is asked for again."""

    service = "load_balancer"
    mark_at_creation = True
    seconds = 900

    def body(self, api: Api, inputs: Properties) -> Properties:
        """References to others as Octavia wants them."""
        body = super().body(api, inputs)
        if body.get("persistence"):
            body["session_persistence"] = _persistence(body.pop("persistence"))
        return body

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for it, with its mark."""
        body = {**self.body(api, inputs), "tags": [*(inputs.get("tags") or []), work.mark]}
        return self._when_free(api, work, "POST", self.place(), {self.member: body})

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change it in place."""
        changed = self.body(api, self.changed(old, new)) | self.cleared(old, new)
        live = self.read(api, identity) or {"id": identity}
        if "tags" in changed:
            changed["tags"] = [*changed["tags"], *(tag for tag in self.tags(live) if is_mark(tag))]
        if changed:
            live = self._when_free(api, work, "PUT", self.place(identity), {self.member: changed})
        return self._finished(api, work, live, new, old)

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Wait until it is active."""
        now = dict(live)

        def look() -> str:
            now.update(self.read(api, self.identity(live)) or {"provisioning_status": "DELETED"})
            done = now["provisioning_status"] in ("ACTIVE", "ERROR", "DELETED")
            return "" if done else f"{self.title} is {now['provisioning_status'].lower().replace('_', ' ')}"

        work.until(look)
        return now

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Remove it, and wait until it is gone."""
        if self.read(api, identity) is not None:
            self._when_free(api, work, "DELETE", self.removal(identity), None)
        work.until(lambda: self._still_there(api, identity))

    def failed(self, live: Properties) -> str:
        """Octavia's own status."""
        status = live.get("provisioning_status")
        return f"its provisioning status is {status}" if status in ("ERROR", "DELETED") else ""

    def told(self, api: Api, live: Properties) -> Properties:
        """Without marks."""
        told = super().told(api, live)
        return told | ({"tags": self.own_tags(live)} if "tags" in told else {})

    def removal(self, identity: str) -> str:
        """Where it is removed."""
        return self.place(identity)

    def _when_free(self, api: Api, work: Work, method: str, path: str, body: Any) -> Properties:
        answer: Properties = {}

        def ask() -> str:
            try:
                answer.update(api.send("load_balancer", method, path, body))
            except CloudError as error:
                if error.status == 404 and method == "DELETE":
                    return ""
                if error.status != 409 or "immutable" not in error.reason.lower():
                    raise
                return error.reason
            return ""

        work.until(ask)
        return dict(answer.get(self.member) or {})

    def _still_there(self, api: Api, identity: str) -> str:
        live = self.read(api, identity)
        gone = live is None or live.get("provisioning_status") == "DELETED"
        return "" if gone else f"{self.title} {identity} is being removed"


class LoadBalancer(Balancing):
    """A load balancer."""

    urn_type = "openstack:loadbalancer/loadBalancer:LoadBalancer"
    title, path = "load balancer", "/lbaas/loadbalancers"
    member, members = "loadbalancer", "loadbalancers"
    fields: ClassVar = _COMMON | {
        "description": Field("description"),
        "vipSubnetId": Field("vip_subnet_id", replaces=True, computed=True),
        "vipNetworkId": Field("vip_network_id", replaces=True, computed=True),
        "vipPortId": Field("vip_port_id", replaces=True, computed=True),
        "vipAddress": Field("vip_address", replaces=True, computed=True),
        "vipQosPolicyId": Field("vip_qos_policy_id"),
        "availabilityZone": Field("availability_zone", replaces=True),
        "flavorId": Field("flavor_id", replaces=True, computed=True),
        "loadbalancerProvider": Field("provider", replaces=True, computed=True),
        "tags": _TAGS,
    }

    def removal(self, identity: str) -> str:
        """What hangs on it goes with it."""
        return f"{self.place(identity)}?cascade=true"


class Listener(Balancing):
    """A port of a load balancer."""

    urn_type = "openstack:loadbalancer/listener:Listener"
    title, path, member, members = "listener", "/lbaas/listeners", "listener", "listeners"
    fields: ClassVar = _COMMON | {
        "description": Field("description"),
        "loadbalancerId": Field("loadbalancer_id", required=True, replaces=True),
        "protocol": Field("protocol", required=True, replaces=True),
        "protocolPort": Field("protocol_port", required=True, replaces=True),
        "allowedCidrs": Field("allowed_cidrs", unordered=True),
        "connectionLimit": Field("connection_limit", computed=True),
        "defaultPoolId": Field("default_pool_id", computed=True),
        "timeoutClientData": Field("timeout_client_data", computed=True),
        "timeoutMemberConnect": Field("timeout_member_connect", computed=True),
        "timeoutMemberData": Field("timeout_member_data", computed=True),
        "timeoutTcpInspect": Field("timeout_tcp_inspect", computed=True),
        "tags": _TAGS,
    }

    def told(self, api: Api, live: Properties) -> Properties:
        """Its balancer is one of a list."""
        return super().told(api, live) | _first(live, "loadbalancers", "loadbalancerId")


class Pool(Balancing):
    """Members that a listener spreads connections over."""

    urn_type = "openstack:loadbalancer/pool:Pool"
    title, path, member, members = "pool", "/lbaas/pools", "pool", "pools"
    fields: ClassVar = _COMMON | {
        "description": Field("description"),
        "protocol": Field("protocol", required=True, replaces=True),
        "lbMethod": Field("lb_algorithm", required=True),
        "listenerId": Field("listener_id", replaces=True),
        "loadbalancerId": Field("loadbalancer_id", replaces=True, computed=True),
        "persistence": Field("persistence", replaces=True),
    }


class Member(Balancing):
    """A member of a pool, below which it lies; an import gives it as `POOL/MEMBER`."""

    urn_type = "openstack:loadbalancer/member:Member"
    title, path, member, members = "pool member", "/lbaas/pools", "member", "members"
    # The same address and port twice are refused by Octavia itself.
    marked = False
    fields: ClassVar = _COMMON | {
        "poolId": Field(required=True, replaces=True),
        "address": Field("address", required=True, replaces=True),
        "protocolPort": Field("protocol_port", required=True, replaces=True),
        "subnetId": Field("subnet_id", replaces=True),
        "weight": Field("weight", computed=True),
        "backup": Field("backup", computed=True),
        "monitorAddress": Field("monitor_address"),
        "monitorPort": Field("monitor_port"),
        "tags": _TAGS,
    }

    def __init__(self, pool: str = "") -> None:
        """The type as it is, or bound to the pool of one member."""
        self._pool = pool

    def bound(self, inputs: Properties, identity: str) -> "Member":
        """To the pool of the inputs, or of an import's id."""
        return Member(str(inputs.get("poolId") or identity.partition("/")[0]))

    def place(self, identity: str = "") -> str:
        """Below its pool."""
        own = identity.rpartition("/")[2]
        return f"{self.path}/{self._pool}/members{'/' if own else ''}{own}"

    def told(self, api: Api, live: Properties) -> Properties:
        """With its pool."""
        return super().told(api, live) | {"poolId": self._pool}


class Monitor(Balancing):
    """How a pool's members are probed."""

    urn_type = "openstack:loadbalancer/monitor:Monitor"
    title, path, member, members = "health monitor", "/lbaas/healthmonitors", "healthmonitor", "healthmonitors"
    fields: ClassVar = _COMMON | {
        "poolId": Field("pool_id", required=True, replaces=True),
        "type": Field("type", required=True, replaces=True),
        "delay": Field("delay", required=True),
        "timeout": Field("timeout", required=True),
        "maxRetries": Field("max_retries", required=True),
        "maxRetriesDown": Field("max_retries_down", computed=True),
        "urlPath": Field("url_path", computed=True),
        "httpMethod": Field("http_method", computed=True),
        "httpVersion": Field("http_version", computed=True),
        "expectedCodes": Field("expected_codes", computed=True),
        "domainName": Field("domain_name"),
    }

    def told(self, api: Api, live: Properties) -> Properties:
        """Its pool is one of a list."""
        return super().told(api, live) | _first(live, "pools", "poolId")


def _first(live: Properties, name: str, key: str) -> Properties:
    items = live.get(name) or []
    return {key: items[0]["id"]} if items else {}


def _persistence(given: Properties) -> Properties:
    names = {"type": "type", "cookieName": "cookie_name"}
    return {names[key]: value for key, value in given.items() if value is not None}

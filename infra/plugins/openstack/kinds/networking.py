"""Networks, subnets, routers and security groups (Neutron)."""

from typing import Any, ClassVar

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds.base import (
    BUSY_SECONDS,
    DESCRIPTION,
    NAME,
    PROJECT,
    REGION,
    TAGS,
    Field,
    Kind,
)
from refsys.infra.plugins.openstack.work import Work

_UP = Field("admin_state_up", computed=True)
_COMMON = {"name": NAME, "description": DESCRIPTION, "tags": TAGS, "tenantId": PROJECT, "region": REGION}


class Networking(Kind):
    """A type of Neutron; its tags are set by a request of their own."""

    service = "network"
    listed_whole = True

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Set the tags: the program's, the mark, and those that others gave it."""
        given = list(inputs.get("tags") or [])
        others = [tag for tag in self.own_tags(live) if tag not in ((old or {}).get("tags") or [])]
        marks = [tag for tag in self.tags(live) if tag not in self.own_tags(live)] or [work.mark]
        wanted = sorted({*given, *others, *marks})
        if wanted == sorted(self.tags(live)):
            return live
        path = f"{self.path}/{self.identity(live)}/tags"
        return {**live, **api.send("network", "PUT", path, {"tags": wanted})}

    def told(self, api: Api, live: Properties) -> Properties:
        """As the table says, with the tags."""
        return {**super().told(api, live), "tags": self.own_tags(live)}

    def more(self, api: Api, live: Properties) -> Properties:
        """As the table says, with all tags."""
        return {**super().more(api, live), "allTags": self.own_tags(live)}


class Network(Networking):
    """A network."""

    urn_type = "openstack:networking/network:Network"
    title, path, member, members = "network", "/networks", "network", "networks"
    fields: ClassVar = _COMMON | {
        "adminStateUp": _UP,
        "availabilityZoneHints": Field("availability_zone_hints", replaces=True, computed=True, unordered=True),
        "dnsDomain": Field("dns_domain", computed=True),
        "external": Field("router:external", computed=True),
        "mtu": Field("mtu", computed=True),
        "portSecurityEnabled": Field("port_security_enabled", computed=True),
        "qosPolicyId": Field("qos_policy_id", computed=True),
        "shared": Field("shared", computed=True),
        "transparentVlan": Field("vlan_transparent", computed=True),
    }


class Subnet(Networking):
    """A subnet."""

    urn_type = "openstack:networking/subnet:Subnet"
    title, path, member, members = "subnet", "/subnets", "subnet", "subnets"
    fields: ClassVar = _COMMON | {
        "networkId": Field("network_id", required=True, replaces=True),
        "cidr": Field("cidr", replaces=True, computed=True),
        "ipVersion": Field("ip_version", replaces=True, default=4),
        "enableDhcp": Field("enable_dhcp", default=True),
        "gatewayIp": Field("gateway_ip", computed=True),
        "noGateway": Field(default=False),
        "allocationPools": Field("allocation_pools", computed=True, unordered=True),
        "dnsNameservers": Field("dns_nameservers"),
        "dnsPublishFixedIp": Field("dns_publish_fixed_ip", computed=True),
        "ipv6AddressMode": Field("ipv6_address_mode", replaces=True, computed=True),
        "ipv6RaMode": Field("ipv6_ra_mode", replaces=True, computed=True),
        "prefixLength": Field("prefixlen", replaces=True, computed=True),
        "subnetpoolId": Field("subnetpool_id", replaces=True, computed=True),
        "serviceTypes": Field("service_types", computed=True, unordered=True),
    }

    def body(self, api: Api, inputs: Properties) -> Properties:
        """A subnet has a gateway unless told otherwise."""
        body = super().body(api, inputs)
        return {**body, "gateway_ip": None} if inputs.get("noGateway") else body

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """The cloud wants the version of the addresses named."""
        return super().post(api, work, {"ipVersion": 4, **inputs})

    def told(self, api: Api, live: Properties) -> Properties:
        """No gateway is an input of its own."""
        return {**super().told(api, live), "noGateway": live.get("gateway_ip") is None}


class Router(Networking):
    """A router."""

    urn_type = "openstack:networking/router:Router"
    title, path, member, members = "router", "/routers", "router", "routers"
    fields: ClassVar = _COMMON | {
        "adminStateUp": _UP,
        "availabilityZoneHints": Field("availability_zone_hints", replaces=True, computed=True, unordered=True),
        "distributed": Field("distributed", replaces=True, computed=True),
        "externalNetworkId": Field(computed=True),
        "enableSnat": Field(computed=True),
        "externalFixedIps": Field(computed=True),
    }

    def body(self, api: Api, inputs: Properties) -> Properties:
        """The gateway is one object."""
        body = super().body(api, inputs)
        if inputs.get("externalNetworkId"):
            fixed = [
                {"subnet_id": item.get("subnetId"), "ip_address": item.get("ipAddress")}
                for item in inputs.get("externalFixedIps") or []
            ]
            body["external_gateway_info"] = _given(
                network_id=inputs["externalNetworkId"],
                enable_snat=inputs.get("enableSnat"),
                external_fixed_ips=[_given(**item) for item in fixed] or None,
            )
        return body

    def changed(self, old: Properties, new: Properties) -> Properties:
        """A gateway is changed as a whole."""
        changed = super().changed(old, new)
        gateway = ("externalNetworkId", "enableSnat", "externalFixedIps")
        return changed | ({key: new[key] for key in gateway if key in new} if changed.keys() & set(gateway) else {})

    def told(self, api: Api, live: Properties) -> Properties:
        """With the gateway's parts."""
        gateway = live.get("external_gateway_info") or {}
        fixed = [
            {"subnetId": item.get("subnet_id"), "ipAddress": item.get("ip_address")}
            for item in gateway.get("external_fixed_ips") or []
        ]
        parts = {"externalNetworkId": gateway.get("network_id") or "", "externalFixedIps": fixed}
        return {**super().told(api, live), **parts, **_given(enableSnat=gateway.get("enable_snat"))}


class RouterInterface(Kind):
    """A router's leg in a subnet; its id is that of the port."""

    urn_type = "openstack:networking/routerInterface:RouterInterface"
    title, service, path, member, members = "router interface", "network", "/ports", "port", "ports"
    marked = False
    listed_whole = True
    fields: ClassVar = {
        "routerId": Field("device_id", required=True, replaces=True),
        "subnetId": Field(replaces=True, computed=True),
        "portId": Field(replaces=True, computed=True),
        "forceDestroy": Field(default=False),
        "region": REGION,
    }

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Attach the subnet; one that is attached already is the same."""
        leg = _given(subnet_id=inputs.get("subnetId"), port_id=inputs.get("portId"))
        path = f"/routers/{inputs['routerId']}/add_router_interface"
        try:
            port = api.send("network", "PUT", path, leg)["port_id"]
        except CloudError:
            legs = api.all("network", "/ports", "ports", device_id=inputs["routerId"])
            ours = [item["id"] for item in legs if inputs.get("subnetId") in _subnets(item)]
            if not ours:
                raise
            port = ours[0]
        live = self.read(api, port)
        if live is None:
            raise PluginError(f"port {port} of the interface is gone\n  fix: run the same command again")
        return live

    def told(self, api: Api, live: Properties) -> Properties:
        """Subnet and port."""
        subnet = (_subnets(live) or [""])[0]
        return {"routerId": live["device_id"], "subnetId": subnet, "portId": live["id"]}

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Detach the subnet."""
        live = self.read(api, identity)
        if live is None:
            return
        path = f"/routers/{live['device_id']}/remove_router_interface"

        def remove() -> str:
            try:
                api.send("network", "PUT", path, {"port_id": identity})
            except CloudError as error:
                if error.status == 404:
                    return ""
                if error.status != 409:
                    raise
                return error.advised()
            return ""

        work.until(remove, BUSY_SECONDS)
        work.until(lambda: self._still_there(api, identity))


class SecGroup(Networking):
    """A security group."""

    urn_type = "openstack:networking/secGroup:SecGroup"
    title, path, member, members = "security group", "/security-groups", "security_group", "security_groups"
    fields: ClassVar = _COMMON | {
        "description": Field("description", computed=True),
        "deleteDefaultRules": Field(replaces=True, default=False),
        "stateful": Field("stateful", computed=True),
    }

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """A new group lets everything out, unless these rules are to go; the group goes where they stay."""
        live = super().post(api, work, inputs)
        if inputs.get("deleteDefaultRules"):
            try:
                for rule in live.get("security_group_rules") or []:
                    api.delete("network", f"/security-group-rules/{rule['id']}")
            except PluginError:
                api.delete("network", f"{self.path}/{live['id']}")
                raise
        return live


class SecGroupRule(Kind):
    """One rule of a security group."""

    urn_type = "openstack:networking/secGroupRule:SecGroupRule"
    title, service, path = "security group rule", "network", "/security-group-rules"
    member, members = "security_group_rule", "security_group_rules"
    marked = False
    listed_whole = True
    fields: ClassVar = {
        "securityGroupId": Field("security_group_id", required=True, replaces=True),
        "direction": Field("direction", required=True, replaces=True),
        "ethertype": Field("ethertype", required=True, replaces=True),
        "protocol": Field("protocol", replaces=True, computed=True),
        "portRangeMin": Field("port_range_min", replaces=True, computed=True),
        "portRangeMax": Field("port_range_max", replaces=True, computed=True),
        "remoteIpPrefix": Field("remote_ip_prefix", replaces=True, computed=True),
        "remoteGroupId": Field("remote_group_id", replaces=True, computed=True),
        "remoteAddressGroupId": Field("remote_address_group_id", replaces=True, computed=True),
        "description": Field("description", replaces=True),
        "tenantId": PROJECT,
        "region": REGION,
    }

    def body(self, api: Api, inputs: Properties) -> Properties:
        """An empty protocol is any."""
        return {key: value for key, value in super().body(api, inputs).items() if value != ""}

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for the rule; the same one, with the same description, that an interrupted run made is taken over."""
        try:
            return super().post(api, work, inputs)
        except CloudError as error:
            if error.status != 409 or "already exists" not in error.reason:
                raise
            wanted = self.body(api, inputs)
            rules = api.all("network", self.path, self.members, security_group_id=inputs["securityGroupId"])
            same = [rule for rule in rules if all(rule.get(key) == value for key, value in wanted.items())]
            if not inputs.get("description") or len(same) != 1 or not work.ledger.claim(same[0]["id"], work.urn):
                raise
            return same[0]


def _subnets(port: Properties) -> list[str]:
    return [item["subnet_id"] for item in port.get("fixed_ips") or []]


def _given(**values: Any) -> Properties:
    return {key: value for key, value in values.items() if value is not None}

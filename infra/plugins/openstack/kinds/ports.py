"""Ports and floating addresses (Neutron)."""

from typing import ClassVar

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds.base import DESCRIPTION, NAME, PROJECT, REGION, TAGS, Field, Kind
from refsys.infra.plugins.openstack.kinds.networking import Networking
from refsys.infra.plugins.openstack.work import Work


class Port(Networking):
    """A port of a network."""

    urn_type = "openstack:networking/port:Port"
    title, path, member, members = "port", "/ports", "port", "ports"
    fields: ClassVar = {
        "name": NAME,
        "description": DESCRIPTION,
        "networkId": Field("network_id", required=True, replaces=True),
        "adminStateUp": Field("admin_state_up", computed=True),
        "fixedIps": Field(),
        "noFixedIp": Field(),
        "securityGroupIds": Field(unordered=True),
        "noSecurityGroups": Field(),
        "allowedAddressPairs": Field(unordered=True),
        "deviceId": Field("device_id", replaces=True, computed=True),
        "deviceOwner": Field("device_owner", replaces=True, computed=True),
        "dnsName": Field("dns_name", computed=True),
        "macAddress": Field("mac_address", replaces=True, computed=True),
        "portSecurityEnabled": Field("port_security_enabled", computed=True),
        "qosPolicyId": Field("qos_policy_id", computed=True),
        "tags": TAGS,
        "tenantId": PROJECT,
        "region": REGION,
    }

    def body(self, api: Api, inputs: Properties) -> Properties:
        """Addresses, groups and pairs are lists of objects."""
        body = super().body(api, inputs)
        if inputs.get("noFixedIp") or "fixedIps" in inputs:
            body["fixed_ips"] = [_snake(item) for item in inputs.get("fixedIps") or []]
        if inputs.get("noSecurityGroups") or inputs.get("securityGroupIds"):
            body["security_groups"] = inputs.get("securityGroupIds") or []
        if "allowedAddressPairs" in inputs:
            body["allowed_address_pairs"] = [_snake(item) for item in inputs["allowedAddressPairs"]]
        return body

    def cleared(self, old: Properties, new: Properties) -> Properties:
        """Groups and pairs that were left out are none; addresses stay."""
        gone = super().cleared(old, new)
        for key, name in {
            "securityGroupIds": "security_groups",
            "allowedAddressPairs": "allowed_address_pairs",
        }.items():
            if old.get(key) and key not in new:
                gone[name] = []
        return gone

    def told(self, api: Api, live: Properties) -> Properties:
        """With addresses, groups and pairs."""
        own_mac = live.get("mac_address")
        pairs = [
            {key: value for key, value in _camel(item).items() if (key, value) != ("macAddress", own_mac)}
            for item in live.get("allowed_address_pairs") or []
        ]
        return {
            **super().told(api, live),
            "fixedIps": [_camel(item) for item in live.get("fixed_ips") or []],
            "securityGroupIds": live.get("security_groups") or [],
            "allowedAddressPairs": pairs,
        }

    def more(self, api: Api, live: Properties) -> Properties:
        """All addresses and groups, whether the program named them or not."""
        return {
            **super().more(api, live),
            "allFixedIps": [item["ip_address"] for item in live.get("fixed_ips") or []],
            "allSecurityGroupIds": live.get("security_groups") or [],
            "dnsAssignments": live.get("dns_assignment") or [],
        }


class FloatingIp(Networking):
    """An address of an external network."""

    urn_type = "openstack:networking/floatingIp:FloatingIp"
    title, path, member, members = "floating address", "/floatingips", "floatingip", "floatingips"
    fields: ClassVar = {
        "pool": Field(required=True, replaces=True),
        "address": Field("floating_ip_address", replaces=True, computed=True),
        "description": DESCRIPTION,
        "portId": Field("port_id", computed=True),
        "fixedIp": Field("fixed_ip_address", computed=True),
        "subnetId": Field("subnet_id", replaces=True, computed=True),
        "dnsDomain": Field("dns_domain", replaces=True, computed=True),
        "dnsName": Field("dns_name", replaces=True, computed=True),
        "tags": TAGS,
        "tenantId": PROJECT,
        "region": REGION,
    }

    def body(self, api: Api, inputs: Properties) -> Properties:
        """The pool is an external network."""
        body = super().body(api, inputs)
        return {**body, "floating_network_id": api.external_network(inputs["pool"])} if "pool" in inputs else body

    def more(self, api: Api, live: Properties) -> Properties:
        """With the network, from which an import tells the pool."""
        return {**super().more(api, live), "pool": api.external_network_name(live["floating_network_id"])}


class FloatingIpAssociate(Kind):
    """A floating address on a port; its id is that of the address."""

    urn_type = "openstack:networking/floatingIpAssociate:FloatingIpAssociate"
    title, service, path = "association of a floating address", "network", "/floatingips"
    member, members = "floatingip", "floatingips"
    marked = False
    listed_whole = True
    fields: ClassVar = {
        "floatingIp": Field("floating_ip_address", required=True, replaces=True),
        "portId": Field("port_id", required=True),
        "fixedIp": Field("fixed_ip_address", computed=True),
        "region": REGION,
    }

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Put the address on the port; one that is on another port stays there."""
        address = inputs["floatingIp"]
        found = list(api.all("network", self.path, self.members, floating_ip_address=address))
        if not found:
            raise PluginError(f"there is no floating address {address}\n  fix: openstack floating ip list shows them")
        if found[0].get("port_id") not in (None, inputs["portId"]):
            raise PluginError(
                f"floating address {address} is on port {found[0]['port_id']} already\n  fix: openstack floating ip "
                f"unset --port {address}, if nobody needs it there"
            )
        return self._put(api, found[0]["id"], inputs)

    def read(self, api: Api, identity: str) -> Properties | None:
        """An address that is on no port is not associated any more."""
        return _on_port(super().read(api, identity))

    def look(self, api: Api, identity: str) -> Properties | None:
        """The same, of many."""
        return _on_port(super().look(api, identity))

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Move the address."""
        return self._put(api, identity, new)

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Take the address off the port."""
        try:
            api.send("network", "PUT", f"{self.path}/{identity}", {self.member: {"port_id": None}})
        except CloudError as error:
            if error.status != 404:
                raise

    def _put(self, api: Api, identity: str, inputs: Properties) -> Properties:
        body = {"port_id": inputs["portId"], "fixed_ip_address": inputs.get("fixedIp")}
        body = {key: value for key, value in body.items() if value is not None}
        return dict(api.send("network", "PUT", f"{self.path}/{identity}", {self.member: body})[self.member])


def _on_port(live: Properties | None) -> Properties | None:
    return live if live and live.get("port_id") else None


_NAMES = {"subnetId": "subnet_id", "ipAddress": "ip_address", "macAddress": "mac_address"}


def _snake(item: Properties) -> Properties:
    return {_NAMES[key]: value for key, value in item.items() if value is not None}


def _camel(item: Properties) -> Properties:
    return {key: item[name] for key, name in _NAMES.items() if item.get(name) is not None}

"""Servers (Nova)."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from typing import Any, ClassVar

from refsys.infra.plugins.common.errors import CancelledError, PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds.base import NAME, REGION, TAGS, Field, Kind
from refsys.infra.plugins.openstack.marks import is_mark
from refsys.infra.plugins.openstack.work import Work

STOP_SECONDS = 180
_STEADY = ("ACTIVE", "SHUTOFF", "PAUSED", "SHELVED_OFFLOADED")
_POWER = {"active": "os-start", "shutoff": "os-stop"}
_BLOCK = {
    "sourceType": "source_type",
    "destinationType": "destination_type",
    "bootIndex": "boot_index",
    "deleteOnTermination": "delete_on_termination",
    "volumeSize": "volume_size",
    "volumeType": "volume_type",
    "guestFormat": "guest_format",
    "deviceType": "device_type",
    "diskBus": "disk_bus",
    "uuid": "uuid",
}
_HINTS = {
    "group": "group",
    "differentHosts": "different_host",
    "sameHosts": "same_host",
    "queries": "query",
    "targetCell": "target_cell",
    "differentCells": "different_cell",
    "buildNearHostIp": "build_near_host_ip",
}


class Instance(Kind):
    """A server."""

    urn_type = "openstack:compute/instance:Instance"
    title, service, path, member, members = "server", "compute", "/servers", "server", "servers"
    mark_at_creation = True
    listed_whole = True
    seconds = 1800
    fields: ClassVar = {
        "name": NAME,
        "flavorId": Field(computed=True),
        "flavorName": Field(computed=True),
        "imageId": Field(computed=True),
        "imageName": Field(computed=True),
        "keyPair": Field("key_name", replaces=True),
        "availabilityZone": Field("availability_zone", replaces=True, computed=True),
        "availabilityZoneHints": Field("availability_zone", replaces=True),
        "networks": Field(replaces=True, computed=True),
        "networkMode": Field(replaces=True),
        "securityGroups": Field(computed=True, unordered=True),
        "schedulerHints": Field(replaces=True),
        "blockDevices": Field(replaces=True),
        "configDrive": Field("config_drive", replaces=True),
        "userData": Field(replaces=True),
        "adminPass": Field("adminPass"),
        "metadata": Field("metadata", partial=True),
        "tags": TAGS,
        "powerState": Field(default="active"),
        "stopBeforeDestroy": Field(default=False),
        "forceDelete": Field(default=False),
        "region": REGION,
    }
    outputs: ClassVar = {"created": "created", "updated": "updated"}
    secret_outputs = ("adminPass",)

    def body(self, api: Api, inputs: Properties) -> Properties:
        """The server as Nova wants it."""
        body = super().body(api, inputs)
        if "flavorName" in inputs or "flavorId" in inputs:
            body["flavorRef"] = inputs.get("flavorId") or api.flavor_named(inputs["flavorName"])
        if inputs.get("imageId") or inputs.get("imageName"):
            body["imageRef"] = inputs.get("imageId") or api.image_named(inputs["imageName"])
        if inputs.get("userData"):
            body["user_data"] = base64.b64encode(inputs["userData"].encode()).decode()
        if inputs.get("securityGroups"):
            body["security_groups"] = [{"name": name} for name in inputs["securityGroups"]]
        if inputs.get("blockDevices"):
            body["block_device_mapping_v2"] = [_renamed(item, _BLOCK) for item in inputs["blockDevices"]]
        return body

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for the server, with its mark."""
        networks: Any = inputs.get("networkMode") or [_network(item) for item in inputs.get("networks") or []] or "auto"
        tags = [*(inputs.get("tags") or []), work.mark]
        request = {self.member: {**self.body(api, inputs), "networks": networks, "tags": tags}}
        hints: Properties = {}
        for item in inputs.get("schedulerHints") or []:
            hints |= _renamed(item, _HINTS) | (item.get("additionalProperties") or {})
        if hints:
            request["os:scheduler_hints"] = hints
        # Placed at the same time, servers that have to stay apart come to the same machine, and Nova gives them up.
        with api.turn(f"server group {hints['group']}") if "group" in hints else nullcontext():
            if work.cancelled.is_set():
                raise CancelledError("stopped before it was asked for")
            made = api.send("compute", "POST", self.path, request)[self.member]
            if "group" in hints:
                self._until_placed(api, work, made["id"])
        return {**made, "name": inputs["name"], "status": "BUILD"}

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Wait until the server stands still, then start or stop it as wanted."""
        live = self._steady(api, work, live)
        wanted = str(inputs.get("powerState") or "active").lower()
        if not self.failed(live) and old and wanted in _POWER and live["status"].lower() not in (wanted, "error"):
            api.send("compute", "POST", f"{self.path}/{live['id']}/action", {_POWER[wanted]: None})
            live = self._until_status(api, work, live["id"], wanted.upper())
        return live

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change name, labels, size, image and groups in place."""
        path = f"{self.path}/{identity}"
        live = self.read(api, identity)
        if live is None:
            raise PluginError("it is gone from the cloud\n  fix: ./refsys up looks at everything and makes it anew")
        changed = self.changed(old, new)
        if "name" in changed:
            api.send("compute", "PUT", path, {self.member: {"name": new["name"]}})
        self._metadata(api, path, old.get("metadata") or {}, new.get("metadata") or {})
        self._tags(api, path, live, old, new)
        for group in sorted({*(old.get("securityGroups") or ())} ^ {*(new.get("securityGroups") or ())}):
            action = "addSecurityGroup" if group in (new.get("securityGroups") or ()) else "removeSecurityGroup"
            api.send("compute", "POST", f"{path}/action", {action: {"name": group}})
        if "adminPass" in changed:
            api.send("compute", "POST", f"{path}/action", {"changePassword": {"adminPass": new["adminPass"]}})
        if changed.keys() & {"flavorId", "flavorName"} or live["status"] == "VERIFY_RESIZE":
            self._resize(api, work, live, self.body(api, new)["flavorRef"])
        if changed.keys() & {"imageId", "imageName"}:
            image = self.body(api, new)["imageRef"]
            api.send("compute", "POST", f"{path}/action", {"rebuild": {"imageRef": image, "name": new["name"]}})
        return self._finished(api, work, live, new, old)

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Remove the server, and wait until it is gone."""
        path = f"{self.path}/{identity}"
        if inputs.get("stopBeforeDestroy") and (self.read(api, identity) or {}).get("status") == "ACTIVE":
            api.send("compute", "POST", f"{path}/action", {"os-stop": None})
            self._until_status(api, work, identity, "SHUTOFF", STOP_SECONDS)
        if inputs.get("forceDelete"):
            try:
                api.send("compute", "POST", f"{path}/action", {"forceDelete": None})
            except CloudError as error:
                if error.status != 404:
                    raise
        else:
            api.delete("compute", path)
        work.until(lambda: self._still_there(api, identity))

    def refused(self, inputs: Properties) -> Iterator[tuple[str, str]]:
        """A server has a flavor, and networks by id or port."""
        if not inputs.get("flavorId") and not inputs.get("flavorName"):
            yield "flavorName", "a server needs flavorName or flavorId"
        for item in inputs.get("networks") or []:
            if isinstance(item, dict) and item.get("name"):
                yield "networks", "networks by name are not served by this plugin; give uuid or port"

    def disguised(self, inputs: Properties) -> Properties:
        """The vendor's plugin keeps a hash of user data."""
        return {"userData": _hashed(inputs["userData"])} if inputs.get("userData") else {}

    def failed(self, live: Properties) -> str:
        """Nova's reason for a server in ERROR."""
        if live.get("status") != "ERROR":
            return ""
        fault = live.get("fault") or {}
        return str(fault.get("message") or "the cloud gives no reason")

    def listing(self) -> str:
        """With tags."""
        return f"{self.path}/detail"

    def told(self, api: Api, live: Properties) -> Properties:
        """As Nova shows it."""
        flavor, image = live.get("flavor") or {}, live.get("image") or {}
        return {
            "name": live["name"],
            "flavorName": flavor.get("original_name"),
            "imageId": image.get("id") if isinstance(image, dict) else None,
            "keyPair": live.get("key_name"),
            "availabilityZone": live.get("OS-EXT-AZ:availability_zone"),
            "metadata": live.get("metadata") or {},
            "tags": self.own_tags(live),
            "powerState": str(live.get("status", "")).lower(),
        }

    def imported(self, api: Api, live: Properties) -> Properties:
        """The ports, and whether it has a drive with its configuration."""
        path = f"{self.path}/{live['id']}/os-interface"
        ports = [item["port_id"] for item in api.all("compute", path, "interfaceAttachments")]
        drive = {"configDrive": True} if live.get("config_drive") else {}
        return {"networks": [{"port": port} for port in ports], **drive}

    def more(self, api: Api, live: Properties) -> Properties:
        """Addresses, and what others added."""
        addresses = [item for network in (live.get("addresses") or {}).values() for item in network]
        fixed = sorted(addresses, key=lambda item: item.get("OS-EXT-IPS:type") != "fixed")
        first = {item["version"]: item["addr"] for item in reversed(fixed)}
        return {
            **super().more(api, live),
            "accessIpV4": live.get("accessIPv4") or first.get(4) or "",
            "accessIpV6": live.get("accessIPv6") or first.get(6) or "",
            "allMetadata": live.get("metadata") or {},
            "allTags": self.own_tags(live),
            "securityGroups": sorted({item["name"] for item in live.get("security_groups") or []}),
        }

    def _steady(self, api: Api, work: Work, live: Properties) -> Properties:
        now = live

        def look() -> str:
            now.update(self.read(api, live["id"]) or {"status": "DELETED"})
            if now["status"] == "VERIFY_RESIZE" and not now.get("OS-EXT-STS:task_state"):
                api.send("compute", "POST", f"{self.path}/{live['id']}/action", {"confirmResize": None})
            task = now.get("OS-EXT-STS:task_state")
            done = now["status"] in ("ERROR", "DELETED") or (now["status"] in _STEADY and not task)
            return "" if done else f"server is {str(now['status']).lower()}{f' ({task})' if task else ''}"

        work.until(look)
        if now["status"] == "DELETED":
            raise PluginError("the cloud removed it while it was being made\n  fix: run the same command again")
        return now

    def _resize(self, api: Api, work: Work, live: Properties, flavor: str) -> None:
        """Resize and confirm; Nova puts a server back that it found no room for, so the outcome is looked at."""
        path = f"{self.path}/{live['id']}"
        if live["status"] != "VERIFY_RESIZE":
            api.send("compute", "POST", f"{path}/action", {"resize": {"flavorRef": flavor}})
        after = self._steady(api, work, dict(live))
        wanted = (api.get("compute", f"/flavors/{flavor}") or {}).get("flavor", {}).get("name")
        if not self.failed(after) and after["flavor"].get("original_name") != wanted:
            raise PluginError(
                f"the cloud did not resize it to {wanted}: {self._why(api, path)}\n"
                "  fix: choose a flavor that fits on the cloud's machines"
            )

    def _why(self, api: Api, path: str) -> str:
        actions = (api.get("compute", f"{path}/os-instance-actions") or {}).get("instanceActions") or [{}]
        return str(actions[0].get("message") or "No valid host was found")

    def _until_placed(self, api: Api, work: Work, identity: str) -> None:
        def look() -> str:
            live = self.read(api, identity) or {"status": "ERROR"}
            return "" if live.get("hostId") or live["status"] == "ERROR" else "server waits for its machine"

        with suppress(PluginError):  # what is wrong with the server is told when it is waited for
            work.until(look)

    def _until_status(
        self, api: Api, work: Work, identity: str, status: str, seconds: float | None = None
    ) -> Properties:
        now: Properties = {}

        def look() -> str:
            now.update(self.read(api, identity) or {"status": status})
            return "" if now["status"] in (status, "ERROR") else f"server is {str(now['status']).lower()}"

        work.until(look, seconds)
        return now

    def _metadata(self, api: Api, path: str, old: Properties, new: Properties) -> None:
        for key in old.keys() - new.keys():
            api.delete("compute", f"{path}/metadata/{key}")
        changed = {key: value for key, value in new.items() if old.get(key) != value}
        if changed:
            api.send("compute", "POST", f"{path}/metadata", {"metadata": changed})

    def _tags(self, api: Api, path: str, live: Properties, old: Properties, new: Properties) -> None:
        """The program's tags, and those that are not its own: the mark, others'."""
        marks = [tag for tag in self.tags(live) if is_mark(tag)]
        others = [tag for tag in self.own_tags(live) if tag not in (old.get("tags") or [])]
        wanted = sorted({*marks, *others, *(new.get("tags") or [])})
        if wanted != sorted(self.tags(live)):
            api.send("compute", "PUT", f"{path}/tags", {"tags": wanted})


def _hashed(user_data: str) -> str:
    return hashlib.sha1(user_data.encode(), usedforsecurity=False).hexdigest()


def _network(item: Properties) -> Properties:
    names = {"uuid": "uuid", "port": "port", "fixedIpV4": "fixed_ip", "fixedIpV6": "fixed_ip"}
    return _renamed(item, names)


def _renamed(item: Properties, names: dict[str, str]) -> Properties:
    return {names[key]: value for key, value in item.items() if key in names and value not in (None, "", [])}

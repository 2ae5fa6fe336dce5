"""Key pairs, server groups and attached volumes (Nova)."""

from typing import ClassVar

from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import CloudError
from refsys.infra.plugins.openstack.kinds.base import REGION, Field, Kind
from refsys.infra.plugins.openstack.work import Work


class Keypair(Kind):
    """An SSH key that servers are made with; its id is its name."""

    urn_type = "openstack:compute/keypair:Keypair"
    title, service, path, member, members = "key pair", "compute", "/os-keypairs", "keypair", "keypairs"
    marked = False
    fields: ClassVar = {
        "name": Field("name", replaces=True, computed=True),
        "publicKey": Field("public_key", replaces=True, computed=True),
        "region": REGION,
    }
    outputs: ClassVar = {"fingerprint": "fingerprint", "privateKey": "private_key"}
    secret_outputs = ("privateKey",)

    def identity(self, live: Properties) -> str:
        """Key pairs are known by name."""
        return str(live["name"])

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for it; one with the same name and the very same key is taken over."""
        try:
            return super().post(api, work, inputs)
        except CloudError as error:
            live = self.read(api, inputs["name"]) if error.status == 409 else None
            if live is None or live["public_key"].strip() != str(inputs.get("publicKey")).strip():
                raise
            return live

    def told(self, api: Api, live: Properties) -> Properties:
        """The key as the cloud keeps it."""
        told = super().told(api, live)
        return told | {"publicKey": str(live["public_key"]).strip()}


class ServerGroup(Kind):
    """Servers that stay apart, or together."""

    urn_type = "openstack:compute/serverGroup:ServerGroup"
    title, service, path = "server group", "compute", "/os-server-groups"
    member, members = "server_group", "server_groups"
    # It takes no tags: only one whose creation was not answered is found again, by its name.
    fields: ClassVar = {
        "name": Field("name", replaces=True, computed=True),
        "policies": Field("policy", replaces=True, computed=True),
        "rules": Field(replaces=True, computed=True),
        "region": REGION,
    }
    outputs: ClassVar = {"members": "members"}

    def body(self, api: Api, inputs: Properties) -> Properties:
        """The policy's rules are named as the cloud does."""
        body = super().body(api, inputs)
        most = (inputs.get("rules") or {}).get("maxServerPerHost")
        return {**body, "rules": {"max_server_per_host": most}} if most is not None else body


class VolumeAttach(Kind):
    """A volume on a server; its id names both."""

    urn_type = "openstack:compute/volumeAttach:VolumeAttach"
    title, service, path = "attachment of a volume", "compute", "/servers"
    member, members = "volumeAttachment", "volumeAttachments"
    marked = False
    fields: ClassVar = {
        "instanceId": Field(required=True, replaces=True),
        "volumeId": Field(required=True, replaces=True),
        "device": Field("device", computed=True, replaces=True),
        "region": REGION,
    }

    def identity(self, live: Properties) -> str:
        """Server and volume."""
        return f"{live['serverId']}/{live['volumeId']}"

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Attach the volume; while the server is busy, later."""
        server, volume = inputs["instanceId"], inputs["volumeId"]
        wanted = {"volumeId": volume, **({"device": inputs["device"]} if "device" in inputs else {})}

        def attach() -> str:
            if self.read(api, f"{server}/{volume}"):
                return ""
            try:
                api.send("compute", "POST", f"/servers/{server}/os-volume_attachments", {self.member: wanted})
            except CloudError as error:
                if error.status != 409:
                    raise
                return error.reason
            return ""

        work.until(attach)
        work.until(lambda: "" if _state(api, volume) == "in-use" else f"volume {volume} is being attached")
        return self.read(api, f"{server}/{volume}") or {}

    def read(self, api: Api, identity: str) -> Properties | None:
        """The attachment, None where server, volume or attachment is gone."""
        server, _, volume = identity.partition("/")
        answer = api.get("compute", f"/servers/{server}/os-volume_attachments/{volume}")
        return answer[self.member] if answer else None

    def told(self, api: Api, live: Properties) -> Properties:
        """Server, volume, device."""
        return {"instanceId": live["serverId"], "volumeId": live["volumeId"], "device": live.get("device") or ""}

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Detach the volume, and wait until it is free."""
        server, _, volume = identity.partition("/")

        def detach() -> str:
            try:
                api.delete("compute", f"/servers/{server}/os-volume_attachments/{volume}")
            except CloudError as error:
                # 400: another request to detach it is under way
                if error.status not in (400, 409):
                    raise
                return error.reason
            return ""

        work.until(detach)
        work.until(lambda: f"volume {volume} is being detached" if self.read(api, identity) else "")
        free = ("available", "error", "")
        work.until(lambda: "" if _state(api, volume) in free else f"volume {volume} is not free yet")


def _state(api: Api, volume: str) -> str:
    answer = api.get("block_storage", f"/volumes/{volume}")
    return str(answer["volume"]["status"]) if answer else ""

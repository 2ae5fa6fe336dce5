"""Volumes (Cinder), images (Glance) and containers of objects (Swift)."""

import hashlib
from pathlib import Path
from typing import Any, ClassVar

from refsys.infra.plugins.common.errors import PluginError
from refsys.infra.plugins.common.values import Properties
from refsys.infra.plugins.openstack.api import Api
from refsys.infra.plugins.openstack.errors import BrokenError, CloudError
from refsys.infra.plugins.openstack.kinds.base import DESCRIPTION, NAME, REGION, TAGS, Field, Kind
from refsys.infra.plugins.openstack.marks import is_mark
from refsys.infra.plugins.openstack.work import Work

_MARK = "refsys-mark"
"""The key of metadata under which objects without tags bear their mark."""
_PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


class Volume(Kind):
    """A volume."""

    urn_type = "openstack:blockstorage/volume:Volume"
    title, service, path, member, members = "volume", "block_storage", "/volumes", "volume", "volumes"
    mark_at_creation = True
    listed_whole = True
    fields: ClassVar = {
        "name": NAME,
        "size": Field("size", required=True),
        "description": DESCRIPTION,
        "volumeType": Field("volume_type", computed=True),
        "availabilityZone": Field("availability_zone", replaces=True, computed=True),
        "imageId": Field("imageRef", replaces=True),
        "snapshotId": Field("snapshot_id", replaces=True),
        "sourceVolId": Field("source_volid", replaces=True),
        "metadata": Field("metadata", computed=True, partial=True),
        "enableOnlineResize": Field(),
        "volumeRetypePolicy": Field(default="never"),
        "region": REGION,
    }

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Ask for the volume, with its mark."""
        body = self.body(api, inputs)
        body["metadata"] = {**(inputs.get("metadata") or {}), _MARK: work.mark}
        return dict(api.send("block_storage", "POST", self.path, {self.member: body})[self.member])

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Wait until the volume is there."""
        now = dict(live)

        def look() -> str:
            now.update(self.read(api, live["id"]) or {"status": "error"})
            done = now["status"] in ("available", "in-use") or self.failed(now)
            return "" if done else f"volume is {now['status']}"

        work.until(look)
        return now

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change name, labels, size and type in place."""
        path = f"{self.path}/{identity}"
        changed = self.changed(old, new)
        names = {key: new.get(key) or "" for key in ("name", "description") if old.get(key) != new.get(key)}
        if names:
            api.send("block_storage", "PUT", path, {self.member: names})
        if "metadata" in changed:
            for key in (old.get("metadata") or {}).keys() - changed["metadata"].keys():
                api.delete("block_storage", f"{path}/metadata/{key}")
            api.send("block_storage", "POST", f"{path}/metadata", {"metadata": changed["metadata"]})
        if "size" in changed:
            api.send("block_storage", "POST", f"{path}/action", {"os-extend": {"new_size": new["size"]}})
        if "volumeType" in changed:
            policy = new.get("volumeRetypePolicy") or "never"
            retype = {"new_type": new["volumeType"], "migration_policy": policy}
            api.send("block_storage", "POST", f"{path}/action", {"os-retype": retype})
        return self._finished(api, work, {"id": identity, "name": new["name"]}, new, old)

    def failed(self, live: Properties) -> str:
        """A status like error, error_extending."""
        status = str(live.get("status") or "")
        return f"its status is {status}" if status.startswith("error") else ""

    def told(self, api: Api, live: Properties) -> Properties:
        """Without the mark."""
        metadata = {key: value for key, value in (live.get("metadata") or {}).items() if key != _MARK}
        return {**super().told(api, live), "metadata": metadata}

    def more(self, api: Api, live: Properties) -> Properties:
        """Where it is attached."""
        attachments = [
            {"id": item.get("id"), "instanceId": item.get("server_id"), "device": item.get("device")}
            for item in live.get("attachments") or []
        ]
        return {**super().more(api, live), "attachments": attachments}

    def tags(self, live: Properties) -> list[str]:
        """The mark lies in the metadata."""
        return [str((live.get("metadata") or {}).get(_MARK, ""))]

    def listing(self) -> str:
        """With metadata."""
        return f"{self.path}/detail"


class Image(Kind):
    """An image of a machine, uploaded from a file."""

    urn_type = "openstack:images/image:Image"
    title, service, path, member, members = "image", "image", "/images", "image", "images"
    mark_at_creation = True
    seconds = 1800
    fields: ClassVar = {
        "name": NAME,
        "containerFormat": Field("container_format", required=True, replaces=True),
        "diskFormat": Field("disk_format", required=True, replaces=True),
        "localFilePath": Field(replaces=True),
        "minDiskGb": Field("min_disk", replaces=True, default=0),
        "minRamMb": Field("min_ram", replaces=True, default=0),
        "hidden": Field("os_hidden", default=False),
        "protected": Field("protected", default=False),
        "visibility": Field("visibility", default="private"),
        "properties": Field(computed=True, partial=True),
        "tags": TAGS,
        "verifyChecksum": Field(),
        "region": REGION,
    }
    outputs: ClassVar = {
        "checksum": "checksum",
        "createdAt": "created_at",
        "file": "file",
        "owner": "owner",
        "schema": "schema",
        "sizeBytes": "size",
        "status": "status",
        "updatedAt": "updated_at",
    }

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Announce the image with its mark; its content follows."""
        file = Path(inputs.get("localFilePath") or "")
        if not file.is_file():
            raise PluginError(f"there is no image file {file}\n  fix: give localFilePath a file of this machine")
        tags = [*(inputs.get("tags") or []), work.mark]
        defaults = {"visibility": "private"}
        body = {**defaults, **self.body(api, inputs), **(inputs.get("properties") or {}), "tags": tags}
        return api.send("image", "POST", self.path, body)

    def finish(self, api: Api, work: Work, live: Properties, inputs: Properties, old: Properties | None) -> Properties:
        """Upload the content where it is not there, and wait until the image is active."""
        path = f"{self.path}/{live['id']}"
        if live["status"] == "queued":
            file = Path(inputs["localFilePath"])
            work.progress.status(f"uploading {file.stat().st_size / 2**20:.0f} MiB")
            with file.open("rb") as content:
                api.upload("image", f"{path}/file", content)
        now = dict(live)

        def look() -> str:
            now.update(self.read(api, live["id"]) or {"status": "killed"})
            done = now["status"] == "active" or self.failed(now)
            return "" if done else f"image is {now['status']}"

        work.until(look)
        if live["status"] == "queued" and inputs.get("verifyChecksum") is not False and not self.failed(now):
            _verify(now, Path(inputs["localFilePath"]))
        return now

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change name, visibility, protection, labels by JSON patch."""
        live = self.read(api, identity)
        if live is None:
            raise PluginError("it is gone from the cloud\n  fix: ./refsys up looks at everything and makes it anew")
        wanted = self.body(api, self.changed(old, new)) | self.cleared(old, new) | (new.get("properties") or {})
        marks = [tag for tag in self.tags(live) if is_mark(tag)]
        others = [tag for tag in self.own_tags(live) if tag not in (old.get("tags") or [])]
        wanted["tags"] = sorted({*marks, *others, *(new.get("tags") or [])})
        patch: list[Properties] = [
            {"op": "replace" if key in live else "add", "path": f"/{key}", "value": value}
            for key, value in wanted.items()
            if (sorted(live[key]) if key == "tags" else live.get(key)) != value
        ]
        gone = (old.get("properties") or {}).keys() - (new.get("properties") or {}).keys()
        patch += [{"op": "remove", "path": f"/{key}"} for key in sorted(gone) if key in live]
        if patch:
            api.send("image", "PATCH", f"{self.path}/{identity}", patch, headers=_PATCH)
        return self._finished(api, work, live, new, old)

    def failed(self, live: Properties) -> str:
        """Images that are killed stay so."""
        return "the cloud could not take its content" if live.get("status") in ("killed", "deleted") else ""

    def told(self, api: Api, live: Properties) -> Properties:
        """With the free properties, which lie beside the others."""
        known = {field.api for field in self.fields.values()} | {*self.outputs.values(), "tags", "id", "self"}
        free = {key: value for key, value in live.items() if key not in known and isinstance(value, str)}
        return {**super().told(api, live), "properties": free, "tags": self.own_tags(live)}


def _verify(live: Properties, file: Path) -> None:
    algorithm, wanted = live.get("os_hash_algo"), live.get("os_hash_value")
    if algorithm and wanted:
        with file.open("rb") as content:
            if hashlib.file_digest(content, algorithm).hexdigest() != wanted:
                raise BrokenError("the cloud has other content than the file\n  fix: run the same command again")


class Container(Kind):
    """A container of objects; its id is its name, its mark lies in its metadata."""

    urn_type = "openstack:objectstorage/container:Container"
    title, service, path, member, members = "container", "object_store", "", "container", "containers"
    marked = False
    fields: ClassVar = {
        "name": Field(replaces=True, computed=True),
        "containerRead": Field(),
        "containerWrite": Field(),
        "contentType": Field(),
        "forceDestroy": Field(default=False),
        "metadata": Field(partial=True),
        "storagePolicy": Field(replaces=True, computed=True),
        "region": REGION,
    }
    _headers: ClassVar = {
        "containerRead": "X-Container-Read",
        "containerWrite": "X-Container-Write",
        "contentType": "Content-Type",
        "storagePolicy": "X-Storage-Policy",
    }
    _meta = "X-Container-Meta-"

    def identity(self, live: Properties) -> str:
        """Containers are known by name."""
        return str(live["name"])

    def post(self, api: Api, work: Work, inputs: Properties) -> Properties:
        """Make the container; one that is there is somebody's, unless an earlier attempt of this resource made it."""
        name = inputs["name"]
        there = api.headers("object_store", f"/{name}")
        if there is not None and not _lower(there).get(f"{self._meta}{_MARK}".lower(), "").startswith(work.mark[:27]):
            raise CloudError(409, f"a container called {name} already exists")
        api.put_headers("object_store", f"/{name}", self._wanted(inputs, {}) | {f"{self._meta}{_MARK}": work.mark})
        return self.read(api, name) or {}

    def read(self, api: Api, identity: str) -> Properties | None:
        """The container's headers."""
        headers = api.headers("object_store", f"/{identity}")
        return None if headers is None else {"name": identity, **_lower(headers)}

    def update(self, api: Api, work: Work, identity: str, old: Properties, new: Properties) -> Properties:
        """Change headers."""
        api.put_headers("object_store", f"/{identity}", self._wanted(new, old), "POST")
        return self.read(api, identity) or {}

    def delete(self, api: Api, work: Work, identity: str, inputs: Properties) -> None:
        """Remove the container; with `forceDestroy`, what is in it first."""
        if inputs.get("forceDestroy"):
            for item in api.objects(identity):
                api.delete("object_store", f"/{identity}/{item}")
        api.delete("object_store", f"/{identity}")

    def told(self, api: Api, live: Properties) -> Properties:
        """From the headers."""
        start = self._meta.lower()
        metadata = {key.removeprefix(start): value for key, value in live.items() if key.startswith(start)}
        metadata.pop(_MARK, None)
        headers = {key: live[name.lower()] for key, name in self._headers.items() if name.lower() in live}
        headers.pop("contentType", None)
        return {"name": live["name"], **headers, "metadata": metadata}

    def _wanted(self, inputs: Properties, old: Properties) -> dict[str, Any]:
        headers = {name: inputs.get(key, "") for key, name in self._headers.items() if key in inputs or key in old}
        metadata = {**dict.fromkeys(old.get("metadata") or {}, ""), **(inputs.get("metadata") or {})}
        return headers | {f"{self._meta}{key}": str(value) for key, value in metadata.items()}


def _lower(headers: Any) -> dict[str, str]:
    return {key.lower(): value for key, value in headers.items()}

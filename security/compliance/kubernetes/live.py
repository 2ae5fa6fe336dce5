"""Questions to the API server of a cluster."""

import json
from collections.abc import Mapping
from typing import Any

from kubernetes import client

Json = dict[str, Any]

APPS = "/apis/apps/v1"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
NETWORKING = "/apis/networking.k8s.io/v1"


class Cluster:
    """A cluster as it is now; what was read once is not read again."""

    def __init__(self, api: client.ApiClient) -> None:
        """Ask by `api`, as an administrator."""
        self._api = api
        self._read: dict[str, Any] = {}

    def get(self, path: str) -> Any:
        """Read an object or a list by its path."""
        if path not in self._read:
            self._read[path] = self._call("GET", path)
        return self._read[path]

    def items(self, path: str) -> list[Json]:
        """Read the objects of a list."""
        found: list[Json] = self.get(path)["items"]
        return found

    def pods(self, *, but: str) -> list[Json]:
        """Read the pods of all namespaces but one."""
        return [pod for pod in self.items("/api/v1/pods") if pod["metadata"]["namespace"] != but]

    def namespaces(self) -> list[str]:
        """Name the namespaces that are not about to go."""
        found = self.items("/api/v1/namespaces")
        return [item["metadata"]["name"] for item in found if item["status"]["phase"] == "Active"]

    def refusal(self, namespace: str, pod: Json) -> str:
        """Say why a pod would be refused, without making it; nothing where it would not."""
        try:
            self._call("POST", f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
        except client.ApiException as error:
            if error.status != 403:
                raise
            return str(json.loads(error.body)["message"])
        return ""

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        request = self._api.param_serialize(
            method, path, header_params=headers, body=body, auth_settings=["BearerToken"]
        )
        response = self._api.call_api(*request)
        text = response.read().decode()
        if not 200 <= response.status < 300:
            raise client.ApiException.from_response(http_resp=response, body=text, data=None)
        return json.loads(text)


def name_of(item: Mapping[str, Any]) -> str:
    """Return `namespace/name` of an object."""
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"

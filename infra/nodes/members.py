"""The nodes of an environment's cluster: what it tells of them; kubectl cordons and drains them."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from refsys.infra import paths, shell
from refsys.infra.errors import UserError
from refsys.infra.health.api_server import ApiServer, SilentError
from refsys.infra.nodes.blockers import blockers, claims_on
from refsys.infra.toolchain import tool_bin

KUBECONFIG = "kubeconfig"
LEAVING = "refsys/leaving"
"""Taint of nodes that are to leave once their jobs have ended."""
DRAIN_SECONDS = 300
READY_SECONDS = 180
POLL_SECONDS = 2.0
SHOWN = 5

Document = dict[str, Any]


class Members:
    """A cluster's nodes."""

    def __init__(self, environment: str) -> None:
        """Nothing is requested yet.

        Raises:
            UserError: the environment is not up.
        """
        self.environment = environment
        self._kubeconfig = paths.file_of_running(environment, KUBECONFIG)
        try:
            self._server = ApiServer(self._kubeconfig)
        except SilentError as error:
            raise self._silent(error) from error

    def __enter__(self) -> Self:
        """Begin to ask."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self._server.__exit__()

    def nodes(self) -> dict[str, Document]:
        """The cluster's nodes by name."""
        return {node["metadata"]["name"]: node for node in self.items("/api/v1/nodes")}

    def pods(self, node: str) -> list[Document]:
        """The pods on a node."""
        return self.items(f"/api/v1/pods?fieldSelector=spec.nodeName%3D{node}")

    def claims(self, node: str) -> list[str]:
        """Claims of the volumes that lie on a node and nowhere else."""
        return claims_on(node, self.items("/api/v1/persistentvolumes"))

    def cordon(self, node: str) -> None:
        """Let a node take no new pods."""
        self._kubectl("cordon", node)

    def uncordon(self, node: str) -> None:
        """Let a node take pods again."""
        self._kubectl("uncordon", node)

    def let_go(self, node: str) -> None:
        """Let a node take no new pods, since it is to leave; in another way than people do."""
        self._kubectl("taint", "node", node, f"{LEAVING}=:NoSchedule", "--overwrite")

    def take_back(self, node: str) -> None:
        """Let a node that was to leave take pods again."""
        self._kubectl("taint", "node", node, f"{LEAVING}-")

    def drain(self, node: str, seconds: int) -> None:
        """Cordon a node, and have its pods end or go elsewhere, as far as their disruption budgets allow.

        Raises:
            UserError: names the pods that are still there, why, and what to do.
        """
        try:
            self._kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", f"--timeout={seconds}s")
        except UserError as error:
            raise self._stays(node, seconds, error) from error

    def wait_until_ready(self, node: str, older: str | None, note: Callable[[str], None]) -> None:
        """Wait until a node is Ready and takes pods; `older` is the identity of one before it, which doesn't count.

        Raises:
            UserError: says what the cluster knows of it.
        """
        deadline = time.monotonic() + READY_SECONDS
        while (lacking := _lacking(self.nodes().get(node), older)) is not None:
            if time.monotonic() > deadline:
                raise UserError(
                    f"node {node} is not back after {READY_SECONDS} s: {lacking}",
                    fix=f"look at its kubelet: ./refsys logs {self.environment} --host {node} --since 15m; "
                    f"then ./refsys up {self.environment}",
                )
            note(lacking)
            time.sleep(POLL_SECONDS)

    def items(self, path: str) -> list[Document]:
        """What a list of the API server holds.

        Raises:
            UserError: it doesn't answer.
        """
        try:
            found: list[Document] = json.loads(self._server.text(path))["items"]
        except SilentError as error:
            raise self._silent(error) from error
        return found

    def _kubectl(self, *words: str) -> str:
        try:
            return shell.run(tool_bin("kubernetes") / "kubectl", f"--kubeconfig={self._kubeconfig}", *words)
        except shell.CommandError as error:
            raise UserError(str(error), fix=f"./refsys status {self.environment} says what is wrong") from error

    def _stays(self, node: str, seconds: int, error: UserError) -> UserError:
        budgets = self.items("/apis/policy/v1/poddisruptionbudgets")
        found = blockers(self.environment, self.pods(node), budgets)
        if not found:
            return error
        lines = [f"\n    {each.pod} {each.why}" for each in found[:SHOWN]]
        lines += [f"\n    and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return UserError(
            f"node {node} could not be emptied within {seconds} s, and nothing else was changed; still there:"
            + "".join(lines),
            fix="\n       ".join(dict.fromkeys(each.fix for each in found[:SHOWN])),
        )

    def _silent(self, error: SilentError) -> UserError:
        return UserError(
            f"the cluster of {self.environment} can't be asked: {error}",
            fix=f"./refsys status {self.environment} says what is down",
        )


def is_ready(node: Mapping[str, Any]) -> bool:
    """Whether the cluster hears of a node that it is well."""
    conditions: Sequence[Document] = node["status"].get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def is_leaving(node: Document) -> bool:
    """Whether a node is to leave once its jobs have ended."""
    return any(taint["key"] == LEAVING for taint in node["spec"].get("taints") or ())


def _lacking(node: Document | None, older: str | None) -> str | None:
    if node is None or node["metadata"]["uid"] == older:
        return "it has not joined the cluster"
    if not is_ready(node):
        conditions = [each for each in node["status"].get("conditions") or [] if each["type"] == "Ready"]
        return str(conditions[0].get("message", "it is not ready")) if conditions else "it has not said anything"
    return "it is cordoned" if node["spec"].get("unschedulable") else None

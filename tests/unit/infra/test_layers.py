"""An environment is brought up layer by layer."""

import asyncio
import json

import pytest
from pulumi.runtime import mocks
from tests.means.program_mocks import Recorder, declare

from refsys.infra.clouds.local import preflight
from refsys.infra.environment import Environment
from refsys.infra.errors import UserError
from refsys.infra.layers import LAYERS, Layer
from refsys.infra.reached import _ReachedProvider


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    asyncio.set_event_loop(asyncio.new_event_loop())
    monkeypatch.setattr(preflight, "check", lambda _: None)
    made = Recorder()
    mocks.set_mocks(made, project="refsys", stack="local", preview=False)
    return made


@pytest.mark.parametrize(
    ("until", "playbooks", "kinds"),
    [
        ("infrastructure", set(), {"Node", "LoadBalancer"}),
        ("cluster", {"nodes", "binaries", "cluster", "observe", "integrity"}, {"Image"}),
        ("platform", {"nodes", "binaries", "cluster", "observe", "integrity"}, {"Platform", "Prometheus"}),
        ("chain", {"nodes", "binaries", "cluster", "observe", "integrity"}, {"Chain"}),
    ],
)
def test_an_environment_stops_after_its_layer(
    recorder: Recorder, until: Layer, playbooks: set[str], kinds: set[str]
) -> None:
    declare(Environment.parse("local", {"until": until}))
    assert {args.name for args in recorder.of("Playbook")} == playbooks
    made = {args.typ.rpartition(":")[2] for args in recorder.made}
    assert kinds <= made
    above = {"infrastructure": {"Image", "Platform", "Chain"}, "cluster": {"Platform", "Chain"}, "platform": {"Chain"}}
    assert not above.get(until, set()) & made
    files = {args.inputs["file"] for args in recorder.of("File")}
    assert {"inventory.yml", "known_hosts"} <= files
    assert ("kubeconfig" in files, "endpoints.json" in files) == (until != "infrastructure", until == "chain")


def test_what_is_handed_over_is_written_before_any_playbook_runs(recorder: Recorder) -> None:
    declare(Environment.parse("local", {"until": "infrastructure", "cidr": "10.150.7.0/24"}))
    files = {args.inputs["file"]: args.inputs["content"]["value"] for args in recorder.of("File")}
    groups = json.loads(files["inventory.yml"])["all"]["children"]["kubernetes"]["children"]
    assert groups["control_plane"]["hosts"]["cp1"]["ansible_host"] == "10.150.7.10"
    assert files["known_hosts"].splitlines() == ["10.150.7.10 <cp1.host_key>", "10.150.7.20 <w1.host_key>"]


def test_an_environment_goes_on_but_does_not_silently_lose_what_is_above() -> None:
    provider = _ReachedProvider()

    def changes(before: Layer, after: Layer) -> bool:
        old, new = ({"environment": "t", "until": until} for until in (before, after))
        return bool(provider.diff("t", old, new).changes)

    assert [changes("infrastructure", layer) for layer in LAYERS] == [False, True, True, True]
    with pytest.raises(UserError, match="would remove platform, chain with all data") as error:
        changes("chain", "cluster")
    assert "--until chain" in str(error.value)

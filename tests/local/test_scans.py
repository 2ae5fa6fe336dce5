"""Scans of a running environment."""

import json

import pytest

from tests.local.conftest import NAME, Environment

pytestmark = pytest.mark.usefixtures("cluster")


def test_nodes_answer_on_declared_ports_with_good_tls(environment: Environment) -> None:
    done = environment.refsys("scan", "network", NAME)
    assert "0 beyond the policy" in done.output
    document = json.loads((environment.home / "scans" / "network" / "report.json").read_text())
    # The Kubernetes API was seen.
    assert "6443: TLSv1.2" in document["scanned"]["open"]


def test_licences_of_everything_meet_the_policy(environment: Environment) -> None:
    assert "0 beyond the policy" in environment.refsys("scan", "licences", NAME).output

"""The rules of Prometheus: promtool tests each alert, each has a severity, a runbook, and metrics that there are."""

import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.means.prometheus import promtool
from tests.unit.monitoring.metrics import JOBS, jobs, rules, unknown, used

from refsys.infra import paths
from refsys.infra.cli.suites import PACKAGES
from refsys.monitoring.components.alertmanager_config import CAUSES, SEVERITIES, WATCHDOG
from refsys.monitoring.components.prometheus_config import RULES

TESTS = Path(__file__).parent / "rules"
SECTIONS = ["## What it means", "## Is it real?", "## What to do"]
ALERTS = {rule["alert"]: (area, rule) for area, rule in rules() if "alert" in rule}


@cache
def outcomes() -> dict[str, set[bool]]:
    """Of each alert that is tested, whether it was expected to fire, and whether not to."""
    found = defaultdict(set)
    for file in TESTS.glob("*.yml"):
        for test in yaml.safe_load(file.read_text())["tests"]:
            for check in test["alert_rule_test"]:
                found[check["alertname"]].add(bool(check["exp_alerts"]))
    return found


def runbook_of(area: str, alert: str) -> str:
    return f"docs/runbooks/{area}/{re.sub(r'(?<!^)(?=[A-Z])', '-', alert).lower()}.md"


@pytest.mark.parametrize("file", sorted(TESTS.glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_fire_by_their_causes(file: Path) -> None:
    done = promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_the_rules() -> None:
    done = promtool("check", "rules", *sorted(RULES.glob("*.yml")))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fresh_machine_gets_promtool() -> None:
    assert "prometheus" in PACKAGES


def test_no_alert_is_there_twice() -> None:
    assert len(ALERTS) == sum("alert" in rule for _, rule in rules())


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_complete(alert: str) -> None:
    area, rule = ALERTS[alert]
    assert rule["labels"]["severity"] in SEVERITIES
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == runbook_of(area, alert)
    text = (paths.CHECKOUT / runbook_of(area, alert)).read_text()
    assert re.findall(r"^## .*$", text, re.MULTILINE) == SECTIONS
    assert True in outcomes()[alert]
    assert False in outcomes()[alert] or alert == WATCHDOG


def test_runbooks_link_to_runbooks() -> None:
    for file in (paths.CHECKOUT / "docs" / "runbooks").rglob("*.md"):
        for link in re.findall(r"\]\(([^)]+\.md)", file.read_text()):
            assert (file.parent / link).exists(), f"{file}: {link}"


def test_only_security_has_runbooks_of_other_rules() -> None:
    known = {runbook_of(area, alert) for alert, (area, _) in ALERTS.items()}
    there = {str(file.relative_to(paths.CHECKOUT)) for file in (paths.CHECKOUT / "docs" / "runbooks").rglob("*.md")}
    assert {file for file in there - known if "/security/" not in file} == set()


@pytest.mark.parametrize(("area", "rule"), list(rules()))
def test_a_rule_uses_metrics_and_jobs_that_there_are(area: str, rule: dict[str, Any]) -> None:
    assert unknown(rule["expr"]) == set()
    assert jobs(rule["expr"]) <= JOBS


def test_causes_and_effects_are_alerts() -> None:
    for cause in CAUSES:
        assert cause.alert in ALERTS
        effects = [alert for alert in ALERTS if re.fullmatch(cause.effects, alert) and alert != cause.alert]
        assert effects, cause
        assert not {WATCHDOG, "AlertsNotSent", "AlertmanagerDown"} & set(effects) or cause.equal


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        (
            'sum by (node) (rate(a_total{job="x", b=~"c.*"}[5m])) / on (node) group_left (z) d:e:f > 0.5',
            {"a_total", "d:e:f"},
        ),
        ("absent(up == 1) or 0 * max(b offset 15m) unless time() - c > 24 * 3600", {"up", "b", "c"}),
        ("max_over_time((a - time())[3d:1h]) > 2", {"a"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str]) -> None:
    assert used(expression) == names

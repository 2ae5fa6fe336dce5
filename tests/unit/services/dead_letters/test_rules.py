"""Rules for failed messages, and what the messages say of themselves."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from refsys.services.common.bus import _common
from refsys.services.common.settings import DeadLetterSettings, SettingsError, load
from refsys.services.dead_letters import letters
from refsys.services.dead_letters.intake import delay
from refsys.services.dead_letters.rules import Action, Rule, choose, load_rules


def rule(title: str, pattern: str, priority: int = 0) -> Rule:
    return Rule.model_validate(
        {"errorTitle": title, "errorID": pattern, "actionType": "Restart", "maxRetry": 1, "priority": priority}
    )


def test_the_rules_of_the_distribution_are_valid() -> None:
    rules = load_rules(load(DeadLetterSettings).rules_file)
    chosen = choose(rules, "DBAPIError: deadlock detected")
    assert chosen is not None
    assert (chosen.action_type, chosen.max_retry) == (Action.RESTART, 5)
    assert choose(rules, "RejectedError: metadata of x is unreadable") is None


def test_the_highest_priority_decides_then_the_order() -> None:
    rules = [rule("a", "fail", 1), rule("b", "failure", 2), rule("c", "fail.re", 2), rule("d", "other", 9)]
    chosen = choose(rules, "a failure")
    assert chosen is not None
    assert chosen.error_title == "b"
    assert choose(rules, "nothing of this") is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"errorID": "("}, "errorID"),
        ({"actionType": "Retry"}, "actionType"),
        ({"targetTopic": "error-warning"}, "targetTopic"),
        ({"priority": 2**31}, "priority"),
        ({"maxRetry": 0}, "maxRetry 0 restarts nothing"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_rule_is_refused_with_place_and_reason(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    path = tmp_path / "rules.yaml"
    good = {"errorTitle": "t", "errorID": "x", "actionType": "Restart", "maxRetry": 1, "priority": 0, "comment": ""}
    path.write_text(json.dumps([good]))
    assert len(load_rules(path)) == 1
    path.write_text(json.dumps([good | changes]))
    with pytest.raises(SettingsError, match=reason):
        load_rules(path)


def test_restarts_wait_longer_each_time_up_to_an_hour() -> None:
    assert [delay(count) for count in (0, 1, 2)] == [timedelta(seconds=seconds) for seconds in (10, 20, 40)]
    assert delay(10_000) == timedelta(hours=1)


def test_a_message_is_sent_again_as_it_was_but_for_its_counter() -> None:
    message = json.dumps({"uid": "u", "retryCounter": 2, "newField": {"kept": True}})
    assert json.loads(letters.again(message, 2)) == {"uid": "u", "retryCounter": 3, "newField": {"kept": True}}
    assert letters.again("{oops", 2) == "{oops"


def test_what_a_message_says_of_itself() -> None:
    assert letters.uid_of('{"uid": "u"}') == "u"
    assert letters.uid_of("{oops") == letters.uid_of("{oops") != letters.uid_of("{other")
    assert letters.allowed_actions('{"allowedActions": ["RESUBMIT", "EXPLODE"]}') == ["RESUBMIT"]
    assert letters.allowed_actions("{oops") == ["RESTART"]
    assert letters.ingested_file("catalog-job", '{"stationName": "MTI_", "keyObjectStorage": "x"}') == ("MTI_", "x")
    assert letters.ingested_file("catalog-event", '{"stationName": "MTI_", "keyObjectStorage": "x"}') is None
    assert letters.catalog_job("catalog-event", "{}") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"missionId": "S1", "retryCounter": 3}', {"mission_id": "S1", "retry_counter": 3}),
        ('{"missionId": 1, "retryCounter": "x"}', {"mission_id": "", "retry_counter": 0}),
        ('{"retryCounter": true}', {"mission_id": "", "retry_counter": 0}),
        ("[]", {}),
        ("{oops", {}),
        ("[" * 100_000, {}),
    ],
)
def test_a_dead_letter_takes_over_what_can_be_read(text: str, expected: dict[str, object]) -> None:
    assert _common(text) == expected

"""Rules for failed messages (interface description of the DLQ, §2.4)."""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic.alias_generators import to_camel

from refsys.services.common.messages import ERROR_WARNING, TOPICS
from refsys.services.common.settings import read_file

SEARCHED_CHARACTERS = 10_000


class Action(StrEnum):
    """What becomes of a message."""

    RESTART = "Restart"
    DROP = "Drop"
    NO_ACTION = "NoAction"


class Rule(BaseModel):
    """One rule, with the field names of the interface description."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)

    error_title: str = Field(min_length=1, max_length=200)
    error_id: re.Pattern[str] = Field(alias="errorID")
    action_type: Action
    target_topic: str = ""
    max_retry: Annotated[int, Field(ge=0, le=1000)] = 0
    priority: Annotated[int, Field(ge=-(2**31), lt=2**31)] = 0
    comment: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = [topic for topic in TOPICS if topic != ERROR_WARNING]
        if self.target_topic and self.target_topic not in known:
            raise ValueError(f"targetTopic {self.target_topic!r} is none of {', '.join(known)}")
        if self.action_type is Action.RESTART and self.max_retry == 0:
            raise ValueError("maxRetry 0 restarts nothing; give at least 1, or use NoAction")
        return self


_RULES = TypeAdapter(list[Rule])


def choose(rules: Sequence[Rule], failure_message: str) -> Rule | None:
    """Return the rule for a failure: of those that match, the first with the highest priority."""
    text = failure_message[:SEARCHED_CHARACTERS]
    matching = [rule for rule in rules if rule.error_id.search(text)]
    return max(matching, key=lambda rule: rule.priority, default=None)


def load_rules(path: Path) -> list[Rule]:
    """Read the rules file; `SettingsError` names the rule, the field and the reason."""
    return read_file(path, _RULES.validate_python, of="rule")

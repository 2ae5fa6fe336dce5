"""A case of the bench: a processor, its data and reference, how often and on how many cores it runs, what is judged."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import yaml
from pydantic import Field, ValidationError

from refsys.infra.errors import UserError
from refsys.services.bench.rules import Rules, Strict
from refsys.services.production.order import NAME, Order

FIX = "write it as in docs/processor-bench.md"


class Here(Strict):
    """Folders on this machine: of the inputs by their names, and of the reference."""

    data: Path
    reference: Path | None = None


class Worse(Strict):
    """By what share of the earlier median a figure may grow."""

    seconds: float = Field(default=0.1, gt=0)
    cpu: float = Field(default=0.1, gt=0)
    memory: float = Field(default=0.1, gt=0)


class Case(Strict):
    """The fields of a case file."""

    name: str = Field(pattern=NAME)
    processor: str = Field(pattern=NAME)
    """As it is registered."""
    order: dict[str, Any]
    """As for `./refsys job submit`, but for the processor."""
    reference: tuple[dict[str, Any], ...] = ()
    """Inputs of which the reference is made, in the object store."""
    here: Here | None = None
    rules: Rules = Rules()
    repetitions: int = Field(default=5, ge=1, le=1000)
    cores: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(1,), min_length=1)
    outcomes: tuple[Literal["OK", "WARNING"], ...] = ("OK",)
    """How runs may end."""
    worse: Worse = Worse()

    def order_of(self, image: str, version: str, cores: float) -> Order:
        """The order of a run.

        Raises:
            UserError: it is wrong.
        """
        given = {
            "jobId": uuid4(),
            "chain": "bench",
            "taskTable": self.name,
            **self.order,
            "processor": {"image": image, "name": self.processor, "version": version},
            "cpus": cores,
            "bench": {
                "reference": list(self.reference),
                "rules": self.rules.model_dump(mode="json", by_alias=True),
            },
        }
        try:
            return Order.model_validate(given)
        except ValidationError as error:
            raise UserError(f"case {self.name}, order: {_problems(error)}", fix=FIX) from None


def load(file: Path) -> Case:
    """Read a case file; its paths count from its folder.

    Raises:
        UserError: with what is wrong.
    """
    found = mapping(file)
    rules = found.get("rules")
    if isinstance(rules, str):
        found["rules"] = mapping(file.parent / rules)
    try:
        case = Case.model_validate(found)
    except ValidationError as error:
        raise UserError(f"case {file}: {_problems(error)}", fix=FIX) from None
    case.order_of("image", "", 1)
    if case.here:
        places = {name: file.parent / path for name, path in case.here if path is not None}
        case = case.model_copy(update={"here": Here.model_validate(places)})
    return case


def load_rules(file: Path) -> Rules:
    """Read a file of rules, or those of a case file.

    Raises:
        UserError: with what is wrong.
    """
    found = mapping(file)
    if "processor" in found:
        return load(file).rules
    try:
        return Rules.model_validate(found)
    except ValidationError as error:
        raise UserError(f"rules {file}: {_problems(error)}", fix=FIX) from None


def mapping(file: Path) -> dict[str, Any]:
    """What a YAML file says, in JSON's types.

    Raises:
        UserError: it can't be read.
    """
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{file} can't be read: {error}", fix=FIX) from None
    if not isinstance(found, dict):
        raise UserError(f"{file} is no mapping", fix=FIX)
    plain: dict[str, Any] = json.loads(json.dumps(found, default=lambda value: value.isoformat()))
    return plain


def _problems(error: ValidationError) -> str:
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:10])

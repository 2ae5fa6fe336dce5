"""Reading a chain file: what is wrong is told with its line, its field and how to mend it."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from refsys.services.production.chains import (
    TABLES_LIMIT,
    ByDataTake,
    ByProduct,
    Chain,
    TaskTable,
    expanded,
    triggering,
)
from refsys.services.production.patterns import samples

LIMIT_BYTES = 2**20
NODES_LIMIT = 100_000
TRIGGER_INPUT = "trigger"
"""The name of the input that made a job."""
Place = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """Something wrong with a chain file."""

    line: int
    field: str
    message: str
    fix: str

    def __str__(self) -> str:
        """As it is shown: `line 12, task_tables.0.name: …; …`."""
        return f"line {self.line}, {self.field or 'file'}: {self.message}; {self.fix}"


class ChainError(Exception):
    """A chain file is wrong."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """All that is wrong with it."""
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def read_chain(text: str) -> Chain:
    """A chain, by itself.

    Raises:
        ChainError: all that is wrong with it.
    """
    file = _File(text)
    document, origins = file.expanded()

    def placed(place: Place) -> Place:
        if len(place) > 1 and place[0] == "task_tables" and isinstance(place[1], int):
            return ("task_tables", origins[place[1]], *place[2:])
        return place

    try:
        chain = Chain.model_validate(document)
    except ValidationError as error:
        raise ChainError(file.problems_of(error, placed)) from None
    found = [file.problem(placed(place), message) for place, message in _wrong(chain)]
    if found:
        raise ChainError(list(dict.fromkeys(found)))
    return chain


def check_together(chains: Iterable[Chain], new: Chain) -> None:
    """Whether a chain goes with others.

    Raises:
        ChainError: together they make each other for ever.
    """
    others = [each for each in chains if each.name != new.name]
    if way := cycle([*others, new]):
        message = "task tables make each other for ever: " + " -> ".join(way)
        raise ChainError([Problem(1, "task_tables", message, "let one of them make, or be triggered by, another type")])


def cycle(chains: Iterable[Chain]) -> list[str]:
    """A way from a task table to itself, by what they make and what triggers them; empty where there is none."""
    tables = {f"{chain.name}/{table.name}": table for chain in chains for table in chain.task_tables}
    makers: dict[tuple[str, str], list[str]] = {}
    for name, table in tables.items():
        for cause in triggering(table.trigger):
            makers.setdefault(cause, []).append(name)
    follows = {
        name: [
            after
            for each in table.outputs
            for kind in each.product_types
            for after in makers.get((each.family, kind), ())
        ]
        for name, table in tables.items()
    }
    done: set[str] = set()
    for name in tables:
        if way := _way(name, follows, done, []):
            return way
    return []


def _way(name: str, follows: dict[str, list[str]], done: set[str], before: list[str]) -> list[str]:
    if name in before:
        return [*before[before.index(name) :], name]
    if name in done:
        return []
    for after in follows[name]:
        if way := _way(after, follows, done, [*before, name]):
            return way
    done.add(name)
    return []


class _File:
    """The text of a chain file, and where its fields are."""

    def __init__(self, text: str) -> None:
        if len(text.encode()) > LIMIT_BYTES:
            raise ChainError([Problem(1, "", f"the file has over {LIMIT_BYTES} bytes", "split the chain")])
        try:
            self._node = yaml.compose(text, Loader=yaml.SafeLoader)
            # Before the document is made of it, which multiplies what aliases name.
            self._check_size()
            self.document = yaml.safe_load(text)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ChainError([Problem(line, "", f"not YAML: {error.problem}", "correct it")]) from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            message = "not YAML: " + str(error).replace("\n", " ")
            raise ChainError([Problem(1, "", message, "correct it")]) from None
        twice = [Problem(line, name, "is there twice", "leave one") for line, name in _twice(self._node)]
        if twice:
            raise ChainError(twice)
        if not isinstance(self.document, dict):
            raise ChainError([Problem(1, "", "is no chain", "begin with name: and the other fields")])

    def _check_size(self) -> None:
        if _size(self._node, {}) > NODES_LIMIT:
            raise ChainError([Problem(1, "", "its aliases (*) make it endless or huge", "write out what they name")])

    def expanded(self) -> tuple[dict[str, Any], list[int]]:
        """The document with all task tables, and which of the file each comes from."""
        written = self.document.get("task_tables")
        if not isinstance(written, list):
            return self.document, []
        tables: list[Any] = []
        origins: list[int] = []
        for number, table in enumerate(written):
            try:
                found = list(expanded(table))
            except ValueError as error:
                raise ChainError([self.problem(("task_tables", number, "each"), str(error))]) from None
            tables += found
            origins += [number] * len(found)
            if len(tables) > TABLES_LIMIT:
                message = f"these are over {TABLES_LIMIT} task tables; split the chain"
                raise ChainError([self.problem(("task_tables", number), message)])
        return {**self.document, "task_tables": tables}, origins

    def problem(self, place: Place, message: str) -> Problem:
        """A problem at a place of the document; the message says how to mend it behind its last semicolon."""
        said, _, fix = message.rpartition("; ")
        line, field = self._line(place)
        return Problem(line, field, said or fix, fix if said else "correct it")

    def problems_of(self, error: ValidationError, placed: Any) -> list[Problem]:
        """The problems that a validation found."""
        found = [self.problem(placed(each["loc"]), _explained(each)) for each in error.errors(include_url=False)]
        # What several task tables have from one line is told once.
        first = {(each.line, each.field.rpartition(".")[2], each.message): each for each in reversed(found)}
        return sorted(first.values(), key=lambda each: each.line)

    def _line(self, place: Place) -> tuple[int, str]:
        """Line and name of a place, or of the nearest that is there around it."""
        node, line, names = self._node, 1, []
        for number, part in enumerate(place):
            found = _child(node, part)
            if found is None:
                if isinstance(node, yaml.MappingNode) and isinstance(part, str) and number < len(place) - 1:
                    continue  # which member of a union was meant
                names.append(str(part))
                break
            node, line = found
            names.append(str(part))
        return line, ".".join(names)


def _child(node: yaml.Node | None, part: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return value, key.start_mark.line + 1
        for key, value in node.value:
            if key.value == "<<" and (found := _child(value, part)):
                return found
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part].start_mark.line + 1
    return None


def _size(node: yaml.Node | None, known: dict[int, float]) -> float:
    """How many nodes a document has, with those that aliases name; endless, if one names itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = [part for each in node.value for part in (each if isinstance(each, tuple) else (each,))]
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]


def _twice(node: yaml.Node | None) -> Iterator[tuple[int, str]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen and key.value != "<<":
                    yield key.start_mark.line + 1, key.value
                seen.add(key.value)
            yield from _twice(value)
    elif isinstance(node, yaml.SequenceNode):
        for each in node.value:
            yield from _twice(each)


def _explained(error: Any) -> str:
    """What is wrong and, behind a semicolon, how to mend it."""
    context = error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "is missing; add it"
        case "extra_forbidden":
            close = get_close_matches(str(error["loc"][-1]), _fields(), 1)
            return "there is no such field; " + (f"write {close[0]}" if close else "remove it")
        case "enum" | "literal_error":
            close = get_close_matches(str(error["input"]), context["expected"].replace("'", "").split(", "), 1)
            return f"{error['input']!r} is not known; " + (
                f"write {close[0]}" if close else f"take one of {context['expected']}"
            )
        case "union_tag_invalid" | "union_tag_not_found":
            return "does not say what triggers it; write kind: product, kind: session or kind: data_take"
        case "value_error":
            return str(error["msg"]).removeprefix("Value error, ")
        case _:
            return f"{str(error['msg'])[:1].lower()}{error['msg'][1:]} (it is {str(error['input'])[:60]!r}); correct it"


def _fields() -> list[str]:
    models: list[type[BaseModel]] = list(TaskTable.__mro__[1].__subclasses__())
    return [name for model in models for name in model.model_fields]


def _wrong(chain: Chain) -> Iterator[tuple[Place, str]]:
    """What no field tells by itself."""
    names: set[str] = set()
    for number, table in enumerate(chain.task_tables):
        place = ("task_tables", number)
        if table.name in names:
            message = f"{table.name!r} is there twice; give it another name, with the placeholders of each"
            yield (*place, "name"), message
        names.add(table.name)
        yield from _wrong_inputs(place, table)
        yield from _wrong_outputs(place, chain, table)
    if way := cycle([chain]):
        where = [f"{chain.name}/{table.name}" for table in chain.task_tables].index(way[0])
        message = "task tables make each other for ever: " + " -> ".join(way)
        yield ("task_tables", where, "outputs"), f"{message}; let one make, or be triggered by, another type"


def _wrong_inputs(place: Place, table: TaskTable) -> Iterator[tuple[Place, str]]:
    names = [each.name for each in table.inputs]
    for number, name in enumerate(names):
        if name in names[:number]:
            yield (*place, "inputs", number, "name"), f"{name!r} is there twice; give the input another name"
        if name == TRIGGER_INPUT:
            yield (*place, "inputs", number, "name"), f"{name!r} is the triggering product; give it another name"
    for number, check in enumerate(table.checks):
        if check.mask not in names:
            yield (*place, "checks", number, "mask"), f"there is no input {check.mask!r}; add it, or name another"
    if table.checks and not isinstance(table.trigger, ByProduct):
        yield (*place, "checks"), "only a product has a footprint to be checked; remove checks, or trigger by product"
    if table.slices and not isinstance(table.trigger, ByDataTake):
        yield (*place, "slices"), "only a data take is cut into slices; remove slices, or trigger by data_take"


def _wrong_outputs(place: Place, chain: Chain, table: TaskTable) -> Iterator[tuple[Place, str]]:
    known: list[tuple[str, str]] = []
    for output, kind, pattern in chain.patterns(table):
        for other, before in known:
            if example := _both(before, pattern):
                where = (*place, "outputs", table.outputs.index(output))
                yield where, f"{other} and {kind} overlap: both are called {example!r}; give them patterns that don't"
                break
        known.append((kind, pattern))


def _both(first: str, second: str) -> str:
    """A name that two patterns match."""
    if first == second:
        return next(iter(samples(first)), first)
    for pattern, names in ((first, samples(second)), (second, samples(first))):
        for name in names:
            if re.fullmatch(pattern, name, re.ASCII):
                return name
    return ""

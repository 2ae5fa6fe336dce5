"""Rules of a comparison: as what each file is compared, and how much of it may differ."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

import numpy as np
from lxml import etree
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

ALL = "*"


class Strict(BaseModel):
    """Base of all parts: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Tolerance(Strict):
    """How far a number may be from that of the reference: `absolute` plus `relative` times the reference's size."""

    absolute: float = Field(default=0, ge=0, allow_inf_nan=False)
    relative: float = Field(default=0, ge=0, allow_inf_nan=False)


Tolerances = dict[str, Tolerance]


class _File(Strict):
    match: str = Field(min_length=1)
    """Pattern of the file's path, where `*` also stands for folders."""


class Bits(_File):
    """Every octet counts; so it is for files that no rule names."""

    kind: Literal["bits"] = Field(alias="as")


class Nothing(_File):
    """It has to be there; what is in it doesn't matter."""

    kind: Literal["nothing"] = Field(alias="as")


class Xml(_File):
    """Elements, attributes and texts, but for what `ignore` (XPath) selects; prefixes and comments don't count."""

    kind: Literal["xml"] = Field(alias="as")
    ignore: tuple[str, ...] = ()
    namespaces: dict[str, str] = {}
    tolerances: Tolerances = {}
    """By pattern of a place, as in `/product/orbit/*/x`; numbers there may differ."""

    @model_validator(mode="after")
    def _paths(self) -> Self:
        for path in self.ignore:
            try:
                etree.XPath(path, namespaces=self.namespaces or None)
            except etree.XPathSyntaxError as error:
                raise ValueError(f"ignore {path!r} is no XPath: {error}") from None
        return self


class Json(_File):
    """Members and values, but for places that patterns in `ignore` name, as in `/files/*/created`."""

    kind: Literal["json"] = Field(alias="as")
    ignore: tuple[str, ...] = ()
    tolerances: Tolerances = {}


class Component(Strict):
    """A component of records."""

    name: str = Field(min_length=1)
    type: str
    count: int = Field(default=1, ge=1)


class Numbers(_File):
    """An array of numbers, or of records of them, after `skip` octets; types as numpy writes them (`>i2`, `<f8`)."""

    kind: Literal["numbers"] = Field(alias="as")
    type: str | tuple[Component, ...]
    skip: int = Field(default=0, ge=0)
    tolerances: Tolerances = {}
    """By variable: the record's component, `value` where there are no records, `*` for all others."""

    @field_validator("type")
    @classmethod
    def _known(cls, value: str | tuple[Component, ...]) -> str | tuple[Component, ...]:
        dtype_of(value)
        return value

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type as numpy has it."""
        return dtype_of(self.type)


class Npy(_File):
    """An array as numpy stores it."""

    kind: Literal["npy"] = Field(alias="as")
    tolerances: Tolerances = {}


Rule = Annotated[Bits | Nothing | Xml | Json | Numbers | Npy, Field(discriminator="kind")]


class Renaming(Strict):
    """A part of names that is another one with every run: what `match` finds counts as `becomes` on both sides."""

    match: str
    becomes: str = ""

    @field_validator("match")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression: {error}") from None
        return value


class Rules(Strict):
    """All of them; of those for files, the first that matches counts."""

    names: tuple[Renaming, ...] = ()
    files: tuple[Rule, ...] = ()

    def name(self, path: str) -> str:
        """The name by which a file finds its partner."""
        for renaming in self.names:
            path = re.sub(renaming.match, renaming.becomes, path)
        return path

    def of(self, path: str) -> Rule:
        """The rule for a file, by its name as it counts."""
        return next((rule for rule in self.files if fnmatchcase(path, rule.match)), Bits(match=ALL, kind="bits"))


def tolerance_of(tolerances: Mapping[str, Tolerance], name: str) -> Tolerance:
    """The tolerance for a variable or a place; none where nothing names it."""
    if name in tolerances:
        return tolerances[name]
    return next((each for pattern, each in tolerances.items() if fnmatchcase(name, pattern)), Tolerance())


def dtype_of(given: str | tuple[Component, ...]) -> "np.dtype[Any]":
    """A type of numpy; ValueError if it is none of numbers."""
    try:
        if isinstance(given, str):
            found = np.dtype(given)
        else:
            found = np.dtype([(each.name, each.type, (each.count,) if each.count > 1 else ()) for each in given])
    except (TypeError, SyntaxError) as error:
        raise ValueError(f"{given!r} is no type of numbers: {error}") from None
    parts = [found.fields[name][0].base for name in found.names] if found.fields and found.names else [found.base]
    if wrong := [str(part) for part in parts if part.kind not in "biufc"]:
        raise ValueError(f"{wrong[0]} is no type of numbers; write it as in >i2, <f8, u1, <c8")
    if not found.itemsize:
        raise ValueError("a type needs at least one octet")
    return found

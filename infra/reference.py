"""The generated reference of the environment's fields: `python -m refsys.infra.reference` writes it."""

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from refsys.infra import paths
from refsys.infra.environment import Environment

FILE = paths.CHECKOUT / "docs" / "reference" / "environment.md"
HEAD = """\
# Fields of an environment

Generated from `infra/environment.py` by `python -m refsys.infra.reference`. Each top-level field is a key
`refsys:<field>` in `Pulumi.<env>.yaml`; the environment's name is the stack's.

| field | type | default | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "\n".join(_rows(Environment, "")) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if not prefix and name == "name":
            continue
        inner = _model(field.annotation)
        if inner:
            suffix = "[]" if "list" in str(field.annotation) else ""
            yield from _rows(inner, f"{prefix}{name}{suffix}.")
        else:
            yield f"| `{prefix}{name}` | {_kind(field)} | {_default(field)} | {field.description or ''} |"


def _model(annotation: Any) -> type[BaseModel] | None:
    for candidate in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def _kind(field: FieldInfo) -> str:
    text = str(getattr(field.annotation, "__name__", field.annotation)) if _plain(field) else str(field.annotation)
    return text.replace("typing.", "").replace(" | None", "").replace("|", "or")


def _plain(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    return "" if field.default in (None, "") else f"`{field.default}`"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(page())

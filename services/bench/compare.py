"""Outputs of a processor beside a reference, file by file."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path

from refsys.services.bench import documents, numbers
from refsys.services.bench.found import Comparison, File, Variable
from refsys.services.bench.rules import Json, Nothing, Npy, Numbers, Rule, Rules, Xml

SHOWN_FILES = 200
SHOWN_DIFFERENCES = 20
CHUNK_OCTETS = 2**22

Files = Mapping[str, Path]


class StrangeError(ValueError):
    """There is something that is neither file nor folder."""


def files_below(folder: Path) -> dict[str, Path]:
    """The files of a folder by their path in it.

    Raises:
        StrangeError: there is something else.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            raise StrangeError(f"{path} is neither file nor folder")
        if path.is_file():
            found[path.relative_to(folder).as_posix()] = path
    return found


def compare(made: Files, reference: Files, rules: Rules) -> Comparison:
    """Compare what was made with the reference; where that is empty, nothing is equal to it."""
    mine, extra = _named(made, rules)
    theirs, twice = _named(reference, rules)
    missing = [*twice, *(path for name, path in theirs.items() if name not in mine)]
    extra += [path for name, path in mine.items() if name not in theirs]
    different, within = [], []
    for name, path in mine.items():
        if name not in theirs:
            continue
        found = _file(rules.of(name), path, theirs[name], made[path], reference[theirs[name]])
        if not found.equal:
            different.append(found)
        elif any(each.largest_error for each in found.variables):
            within.append(found)
    return Comparison(
        equal=bool(reference) and not (different or missing or extra),
        files=len(mine),
        different=different[:SHOWN_FILES],
        different_files=len(different),
        within=within[:SHOWN_FILES],
        missing=missing[:SHOWN_FILES],
        extra=extra[:SHOWN_FILES],
    )


def _named(files: Files, rules: Rules) -> tuple[dict[str, str], list[str]]:
    """Paths by the names that count; and those whose name another one has already."""
    found: dict[str, str] = {}
    twice = []
    for path in sorted(files):
        name = rules.name(path)
        if name in found:
            twice.append(path)
        else:
            found[name] = path
    return found, twice


def _file(rule: Rule, name: str, reference_name: str, made: Path, reference: Path) -> File:
    reason, differences, variables = "", list[str](), list[Variable]()
    try:
        if isinstance(rule, Xml | Json):
            differences = documents.compare(rule, made, reference)
            reason = differences[0] if differences else ""
        elif isinstance(rule, Numbers | Npy):
            variables = numbers.compare(rule, made, reference)
            differences = [_told(each) for each in variables if each.differing]
            reason = differences[0] if differences else ""
        elif not isinstance(rule, Nothing):
            reason = _bits(made, reference)
    except (documents.UnreadableError, numbers.UnlikeError) as error:
        reason = str(error)
    return File(
        name=name,
        reference=reference_name,
        kind=rule.kind,
        equal=not reason,
        reason=reason,
        differences=differences[:SHOWN_DIFFERENCES],
        variables=variables,
    )


def _told(variable: Variable) -> str:
    said = (
        f"{variable.name}: {variable.differing} of {variable.values} values differ, "
        f"the largest error is {variable.largest_error:.6g}, the first is value {variable.first}"
    )
    return said + (f"; {variable.not_comparable} are NaN or infinite on one side" if variable.not_comparable else "")


def _bits(made: Path, reference: Path) -> str:
    """Say where two files differ first."""
    sizes = made.stat().st_size, reference.stat().st_size
    with made.open("rb") as one, reference.open("rb") as other:
        for start in count(0, CHUNK_OCTETS):
            mine, theirs = one.read(CHUNK_OCTETS), other.read(CHUNK_OCTETS)
            if mine != theirs:
                pairs = enumerate(zip(mine, theirs, strict=False))
                place = next((place for place, (a, b) in pairs if a != b), min(len(mine), len(theirs)))
                differ = f"octet {start + place} is the first that differs"
                return differ if sizes[0] == sizes[1] else f"{differ}; it has {sizes[0]} octets, not {sizes[1]}"
            if not mine:
                return ""
    raise AssertionError("unreachable")

"""The gate: what a result has to hold, each with what was found; for a processor's own CI."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lxml import etree

from refsys.infra.bench.history import runs_of
from refsys.infra.bench.results import FIGURES, Results, figure, on
from refsys.infra.bench.statistics import LEAST, change


@dataclass(frozen=True)
class Check:
    """One thing that has to hold; `known` is False where nothing can be said."""

    name: str
    holds: bool
    text: str
    known: bool = True


def judge(results: Results, before: Sequence[Results]) -> list[Check]:
    """Everything that is asked of a result."""
    return [_ended(results), _equal(results), *_regressions(results, before)]


def holds(checks: Sequence[Check]) -> bool:
    """Whether the gate is open."""
    return all(check.holds for check in checks)


def _ended(results: Results) -> Check:
    bad = [run for run in results.runs if run.outcome not in results.outcomes]
    if not results.runs:
        return Check("runs end well", holds=False, text="there is no run")
    if bad:
        told = f"{len(bad)} of {len(results.runs)} runs ended as {bad[0].outcome} or the like: {bad[0].reason}"
        return Check("runs end well", holds=False, text=told)
    return Check("runs end well", holds=True, text=f"{len(results.runs)} runs ended as {' or '.join(results.outcomes)}")


def _equal(results: Results) -> Check:
    name = "outputs are as the reference"
    compared = [run.comparison for run in results.good() if run.comparison]
    if not compared:
        return Check(name, holds=True, text="there is no reference", known=False)
    different = [each for each in compared if not each.equal]
    if different:
        return Check(name, holds=False, text=f"in {len(different)} of {len(compared)} runs: {different[0].reason}")
    return Check(name, holds=True, text=f"in {len(compared)} runs: {compared[0].reason}")


def _regressions(results: Results, before: Sequence[Results]) -> Iterator[Check]:
    for (cores, machine), runs in results.groups().items():
        old = runs_of(before, (cores, machine))
        for name, title in FIGURES.items():
            check = f"{title} on {on(cores)} is not worse"
            if not old:
                yield Check(check, holds=True, text=f"no earlier run on this machine ({machine})", known=False)
                continue
            found = change(figure(runs, name), figure(old, name), results.worse[name])
            told = (
                f"{found.ratio:.3f} of the earlier median ({found.low:.3f} to {found.high:.3f}; "
                f"{len(runs)} runs, {len(old)} earlier ones; at most {1 + found.threshold:g})"
            )
            if not found.enough:
                told += f"; fewer than {LEAST} runs say nothing"
            yield Check(check, holds=not found.worse, text=told, known=found.enough)


def as_json(results: Results, checks: Sequence[Check]) -> dict[str, Any]:
    """The gate as a document."""
    told = {"case": results.case, "processor": results.processor, "image": results.image, "version": results.version}
    return {**told, "holds": holds(checks), "checks": [asdict(check) for check in checks]}


def as_junit(results: Results, checks: Sequence[Check]) -> bytes:
    """The gate as a suite of tests, as CI servers read it; what nothing is known of counts as skipped."""
    failed, skipped = [sum(1 for check in checks if each(check)) for each in (_fails, _is_skipped)]
    counts = {"tests": len(checks), "failures": failed, "skipped": skipped, "errors": 0}
    facts = {"name": f"bench {results.case}", "timestamp": results.started.isoformat()}
    suite = etree.Element("testsuite", facts | {name: str(count) for name, count in counts.items()})
    for check in checks:
        case = etree.SubElement(suite, "testcase", classname=f"bench.{results.case}", name=check.name)
        if _fails(check):
            etree.SubElement(case, "failure", message=_plain(check.text))
        elif _is_skipped(check):
            etree.SubElement(case, "skipped", message=_plain(check.text))
        else:
            etree.SubElement(case, "system-out").text = _plain(check.text)
    text: bytes = etree.tostring(suite, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return text


def _plain(text: str) -> str:
    """Without what XML can't hold: names of files are a processor's."""
    return "".join(each if each.isprintable() else " " for each in text)


def _fails(check: Check) -> bool:
    return not check.holds


def _is_skipped(check: Check) -> bool:
    return check.holds and not check.known

"""Lynis' report: lines of `key=value`, lists as `key[]=value`."""

from pathlib import Path

from refsys.security.compliance.results import ResultError, ToolResult


def read(file: Path) -> ToolResult:
    """The result in a `lynis-report.dat`.

    Raises:
        ResultError: the report is not complete.
    """
    values: dict[str, list[str]] = {}
    for line in file.read_text(errors="replace").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            values.setdefault(key.removesuffix("[]"), []).append(value)
    try:
        score, version = float(values["hardening_index"][-1]), values["lynis_version"][-1]
        tests = int(values["lynis_tests_done"][-1])
    except (KeyError, ValueError) as error:
        raise ResultError(f"{file} is not a complete report of Lynis: {error}") from None
    failed: dict[str, str] = {}
    for found in values.get("warning", []) + values.get("suggestion", []):
        test, _, text = found.partition("|")
        # A test may have several remarks.
        failed[test] = "; ".join(filter(None, [failed.get(test, ""), text.split("|")[0]]))
    return ToolResult("lynis", version, score, tests, failed)

"""The generated list of checks: `python -m refsys.security.compliance.kubernetes.reference` writes it."""

from refsys.infra import paths
from refsys.security.compliance import waivers
from refsys.security.compliance.kubernetes.checks import Check, checks

FILE = paths.CHECKOUT / "docs" / "reference" / "kubernetes-checks.md"
HEAD = """\
# Checks of the cluster

Made from `security/compliance/kubernetes/benchmark/` by `python -m refsys.security.compliance.kubernetes.reference`; a
test keeps it in step. Numbers are those of the CIS Kubernetes Benchmark 1.12.

| number | level | what must hold | looked at | where it is set | waived because |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    reasons = waivers.reasons(waivers.load(), "kubernetes", [])
    return HEAD + "".join(_row(check, reasons.get(check.id, "")) for check in checks())


def _row(check: Check, reason: str) -> str:
    cells = (check.id, str(check.level), check.title, _looked_at(check), check.remedy, reason)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"


def _looked_at(check: Check) -> str:
    if check.file:
        return " ".join(f"`{path}`" for path in check.file.paths)
    if check.flags:
        return f"{check.process} " + " ".join(f"`--{name}`" for name in check.flags)
    if check.kubelet:
        return f"kubelet `{check.kubelet.field}`"
    return "configuration of the control plane" if check.node else "API server"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(page())

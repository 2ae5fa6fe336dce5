"""Compliance on the terminal."""

from rich.table import Table

from refsys.security.compliance.report import TARGETS, Document


def table(document: Document) -> Table:
    """Scores of every node, beside what is wanted."""
    shown = Table("node", "tool", "score", "wanted", "failed", "waived", "since the last run")
    for name, node in document["nodes"].items():
        for tool, result in node["tools"].items():
            good = result["score"] >= TARGETS[tool]
            shown.add_row(
                name,
                f"{tool} {result['version']}",
                f"[{'green' if good else 'red'}]{result['score']:g}[/]",
                f"{TARGETS[tool]:g}",
                str(len(result["failed"])),
                str(len(result["waived"])),
                _change(document, name, tool),
            )
    return shown


def _change(document: Document, node: str, tool: str) -> str:
    change = ((document["drift"] or {}).get("nodes", {}).get(node) or {}).get("tools", {}).get(tool)
    if change is None:
        return "first run"
    return f"{change['score']:+g}, {len(change['worse'])} worse, {len(change['better'])} better"

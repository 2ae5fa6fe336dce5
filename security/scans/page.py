"""The report as one page that needs nothing else, and reads on a phone, dark or light."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from refsys.security.scans.report import Document


def render(document: Document) -> str:
    """The page's HTML; all that comes from outside is escaped."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("report.html.j2").render(document)

"""The report as one page that needs nothing else, and reads on a phone, dark or light."""

from pathlib import Path

from refsys.security.compliance.report import Document
from refsys.services.common.pages import templates


def render(document: Document) -> str:
    """The page's HTML; all that comes from nodes is escaped."""
    return templates(Path(__file__).parent).get_template("report.html.j2").render(document)

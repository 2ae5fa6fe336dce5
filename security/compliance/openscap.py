"""OpenSCAP's result: an XCCDF benchmark with the test result in it."""

from pathlib import Path

from lxml import etree

from refsys.security.compliance.results import ResultError, ToolResult

NAMESPACES = {"x": "http://checklists.nist.gov/xccdf/1.2"}
RULE = "xccdf_org.ssgproject.content_rule_"


def read(file: Path) -> ToolResult:
    """The result in an XCCDF file. It comes from a node: entities, networks and DTDs are not followed.

    The score is the tool's own (`urn:xccdf:scoring:default`). Rules that don't apply to the node don't count.

    Raises:
        ResultError: there is no complete result in the file.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.parse(str(file), parser).getroot()
        (result,) = root.iterfind(".//x:TestResult", NAMESPACES)
        score = float(result.findtext("x:score[@system='urn:xccdf:scoring:default']", "", NAMESPACES))
    except (etree.XMLSyntaxError, ValueError, OSError) as error:
        raise ResultError(f"{file} is not a complete result of OpenSCAP: {error}") from None
    titles = {
        rule.get("id"): " ".join((rule.findtext("x:title", "", NAMESPACES)).split())
        for rule in root.iterfind(".//x:Rule", NAMESPACES)
    }
    outcomes: dict[str, dict[str, str]] = {}
    for found in result.iterfind("x:rule-result", NAMESPACES):
        outcome = found.findtext("x:result", "", NAMESPACES)
        identity = str(found.get("idref"))
        outcomes.setdefault(outcome, {})[identity.removeprefix(RULE)] = titles.get(identity, "")
    failed = outcomes.get("fail", {}) | outcomes.get("error", {})
    unknown = outcomes.get("notchecked", {}) | outcomes.get("unknown", {})
    version = str(result.get("test-system", "")).rpartition(":")[2]
    tests = len(outcomes.get("pass", {})) + len(failed)
    return ToolResult("openscap", version, round(score, 1), tests, failed, unknown)

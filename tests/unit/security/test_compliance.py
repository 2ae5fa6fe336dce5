"""Reading the tools' results, and reporting them. The files in `data/` are short, written in the tools' formats."""

import json
import shutil
from pathlib import Path

import pytest

from refsys.infra.cli import compliance as terminal
from refsys.security.compliance import lynis, openscap, page, report
from refsys.security.compliance.report import Document, Node
from refsys.security.compliance.results import ResultError
from refsys.security.compliance.run import nodes_of, write

DATA = Path(__file__).parent / "data"
NODE = Node("cp1", "kubernetes_node", shared_kernel=True, switched={"3.3.9": False})


@pytest.fixture
def results(tmp_path: Path) -> Path:
    shutil.copytree(DATA, tmp_path / "cp1")
    return tmp_path


def _report(results: Path, before: Document | None = None) -> Document:
    return report.make("training", [NODE], results, before)


def test_lynis_report() -> None:
    result = lynis.read(DATA / "lynis-report.dat")
    assert (result.tool, result.version) == ("lynis", "3.0.8")
    assert (result.score, result.tests) == (86, 246)
    assert set(result.failed) == {"LOGG-2154", "SSH-7408", "NETW-2705"}


def test_openscap_result() -> None:
    result = openscap.read(DATA / "openscap.xml")
    assert (result.tool, result.version) == ("openscap", "1.3.7")
    assert (result.score, result.tests) == (91.2, 2)
    assert result.failed == {"sysctl_net_ipv4_ip_forward": "Disable Kernel Parameter for IP Forwarding"}
    assert list(result.unknown) == ["security_patches_up_to_date"]


def test_results_that_are_cut_off_are_refused(tmp_path: Path) -> None:
    for read, name in report.READERS.values():
        whole = (DATA / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 8])
        with pytest.raises(ResultError, match=name):
            read(tmp_path / name)


def test_entities_and_files_of_the_machine_are_not_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("in plain sight")
    text = (DATA / "openscap.xml").read_text()
    begin = text.index("<", text.index("?>"))
    hostile = f'<!DOCTYPE x [<!ENTITY leak SYSTEM "file://{secret}">]>' + text[begin:].replace(
        "<title", "<title>&leak;</title><title", 1
    )
    (tmp_path / "openscap.xml").write_text(hostile)
    try:
        found = openscap.read(tmp_path / "openscap.xml")
    except ResultError:
        return
    assert "in plain sight" not in str(found)


def test_a_report_tells_failed_from_waived(results: Path) -> None:
    node = _report(results)["nodes"]["cp1"]
    waived = node["tools"]["openscap"]["waived"]
    assert "forwards the packets" in waived["sysctl_net_ipv4_ip_forward"]["reason"]
    assert not set(waived) & set(node["tools"]["openscap"]["failed"])
    assert node["rules_off"]["3.3.1"]["reason"].startswith("A Kubernetes node")
    assert "switched off" in node["rules_off"]["3.3.9"]["reason"]
    assert any("service_auditd_enabled" in item["tests"] for item in node["not_testable"])


def test_a_first_report_has_no_drift_and_the_next_one_says_what_changed(results: Path) -> None:
    first = _report(results)
    assert first["drift"] is None
    before = json.loads(json.dumps(first))
    tool = before["nodes"]["cp1"]["tools"]["openscap"]
    tool["score"] -= 2.5
    tool["failed"]["banner_etc_issue"] = "a rule that failed"
    del tool["waived"]["sysctl_net_ipv4_ip_forward"]
    change = _report(results, before)["drift"]["nodes"]["cp1"]["tools"]["openscap"]
    assert change == {"score": 2.5, "worse": ["sysctl_net_ipv4_ip_forward"], "better": ["banner_etc_issue"]}


def test_nodes_that_came_and_went_are_named(results: Path) -> None:
    before = json.loads(json.dumps(_report(results)))
    before["nodes"] = {"w1": before["nodes"]["cp1"]}
    drift = _report(results, before)["drift"]
    assert (drift["gone"], drift["nodes"]["cp1"]["new"]) == (["w1"], True)
    assert page.render(_report(results, before))


def test_a_node_without_results_is_named(results: Path) -> None:
    (results / "cp1" / "openscap.xml").unlink()
    with pytest.raises(ResultError, match="the scan of cp1 did not come to its end"):
        _report(results)


def test_the_page_stands_alone_and_trusts_nothing_from_a_node(results: Path) -> None:
    document = _report(results)
    document["nodes"]["cp1"]["tools"]["lynis"]["failed"]["X"] = "<script>alert(1)</script>"
    html = page.render(document)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html
    assert 'name="viewport"' in html
    assert "prefers-color-scheme: dark" in html


def test_older_reports_are_kept(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compliance"
    for moment in ("2026-01-01T00:00:00+00:00", "2026-01-02T00:00:00+00:00"):
        write(_report(results) | {"time": moment}, folder)
    assert [file.name for file in (folder / "history").iterdir()] == ["2026-01-01T000000+0000.json"]
    last = report.last(folder)
    assert last
    assert last["time"].startswith("2026-01-02")
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o600


def test_the_terminal_shows_every_tool(results: Path) -> None:
    assert terminal.table(_report(results)).row_count == 2


def test_nodes_of_an_inventory() -> None:
    hosts = {"cp1": {"os_hardening_shared_kernel": False}}
    inventory = {
        "all": {
            "vars": {"os_hardening_profile": "kubernetes_node", "os_hardening_shared_kernel": True},
            "children": {"kubernetes": {"children": {"control_plane": {"hosts": hosts}}}},
        }
    }
    assert nodes_of(inventory) == [Node("cp1", "kubernetes_node", shared_kernel=False, switched={})]

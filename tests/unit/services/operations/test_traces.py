"""A trace as operators read it: order, waiting, parts, and gaps of every kind."""

from typing import Any

from refsys.services.operations.traces import trace_document

Document = dict[str, Any]


def span(  # noqa: PLR0917  # fields
    number: int,
    process: str,
    name: str,
    begin: float,
    seconds: float,
    parent: int | None = None,
    sent: tuple[str, ...] = (),
    status: str = "ok",
) -> Document:
    def at(moment: float) -> str:
        return f"2026-11-22T08:00:{moment:09.6f}Z"

    return {
        "@timestamp": at(begin),
        "end": at(begin + seconds),
        "seconds": seconds,
        "span_id": f"{number:016x}",
        "name": name,
        "process": process,
        "pod": f"{process}-1",
        "status": status,
        "attributes": {"sent": list(sent)} if sent else {},
        **({} if parent is None else {"parent_id": f"{parent:016x}"}),
    }


SEEN = span(1, "ingestion-trigger", "seen", 0, 0.1, sent=("ingestion-job",))
INGESTED = span(2, "ingestion-worker", "process ingestion-job", 0.5, 2, 1, ("catalog-job",))
STORE = span(3, "ingestion-worker", "store", 0.6, 1.5, 2)
DOWNLOAD = span(4, "ingestion-worker", "download", 0.7, 1, 3)
CATALOGUED = span(5, "catalogue", "process catalog-job", 3, 0.2, 2, ("catalog-event",))
PUBLISHED = span(6, "publisher", "process catalog-event", 3.5, 0.1, 5)
WHOLE = [SEEN, INGESTED, STORE, DOWNLOAD, CATALOGUED, PUBLISHED]


def document(*spans: Document) -> Document:
    return trace_document("t", spans, len(spans))


def test_a_whole_trace_has_no_gap() -> None:
    found = document(*WHOLE)
    assert (found["state"], found["gaps"], found["seconds"]) == ("published", [], 3.6)
    assert [step["process"] for step in found["steps"]] == [
        "ingestion-trigger",
        "ingestion-worker",
        "catalogue",
        "publisher",
    ]
    ingested = found["steps"][1]
    assert (ingested["after"], ingested["waited"]) == ("ingestion-trigger", 0.4)
    assert ingested["parts"][0]["name"] == "store"
    assert ingested["parts"][0]["parts"][0]["name"] == "download"


def test_a_message_with_which_nobody_went_on_is_a_gap() -> None:
    found = document(*WHOLE[:-1])
    (gap,) = found["gaps"]
    assert (gap["after"], gap["topic"], gap["lacks"]) == (
        "catalogue",
        "catalog-event",
        ["publisher", "compression-filter"],
    )
    assert found["state"] == "waiting"


def test_a_step_that_was_lost_is_a_gap() -> None:
    found = document(SEEN, STORE, CATALOGUED, PUBLISHED)
    assert [gap.get("before", gap.get("after")) for gap in found["gaps"]] == [
        "ingestion-trigger",
        "ingestion-worker",
        "catalogue",
    ]


def test_what_is_sent_again_fills_the_gap() -> None:
    again = span(7, "ingestion-worker", "process ingestion-job", 2.6, 0.1, 1, ("catalog-job",))
    later = CATALOGUED | {"parent_id": again["span_id"]}
    assert document(SEEN, INGESTED, again, later, PUBLISHED)["gaps"] == []


def test_a_failure_that_was_made_good_is_none() -> None:
    failed = INGESTED | {"status": "error", "attributes": {}, "span_id": "f" * 16}
    retried = span(8, "ingestion-trigger", "retry", 0.2, 0.1, sent=("ingestion-job",))
    assert document(SEEN, failed)["state"] == "failed"
    assert (
        document(SEEN, failed, retried, INGESTED | {"parent_id": retried["span_id"]}, CATALOGUED, PUBLISHED)["state"]
        == "published"
    )


def test_a_dead_letter_goes_to_its_process() -> None:
    failed = span(9, "catalogue", "process catalog-job", 3, 0.2, 2, ("error-warning",), "error")
    assert document(SEEN, INGESTED, failed)["gaps"][0]["lacks"] == ["dlq"]
    taken = span(10, "dlq", "process error-warning", 4, 0.1, 9)
    found = document(SEEN, INGESTED, failed, taken)
    assert (found["state"], found["gaps"]) == ("failed", [])

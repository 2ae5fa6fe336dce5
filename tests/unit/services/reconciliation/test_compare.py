"""Which disagreement is which, and the merge of ordered listings."""

import tracemalloc
from collections.abc import Iterator

import pytest

from refsys.services.reconciliation.compare import Kind, State, classify, detail, together
from refsys.services.reconciliation.report import render


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        (State("k", 1, 1, "VALID", 1), None),
        (State("k", 1, 1, "INVALID"), None),
        (State("k"), None),
        (State("k", 1), Kind.ORPHAN),
        (State("k", None, 1, "VALID", 1), Kind.LOST),
        (State("k", None, 1, "LOST", 1), Kind.LOST),
        (State("k", 2, 1, "VALID", 1), Kind.WRONG_SIZE),
        (State("k", 1, 1, "LOST", 1), Kind.FOUND_AGAIN),
        (State("k", 1, None, None, 1), Kind.UNCATALOGUED),
        (State("k", None, None, None, 1), Kind.UNCATALOGUED),
        (State("k", None, None, None, 1, recallable=True), None),
        (State("k", 1, None, None, 1, recallable=True), Kind.UNCATALOGUED),
        (State("k", None, None, None, 1, recallable=False), Kind.UNCATALOGUED),
        (State("k", 1, 1, "VALID"), Kind.UNPUBLISHED),
        (State("k", 0, 0, "VALID"), Kind.UNPUBLISHED),
    ],
)
def test_kinds(state: State, kind: Kind | None) -> None:
    assert classify(state) is kind


def test_listings_meet_key_by_key() -> None:
    objects = [State("a", object_size=1), State("c", object_size=3)]
    catalogued = [State("b", catalogue_size=2, catalogue_state="VALID"), State("c", catalogue_size=3)]
    published = [State("a", published_size=1), State("d", published_size=4)]
    merged = list(together(objects, catalogued, published))
    assert [state.key for state in merged] == ["a", "b", "c", "d"]
    assert merged[0] == State("a", object_size=1, published_size=1)
    assert merged[2] == State("c", object_size=3, catalogue_size=3)
    assert detail(merged[1]) == "object nothing, catalogue 2 bytes, PRIP nothing, state VALID"


def test_memory_does_not_grow_with_the_listings() -> None:
    def listing(count: int) -> Iterator[State]:
        return (State(f"{number:09d}", object_size=1) for number in range(count))

    def peak(count: int) -> int:
        tracemalloc.start()
        seen = sum(1 for _ in together(listing(count), listing(count), listing(count)))
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert seen == count
        return highest

    assert peak(20_000) < peak(200) + 50_000


def test_the_text_names_every_kind_and_how_many_more() -> None:
    findings = {str(kind): {"count": 0, "actions": {}, "examples": []} for kind in Kind}
    example = {"bucket": "b", "key": "k", "detail": "object 1 bytes", "action": "quarantined"}
    findings[str(Kind.ORPHAN)] = {"count": 3, "actions": {"quarantined": 3}, "examples": [example]}
    common = {"id": "1", "started": "s", "finished": "f", "objects": 1, "catalogued": 2, "published": 3}
    text = render({**common, "repair": True, "findings": findings})
    assert all(f"{kind}: " in text for kind in Kind)
    assert "b/k: object 1 bytes" in text
    assert "and 2 more" in text

"""The generated reference is in step with the code."""

from refsys.infra import reference


def test_the_page_is_up_to_date() -> None:
    assert reference.FILE.read_text() == reference.page(), "run: python -m refsys.infra.reference"

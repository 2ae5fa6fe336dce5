"""The bench's page in a real browser, on a phone and on a desk, dark and light."""

from pathlib import Path

import pytest
from tests.means.chromium import browser
from tests.unit.bench.test_bench import DIFFERENT, results

from refsys.infra.bench import page


@pytest.mark.long
def test_the_page_reads_on_every_screen(tmp_path: Path) -> None:
    before = [results({1: [2.0] * 3, 2: [1.2] * 3, 4: [0.8] * 3}, day) for day in range(5)]
    file = tmp_path / "page.html"
    file.write_text(page.render(results({1: [2.2, 2.0, 2.1], 2: [1.2] * 3, 4: [0.8] * 3}, 6, DIFFERENT), before))
    with browser(tmp_path) as chromium:
        for width in (320, 360, 1280):
            for scheme in ("light", "dark"):
                with chromium.page(width, scheme) as tab:
                    tab.open(f"file://{file}")
                    assert tab.complaints == []
                    assert tab.requests == [f"file://{file}"], "it needs nothing else"
                    assert tab.value("document.documentElement.scrollWidth") <= width
                    drawn = "[...document.querySelectorAll('svg')].map(e => e.getBoundingClientRect().width)"
                    assert min(tab.value(drawn)) > 200
                    assert len(tab.value(drawn)) == 6

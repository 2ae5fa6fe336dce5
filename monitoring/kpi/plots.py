"""Bar charts as SVG, small enough for a phone; colours come from the page."""

from collections.abc import Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT = 360, 150
LEFT, RIGHT, TOP, BOTTOM = 30, 4, 8, 18
LINES = 4
LEAST = 1.5  # that one of thousands is still seen


def bars(title: str, days: Sequence[dict[str, Any]], parts: Sequence[tuple[str, str, str]]) -> str:
    """A stacked bar a day; `parts` are the field, the name and the CSS class of each, from below."""
    highest = _round_up(max([sum(row[field] for field, _, _ in parts) for row in days] or [0]))
    plot_height, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    drawn = [_grid(highest, plot_height)]
    for number, row in enumerate(days):
        x, y = LEFT + number * step, float(HEIGHT - BOTTOM)
        told = ", ".join(f"{row[field]} {name}" for field, name, _ in parts)
        shapes = ""
        for field, _, style in parts:
            if row[field]:
                height = max(plot_height * row[field] / highest, LEAST)
                y -= height
                shapes += (
                    f'<rect class="{style}" x="{x + step * 0.12:.1f}" y="{y:.1f}" '
                    f'width="{step * 0.76:.1f}" height="{height:.1f}"/>'
                )
        area = f'<rect class="area" x="{x:.1f}" y="{TOP}" width="{step:.1f}" height="{plot_height}"/>'
        drawn.append(f"<g><title>{escape(row['day'])}: {escape(told)}</title>{area}{shapes}</g>")
        day = int(row["day"][-2:])
        if day == 1 or day % 5 == 0:
            drawn.append(f'<text x="{x + step / 2:.1f}" y="{HEIGHT - 5}" text-anchor="middle">{day}</text>')
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>'


def _grid(highest: int, plot_height: int) -> str:
    lines = []
    for number in range(LINES + 1):
        y = HEIGHT - BOTTOM - plot_height * number / LINES
        value = highest * number / LINES
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{_short(value)}</text>'
        )
    return "".join(lines)


def _round_up(value: int) -> int:
    """The next number that divides well into lines."""
    size = LINES
    while True:
        for factor in (1, 2, 5):
            if size * factor >= value:
                return size * factor
        size *= 10


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}"

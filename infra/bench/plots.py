"""Plots as SVG, small enough for a phone; colours come from the page."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 22
LINES = 4
STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Points:
    """Points of one kind; `line` joins them in their order."""

    style: str
    points: Sequence[tuple[float, float, str]]
    """Place on either axis, and what is said of the point."""
    line: bool = False


def plot(title: str, kinds: Sequence[Points], names: Sequence[tuple[float, str]]) -> str:
    """Points over an axis with names at places; the other axis begins at zero."""
    highest = _round_up(max((y for kind in kinds for _, y, _ in kind.points), default=0.0))
    places = [x for kind in kinds for x, _, _ in kind.points] + [x for x, _ in names]
    first, last = min(places, default=0.0), max(places, default=1.0)
    room, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def across(x: float) -> float:
        return LEFT + room * (0.06 + 0.88 * ((x - first) / (last - first) if last > first else 0.5))

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - height * y / highest

    drawn = [_grid(highest, up)]
    for x, name in names:
        drawn.append(f'<text x="{across(x):.1f}" y="{HEIGHT - 7}" text-anchor="middle">{escape(name)}</text>')
    for kind in kinds:
        if kind.line and len(kind.points) > 1:
            path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y, _ in kind.points)
            drawn.append(f'<polyline class="{kind.style}" points="{path}"/>')
        if kind.line and not any(text for _, _, text in kind.points):
            continue
        for x, y, text in kind.points:
            drawn.append(
                f'<circle class="{kind.style}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="3">'
                f"<title>{escape(text)}</title></circle>"
            )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{"".join(drawn)}</svg>'


def _grid(highest: float, up: Callable[[float], float]) -> str:
    lines = []
    for number in range(LINES + 1):
        value = highest * number / LINES
        y = up(value)
        lines.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{_short(value)}</text>'
        )
    return "".join(lines)


def _round_up(value: float) -> float:
    """The next number that divides well into lines."""
    if value <= 0:
        return 1.0
    size = 10.0 ** math.floor(math.log10(value))
    return next(size * step for step in STEPS if size * step >= value * 0.999_999)


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:.4g}"

"""Small lines of the last day as SVG; colours come from the page."""

from collections.abc import Iterator, Sequence
from html import escape

from refsys.services.overview.gather import STEP_SECONDS, Point

WIDTH, HEIGHT, MARGIN = 120, 28, 2
SPAN = 86400
GAP = 1.5 * STEP_SECONDS


def sparkline(title: str, points: Sequence[Point], until: float, top: float = 0.0) -> str:
    """Return the line of a day that ends at `until`, from 0 to `top` at least; gaps are where nothing is known."""
    if not points:
        return ""
    values = [value for _, value in points]
    low, high = min(0.0, *values), max(top, *values)
    room = high - low or 1.0

    def place(point: Point) -> str:
        x = WIDTH * (1 - (until - point[0]) / SPAN)
        return f"{x:.1f},{HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (point[1] - low) / room:.1f}"

    drawn = []
    for part in _parts(points):
        # A point alone is a short line.
        first, *rest = map(place, part if len(part) > 1 else [(part[0][0] - STEP_SECONDS, part[0][1]), *part])
        drawn.append(f'<path d="M{first}L{" ".join(rest)}"/>')
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
        f"{''.join(drawn)}</svg>"
    )


def _parts(points: Sequence[Point]) -> Iterator[list[Point]]:
    part: list[Point] = []
    for point in points:
        if part and point[0] - part[-1][0] > GAP:
            yield part
            part = []
        part.append(point)
    yield part

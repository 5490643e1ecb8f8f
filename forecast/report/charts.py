"""Draw small charts of lines as SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from forecast.errors import visible

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 10, 34
COLOURS = 6  # lines that page.css tells apart, by colour and dashes

Values = Sequence[float | None]


@dataclass(frozen=True)
class Chart:
    """Lines over shared places.

    Attributes
    ----------
    title : what it shows
    across : name of the places
    ends : names of the first place and of the last one
    lines : by name; None is a gap
    targets : levels that some values should have, drawn as thin lines
    """

    title: str
    across: str
    ends: tuple[str, str]
    lines: Mapping[str, Values]
    targets: tuple[float, ...] = ()


def number(value: float) -> str:
    """A number with three digits: 0.0123, 12.3, 1,234."""
    if not math.isfinite(value):
        return ""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.3g}"
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"


def path(places: Sequence[float], heights: Sequence[float | None]) -> str:
    """The path of a line with gaps; a point by itself is a dot where line ends are round."""
    found, drawing = [], False
    for x, y in zip(places, heights, strict=True):
        if y is None:
            drawing = False
        else:
            found.append(f"L{x:.1f} {y:.1f}" if drawing else f"M{x:.1f} {y:.1f}h0")
            drawing = True
    return "".join(found)


def chart_svg(chart: Chart) -> str:
    """A chart as a figure; nothing where it has no two places or no number."""
    names = list(chart.lines)[:COLOURS]
    count = max((len(chart.lines[name]) for name in names), default=0)
    values = [value for name in names for value in chart.lines[name] if value is not None] + list(chart.targets)
    if count < 2 or not values:
        return ""
    low, high = min(0.0, *values), max(values)
    high = high if high > low else low + 1
    title = escape(visible(chart.title))
    across = [LEFT + (WIDTH - LEFT - RIGHT) * place / (count - 1) for place in range(count)]

    def down(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - value) / (high - low)

    parts = []
    for value in (low, (low + high) / 2, high):
        parts.append(f'<path class="grid" d="M{LEFT} {down(value):.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{down(value) + 4:.1f}" text-anchor="end">{number(value)}</text>')
    parts += [f'<path class="target" d="M{LEFT} {down(value):.1f}H{WIDTH - RIGHT}"/>' for value in chart.targets]
    for place, name in enumerate(names):
        heights = [None if value is None else down(value) for value in chart.lines[name]]
        parts.append(f'<path class="line c{place}" fill="none" d="{path(across, heights)}"/>')
    ends = zip(chart.ends, (LEFT, WIDTH - RIGHT), ("start", "end"), strict=True)
    texts = [(text, x, anchor) for text, x, anchor in ends] + [(chart.across, (LEFT + WIDTH - RIGHT) / 2, "middle")]
    parts += [
        f'<text x="{x:.0f}" y="{HEIGHT - 14}" text-anchor="{anchor}">{escape(visible(text))}</text>'
        for text, x, anchor in texts
    ]
    legend = "".join(
        f'<li><svg viewBox="0 0 28 8" width="28" height="8" aria-hidden="true"><path class="line c{place}" '
        f'd="M1 4H27"/></svg> {escape(visible(name))}</li>'
        for place, name in enumerate(names)
    )
    svg = f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    return f'<figure>\n<figcaption>{title}</figcaption>\n<ul class="legend">{legend}</ul>\n{svg}\n</figure>\n'

"""Pictures of many series in one page: compact numbers, from which a script of the page draws those that are looked at.

The first ones are drawn here too, in the same way, for readers whose mail program runs no script.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from forecast.errors import visible
from forecast.panel.naming import series_name
from forecast.panel.panel import Ids, Integers, Numbers
from forecast.panel.schema import calendar_of, position_texts
from forecast.report.charts import path
from forecast.report.content import Drawable, values_at

WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 58, 8, 8, 22
LETTER = 7  # width of a letter below a picture
FIRST = 12  # series of a page
DIGITS = 4
HORIZONS, SEASONS, FEWEST = 3, 2, 40  # of history that are drawn where there is room: horizons, seasons, steps
MOST_NUMBERS = 2_700_000  # of all series; 6 to 9 characters each
SHORTEST = 8  # steps of history, at least


@dataclass(frozen=True)
class Curves:
    """One series.

    Attributes
    ----------
    name : as messages name it
    note : what forecasts it
    error : its error in the past; None where that is unknown
    times : which of the gallery's times are its own
    past : [steps], NaN where missing
    ahead : [1 + 2 * levels, horizon], the forecast, then the ends of each interval; NaN without one
    """

    name: str
    note: str
    error: float | None
    times: int
    past: Numbers
    ahead: Numbers


@dataclass(frozen=True)
class Gallery:
    """Series that a page shows.

    Attributes
    ----------
    series : in the order of the input
    total : series of which the gallery may hold only the first
    levels : of the intervals in percent, in the order of `Curves.ahead`
    times : texts of the last value and of each forecast, shared by series that end together
    measure : what the errors are, or ""
    """

    series: tuple[Curves, ...]
    total: int
    levels: tuple[float, ...]
    times: tuple[tuple[str, ...], ...]
    measure: str


def gallery_of(
    drawable: Drawable, errors: dict[tuple[str, ...], float], measure: str, notes: Sequence[str] = ()
) -> Gallery:
    """The series that have a forecast, with as much of their past as a page of some megabytes has room for.

    Parameters
    ----------
    errors : by ids, of the past of the forecaster
    measure : what they are
    notes : [forecasts], what forecasts each series
    """
    ids, (total, horizon, columns) = drawable.ids, drawable.numbers.shape
    schema = drawable.schema
    last, which = np.unique(drawable.first - 1, return_inverse=True)
    shared = 2 * len(last) * (1 + horizon) / max(total, 1)  # times, in numbers of a series
    ahead = int(columns * horizon + shared)
    count = min(total, max(1, MOST_NUMBERS // (ahead + SHORTEST)))
    wanted = max(HORIZONS * horizon, SEASONS * schema.shortest_season, FEWEST)
    steps = int(np.clip(MOST_NUMBERS // max(count, 1) - ahead, SHORTEST, wanted))
    past = _past(drawable, ids[:count], steps)
    series = tuple(
        Curves(
            visible(series_name(ids[place]) or schema.target or "the series"),
            notes[place] if notes else "",
            errors.get(ids[place]),
            int(which[place]),
            past[place],
            drawable.numbers[place].T,
        )
        for place in range(count)
    )
    return Gallery(series, total, drawable.levels, _times(drawable, last), measure)


def _past(drawable: Drawable, ids: Ids, steps: int) -> list[Numbers]:
    """The last steps of each series before its forecast, from its first value on."""
    first = drawable.first[: len(ids)]
    values = values_at(drawable.panel, ids, first - steps, steps)
    begun = np.maximum(drawable.panel.starts[drawable.series[: len(ids)]] - (first - steps), 0)
    return [row[min(int(skip), steps - 1) :] for row, skip in zip(values, begun, strict=True)]


def _times(drawable: Drawable, last: Integers) -> tuple[tuple[str, ...], ...]:
    horizon = drawable.numbers.shape[1]
    positions = last[:, None] + np.arange(horizon + 1)
    texts = position_texts(drawable.schema, calendar_of(drawable.schema), positions.ravel())
    texts = [visible(text.removesuffix(" 00:00:00")) for text in texts]
    return tuple(tuple(texts[row * (horizon + 1) : (row + 1) * (horizon + 1)]) for row in range(len(last)))


def gallery_html(gallery: Gallery) -> Iterator[str]:
    """The first series as they are read without a script, the controls, and the numbers of all."""
    if not gallery.series:
        return
    known = any(one.error is not None for one in gallery.series)
    if gallery.total > len(gallery.series):
        yield f"<p>The first {len(gallery.series):,} of {gallery.total:,} series have room in this file.</p>\n"
    orders = [("input", "order of the table"), ("name", "name")]
    orders += [("worst", "largest error first"), ("best", "smallest error first")] * known
    choices = "".join(f'<option value="{value}">{text}</option>' for value, text in orders)
    yield (
        '<form id="controls" role="search" aria-label="Series" hidden>'
        '<label>Search <input type="search" id="search" autocomplete="off" aria-controls="series"></label> '
        f'<label>Sort by <select id="sort" aria-controls="series">{choices}</select></label> '
        '<button type="button" id="previous" aria-controls="series">Previous</button> '
        '<button type="button" id="next" aria-controls="series">Next</button></form>\n'
    )
    shown = min(FIRST, len(gallery.series))
    yield f'<p id="shown" role="status">1 to {shown:,} of {len(gallery.series):,} series</p>\n'
    kinds = [("past", "history"), ("ahead", "forecast")]
    kinds += [(f"band b{place}", f"{level:g} % interval") for level, place in _widest_first(gallery.levels)[::-1]]
    keys = "".join(
        f'<li><svg viewBox="0 0 14 14" width="14" height="14" aria-hidden="true"><path class="{kind}" d="'
        f'{"M0 2H14V12H0Z" if kind.startswith("band") else "M0 7H14"}"/></svg> {name}</li>'
        for kind, name in kinds
    )
    yield f'<ul class="legend">{keys}</ul>\n<div id="series">\n'
    for curves in gallery.series[:FIRST]:
        yield _figure(gallery, curves)
    yield "</div>\n"
    yield from _data(gallery)


def _widest_first(levels: tuple[float, ...]) -> list[tuple[float, int]]:
    return sorted(((level, place) for place, level in enumerate(levels)), reverse=True)


def _figure(gallery: Gallery, curves: Curves) -> str:
    """One series; `figure` of page.js makes the same."""
    name, times = escape(curves.name), gallery.times[curves.times]
    notes = [f"{gallery.measure} {_number(curves.error)}"] if curves.error is not None else []
    note = escape(", ".join([*notes, curves.note] if curves.note else notes))
    svg = _svg(gallery, curves, times)
    return f'<figure class="one"><figcaption><h3>{name}</h3><p>{note}</p></figcaption>{svg}</figure>\n'


def _svg(gallery: Gallery, curves: Curves, times: tuple[str, ...]) -> str:
    every = np.concatenate([curves.past, curves.ahead.ravel()])
    every = every[np.isfinite(every)]
    low, high = (float(every.min()), float(every.max())) if len(every) else (0.0, 1.0)
    if not high > low:
        low, high = low - max(1.0, abs(low) / 10), high + max(1.0, abs(high) / 10)
    before, count = len(curves.past), len(curves.past) + curves.ahead.shape[1]
    across = [LEFT + (WIDTH - LEFT - RIGHT) * place / (count - 1) for place in range(count)]

    def down(values: Numbers) -> list[float | None]:
        height = TOP + (HEIGHT - TOP - BOTTOM) * (high - values) / (high - low)
        return [float(y) if np.isfinite(y) else None for y in height]

    parts = [f'<path class="grid" d="M{LEFT} {TOP}H{WIDTH - RIGHT}M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>']
    start = curves.past[-1:] if np.isfinite(curves.past[-1]) else curves.past[:0]
    ahead = across[before - len(start) :]
    for _, place in _widest_first(gallery.levels):
        lower, upper = (down(np.append(start, curves.ahead[1 + 2 * place + side])) for side in (0, 1))
        if None not in (*lower, *upper):
            outline = path([*ahead, *ahead[::-1]], [*upper, *lower[::-1]])
            parts.append(f'<path class="band b{place}" fill="#9fc9e5" d="{outline}Z"/>')
    parts.append(f'<path class="past" fill="none" stroke="#333333" d="{path(across[:before], down(curves.past))}"/>')
    line = path(ahead, down(np.append(start, curves.ahead[0])))
    parts.append(f'<path class="ahead" fill="none" stroke="#0072b2" d="{line}"/>')
    for value, y in ((high, TOP + 8), (low, HEIGHT - BOTTOM)):
        parts.append(f'<text x="{LEFT - 5}" y="{y}" text-anchor="end">{_number(value)}</text>')
    ends = [(times[-1], WIDTH - RIGHT)]
    if LEFT + LETTER * len(times[0]) < across[before - 1] < WIDTH - RIGHT - LETTER * (len(times[-1]) + 1):
        ends.insert(0, (times[0], across[before - 1]))
    parts += [f'<text x="{x:.0f}" y="{HEIGHT - 6}" text-anchor="end">{escape(text)}</text>' for text, x in ends]
    label = escape(f"{curves.name}: {_said(gallery, curves, times)}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _said(gallery: Gallery, curves: Curves, times: tuple[str, ...]) -> str:
    """A series in words; `said` of page.js says the same."""
    if not np.isfinite(curves.ahead[0]).all():
        return "history without a forecast"
    first, last = curves.ahead[:, 0], curves.ahead[:, -1]
    text = f"forecast {_number(float(first[0]))} for {times[1]}, {_number(float(last[0]))} for {times[-1]}"
    if not gallery.levels:
        return text
    level, place = _widest_first(gallery.levels)[0]
    low, high = (float(last[1 + 2 * place + side]) for side in (0, 1))
    return f"{text}; {level:g} % interval then {_number(low)} to {_number(high)}"


def _number(value: float) -> str:
    """A number with four digits."""
    short = float(f"{value:.{DIGITS}g}")
    if abs(short) >= 1e9 or 0 < abs(short) < 1e-4:
        return f"{short:.{DIGITS - 1}g}"
    return f"{short:,.0f}" if abs(short) >= 1000 else f"{short:.{DIGITS}g}"


def _data(gallery: Gallery) -> Iterator[str]:
    """What the script reads, as JSON in which no text ends a script."""
    head = {"levels": gallery.levels, "measure": gallery.measure, "first": FIRST, "times": gallery.times}
    yield f'<script type="application/json" id="data">{_json(head)[:-1]},"series":[\n'
    for place, one in enumerate(gallery.series):
        error = "null" if one.error is None else _digits(one.error)
        arrays = ",".join(f"[{','.join(map(_digits, array.tolist()))}]" for array in (one.past, *one.ahead))
        yield f"{',' * bool(place)}[{_json(one.name)},{_json(one.note)},{error},{one.times},{arrays}]\n"
    yield "]}</script>\n"


def _json(value: object) -> str:
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _digits(value: float) -> str:
    """A number as short JSON."""
    if not np.isfinite(value):
        return "null"
    text = f"{value:.{DIGITS}g}"
    if "e" in text and abs(value) < 1e8 and abs(value) >= 1:
        return str(int(float(text)))
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")

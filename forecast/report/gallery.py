"""The series of a page as compact numbers, from which the script of the page draws those that are looked at."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecast.errors import visible
from forecast.panel.naming import series_name
from forecast.panel.panel import Integers
from forecast.panel.schema import calendar_of, position_texts
from forecast.report.chart import PlotData, actuals_at

DIGITS = 4
MOST_NUMBERS = 2_700_000  # of all series; 6 to 9 characters each
SHORTEST = 8  # steps of history, at least
PER_PAGE = 12  # series

CONTROLS = """<form id="controls" role="search" aria-label="Series" hidden>\
<label>Search <input type="search" id="search" autocomplete="off" aria-controls="series"></label> \
<label>Sort by <select id="sort" aria-controls="series">{choices}</select></label> \
<button type="button" id="previous" aria-controls="series">Previous</button> \
<button type="button" id="next" aria-controls="series">Next</button></form>
<p id="shown" role="status">{count:,} series</p>
<ul id="legend" class="legend"></ul>
<div id="series"></div>
"""
APART = '<div class="sums"><ul class="legend"></ul><div class="series"></div>'
ORDERS = {"input": "order of the table", "name": "name"}
ERROR_ORDERS = {"worst": "largest error first", "best": "smallest error first"}


@dataclass(frozen=True)
class Gallery:
    """Series that a page shows, with as much of their past as a page of some megabytes has room for."""

    data: PlotData
    measure: str  # what the errors are
    errors: Mapping[tuple[str, ...], float]  # of the forecaster in the past, by ids
    notes: Sequence[str]  # [forecasts], what forecasts each series
    searched: bool = True  # the one of a page whose series are searched and paged; others show the first of theirs


def gallery_html(gallery: Gallery) -> Iterator[str]:
    """The controls, and the numbers of all series as JSON that the script reads."""
    data = gallery.data
    total, horizon, columns = data.numbers.shape
    if not total:
        return
    last, times = np.unique(data.first - 1, return_inverse=True)
    shared = 2 * len(last) * (1 + horizon) / total  # times, in numbers of a series
    ahead = int(columns * horizon + shared)
    count = min(total if gallery.searched else PER_PAGE, total, max(1, MOST_NUMBERS // (ahead + SHORTEST)))
    steps = int(np.clip(MOST_NUMBERS // count - ahead, SHORTEST, data.usual_history))
    if total > count:
        yield f"<p>The first {count:,} of {total:,} series have room in this file.</p>\n"
    orders = ORDERS | (ERROR_ORDERS if not gallery.errors.keys().isdisjoint(data.ids[:count]) else {})
    choices = "".join(f'<option value="{value}">{text}</option>' for value, text in orders.items())
    yield CONTROLS.format(choices=choices, count=count) if gallery.searched else APART
    # texts of the last value and of each forecast, by the end of the past
    positions = last[:, None] + np.arange(horizon + 1)
    texts = position_texts(data.schema, calendar_of(data.schema), positions.ravel())
    shown = np.array([visible(text.removesuffix(" 00:00:00")) for text in texts], object).reshape(positions.shape)
    head = {"levels": data.levels, "measure": gallery.measure, "perPage": PER_PAGE, "times": shown.tolist()}
    name = "id" if gallery.searched else "class"
    yield f'<script type="application/json" {name}="data">{as_json(head)[:-1]},"series":[\n'
    for index, series in enumerate(_series(gallery, count, times, steps)):
        yield f"{',' * bool(index)}{series}\n"
    yield "]}</script>\n" + "</div>\n" * (not gallery.searched)


def as_json(value: object) -> str:
    """A value as JSON in which no text ends a script."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _series(gallery: Gallery, count: int, times: Integers, steps: int) -> Iterator[str]:
    """Each series as JSON: name, note, error, which times, past, forecast, and the ends of each interval."""
    data, ids, first = gallery.data, gallery.data.ids[:count], gallery.data.first[:count]
    past = actuals_at(data.panel, ids, first - steps, steps)
    begun = np.clip(data.panel.starts[data.series[:count]] - (first - steps), 0, steps - 1)
    for i in range(count):
        name = visible(series_name(ids[i]) or data.schema.target or "the series")
        arrays = [past[i, begun[i] :], *data.numbers[i].T]
        head = name, gallery.notes[i], _short(gallery.errors.get(ids[i], np.nan)), int(times[i])
        yield as_json([*head, *([_short(value) for value in array.tolist()] for array in arrays)])


def _short(value: float) -> float | None:
    """A number rounded to few digits; None if it is not finite."""
    if not np.isfinite(value):
        return None
    number = float(f"{value:.{DIGITS}g}")
    return int(number) if abs(number) < 1e8 and number.is_integer() else number

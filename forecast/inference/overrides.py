"""Override forecasts by hand: read a table of overrides, and apply it to forecasts."""

import re
from dataclasses import replace
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import parse_times
from forecast.calendar.zones import DAY
from forecast.errors import BadData
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, forecast_columns
from forecast.inference.predictor import fill_closed_values
from forecast.intervals.interval_ends import apply_bounds
from forecast.logs import log
from forecast.panel.events import cell_texts, parse_days, refuse_others, side_table
from forecast.panel.panel import SERIES_NAMED, Flags, Ids, Integers, Numbers, Panel, first_names
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import OutputSettings
from forecast.tables.table import Table, require_columns

DAYS = ("from", "to")
OVERRIDE_COLUMNS = ("value", "who", "why")
NUMBER = r"\d{1,15}(?:\.\d*)?"
# a new value, a factor or a bound; or a percentage
OVERRIDE_VALUE = re.compile(rf"(|\*|>=|<=)(-?{NUMBER})|([+-]{NUMBER})%")
NO_EFFECT = (
    "%s: without effect: %s; there is no forecast for this series and time, or the day is closed"
)
CUT = "%s: beyond the bounds of forecasts, and cut there: %s"
FAR_RATIO = 10  # times the forecast, or its inverse, beyond which an override is named
TOO_FAR = "%s: more than ten times from the forecast: %s"


class Overrides(NamedTuple):
    """Which row of a table overrides which forecast, and how.

    A forecast becomes `factor` times itself, and then at least `low` and at most `high`, which are
    the same for a new value.
    """

    table: Table
    row: Integers  # [series of the panel, steps ahead], the row of each forecast; -1 without one
    change: Numbers  # [rows, 3], the factor, low and high
    people: NDArray[np.str_]  # [rows, 2], who and why


def apply_overrides(
    forecasts: Forecasts,
    fitted: Fitted,
    output: OutputSettings,
    source: Any,
    may_be_over: bool = False,
) -> tuple[Forecasts, Overrides | None]:
    """Forecasts overridden by a table, a frame or a file, and this table; None without rows.

    Closed slots keep their value. An interval scales with its point; a bound moves the point alone,
    and ends that it passes. `may_be_over` is a parameter of `read_overrides`.
    """
    panel = forecasts.panel
    series = forecasts.series
    numbers = forecasts.numbers
    overrides = read_overrides(source, fitted.schema, panel, fitted.ids, may_be_over)
    if overrides is None:
        return forecasts, None
    table = overrides.table
    steps = np.arange(numbers.shape[1])
    ends = panel.offsets[series] + panel.lengths[series]
    slots = ends[:, None] + steps
    is_closed = fill_closed_values(fitted, panel).observed[slots]
    row = np.where(is_closed, -1, overrides.row[series][:, steps])
    unused_rows = np.setdiff1d(np.arange(len(table)), row)
    unused = [table.line(i) for i in unused_rows]
    if unused:
        log.warning(NO_EFFECT, table.name, first_names(unused, SERIES_NAMED))

    factor, low, high = overrides.change.T[:, row, None]
    point = numbers[..., :1]
    new = np.clip(point * factor, low, high)
    ratio = np.divide(new, point, out=np.ones_like(new), where=point != 0)
    scaled = new + (numbers - point) * np.abs(ratio)
    levels = np.array([0.5, *output.columns.values()])
    interval_ends = [np.minimum(numbers, new), np.maximum(numbers, new)]
    passed = np.select([levels < 0.5, levels > 0.5], interval_ends, new)
    is_bound = np.isfinite(low) != np.isfinite(high)
    wanted = np.where(is_bound, passed, scaled)
    is_meant = row >= 0
    within = apply_bounds(wanted, output, panel.floor()[series])
    moved = np.where(is_meant[..., None], within, numbers)
    is_within = np.isclose(within[..., 0], wanted[..., 0], 1e-3, 0.5 * output.integer)
    is_far = _find_far(np.abs(ratio[..., 0]))
    for text, flags in ((CUT, ~is_within), (TOO_FAR, is_far)):
        lines = [table.line(i) for i in np.unique(row[is_meant & flags])]
        if lines:
            log.warning(text, table.name, first_names(lines, SERIES_NAMED))
    if is_meant.any():
        who = overrides.people[row[is_meant], 0]
        people = ", ".join(np.unique(who))
        log.info("override %d of %d forecasts, by %s", is_meant.sum(), row.size, people)
    changes = moved - numbers
    columns = forecast_columns(fitted, output, panel, series, moved)
    changed = replace(forecasts, numbers=moved, changes=changes[..., 0], columns=columns)
    return changed, overrides


def _find_far(factors: Numbers) -> Flags:
    """Whether an override multiplies a forecast by more, or by less, than is usual."""
    return (factors > FAR_RATIO) | ((factors > 0) & (factors < 1 / FAR_RATIO))


def read_overrides(
    source: Any, schema: Schema, panel: Panel, ids: Ids, may_be_over: bool = False
) -> Overrides | None:
    """Read overrides of the forecasts of a panel from a table, a frame or a file.

    Blank or absent ids mean all series that have the others; `ids` are those of the fit. Without a
    table, or rows, there are no overrides. A row whose time is over, or whose series is gone, has
    no effect if it `may_be_over`. Raises BadData if a row cannot be used, and UsageError if the series have no
    dates.
    """
    table = None if source is None else side_table(source, "overrides")
    if table is None:
        return None
    times = DAYS if DAYS[0] in table.names else schema.time
    refuse_others(table, schema, (*times, *OVERRIDE_COLUMNS), "overrides")
    require_columns(table, (*times, *OVERRIDE_COLUMNS[:2]))
    first, last = _find_steps(table, times, schema, panel)
    series_ids = np.array([*panel.ids, *ids])  # [series, columns], the first those of the panel
    row_of = np.full((len(series_ids), panel.ahead), -1)
    blank = [""] * len(table)
    columns = [
        cell_texts(table, name) if name in table.names else blank
        for name in (*schema.ids, *OVERRIDE_COLUMNS)
    ]
    cells = np.array(columns).T
    change = []
    for row, (*names, value, who, _) in enumerate(cells.tolist()):
        matches = (series_ids == names) | (np.array(names) == "")
        is_meant = matches.all(1)
        meant = np.ix_(is_meant, range(first[row], last[row]))
        earlier = row_of[meant].max(initial=-1)
        match = OVERRIDE_VALUE.fullmatch(value)
        problem = ""
        if not (is_meant.any() or may_be_over):
            problem = f"there is no series {'/'.join(filter(None, names))}"
        elif not who:
            problem = "who is blank"
        elif last[row] < 0:
            problem = "it ends before it begins"
        elif last[row] == 0 and not may_be_over:
            problem = "it ends before the first forecast"
        elif earlier >= 0:
            problem = f"{table.line(earlier)} overrides the same forecast"
        elif match is None:
            problem = f"'{value}' is no override, such as 120, +10%, *1.1, >=5 or <=80"
        if problem or match is None:
            raise BadData(problem, place=table.place(row), cure="correct or remove the row")
        row_of[meant] = row
        kind, digits, percent = match.groups("0")
        number = float(digits)
        factor = number if kind == "*" else 1 + float(percent) / 100
        low = number if kind in ("", ">=") else -inf
        high = number if kind in ("", "<=") else inf
        change.append((factor, low, high))
    return Overrides(table, row_of, np.array(change), cells[:, -2:])


def _find_steps(
    table: Table, times: tuple[str, ...], schema: Schema, panel: Panel
) -> tuple[Integers, Integers]:
    """The first step ahead of each row, and the one after its last; -1 if it ends too early."""
    calendar = build_calendar(schema)
    ahead = panel.origin + 1 + np.arange(panel.ahead)
    if times == DAYS:
        steps = calendar.wall(ahead) // DAY
        days = [parse_days(table, name, schema, may_be_blank=False) for name in DAYS]
        begin, end = np.array(days, "datetime64[D]").astype(np.int64)
    else:
        steps = calendar.times(ahead)
        begin = end = parse_times(table, times, schema.time_settings).timestamps
    first = np.searchsorted(steps, begin)
    last = np.searchsorted(steps, end, "right")
    return first, np.where(end < begin, -1, last)

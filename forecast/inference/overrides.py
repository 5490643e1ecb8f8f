"""Override forecasts by hand: read a table of overrides, and apply it to forecasts."""

import re
from dataclasses import dataclass, replace
from math import inf
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.parsing import parse_times
from forecast.calendar.zones import DAY
from forecast.errors import BadData
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, forecast_columns
from forecast.inference.override_sums import Cells, WantedSum, spread_sums
from forecast.inference.predictor import fill_closed_values
from forecast.intervals.interval_ends import apply_bounds, lower_bounds
from forecast.logs import log
from forecast.panel.events import (
    cell_texts,
    day_spans,
    parse_days,
    parse_periods,
    refuse_others,
    side_table,
)
from forecast.panel.hierarchy import iterate_keys
from forecast.panel.panel import SERIES_NAMED, Flags, Ids, Integers, Numbers, Panel, first_names
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import OutputSettings
from forecast.tables.table import Table, require_columns

DAYS = ("from", "to")
PERIOD = ("period",)
PEOPLE = ("who", "why")
WHAT = ("value", "total", "lock")  # of which a row has one
SPREAD, BY_WIDTH = "spread", "uncertain"
OVERRIDE_COLUMNS = (*WHAT, SPREAD, *PEOPLE)
SHOWN = ("forecast",)  # what a sheet shows and nobody reads
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
    sums: list[WantedSum]  # with forecasts of the panel [series, steps ahead]
    locked: Integers  # as `row`, the row that keeps a forecast from changing with sums
    filled: list[int]  # the rows that say something


def apply_overrides(
    forecasts: Forecasts,
    fitted: Fitted,
    output: OutputSettings,
    source: Any,
    may_be_over: bool = False,
) -> tuple[Forecasts, Overrides | None]:
    """Forecasts overridden by a table, a frame or a file, and this table; None without rows.

    Closed slots keep their value. An interval scales with its point; a bound moves the point alone,
    and ends that it passes. Then sums are spread over forecasts that no row has set. `may_be_over`
    is a parameter of `read_overrides`.
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
    locked = overrides.locked[series][:, steps]
    wanted = [replace(one, inside=one.inside[series][:, steps]) for one in overrides.sums]
    of_sums = [one.row for one in wanted if one.inside.any()]
    used = np.concatenate([row.ravel(), locked.ravel(), np.array(of_sums, np.int64)])
    unused = [table.line(i) for i in np.setdiff1d(overrides.filled, used)]
    if unused:
        log.warning(NO_EFFECT, table.name, first_names(unused, SERIES_NAMED))
    moved = _override_each(forecasts, output, overrides, row)
    if of_sums:
        cells = _build_cells(forecasts, output, moved, row)
        cells.fixed |= is_closed | (locked >= 0)
        spread_sums(cells, wanted, table, refuses=not may_be_over)
        is_new = cells.row != row
        moved = np.where(is_new[..., None], _move(moved, cells, output), moved)
        row = cells.row
    is_meant = row >= 0
    if is_meant.any():
        who = overrides.people[row[is_meant], 0]
        people = ", ".join(np.unique(who))
        log.info("override %d of %d forecasts, by %s", is_meant.sum(), row.size, people)
    row_of = np.full_like(overrides.row, -1)
    row_of[np.ix_(series, steps)] = row
    changes = moved - numbers
    columns = forecast_columns(fitted, output, panel, series, moved)
    changed = replace(forecasts, numbers=moved, changes=changes[..., 0], columns=columns)
    return changed, overrides._replace(row=row_of)


def _override_each(
    forecasts: Forecasts, output: OutputSettings, overrides: Overrides, row: Integers
) -> Numbers:
    """The numbers of forecasts, of which rows of overrides [series, steps] change single ones."""
    numbers = forecasts.numbers
    table = overrides.table
    factor, low, high = overrides.change.T[:, row, None]
    point = numbers[..., :1]
    new = np.clip(point * factor, low, high)
    scaled, ratio = _scale(numbers, new)
    levels = np.array([0.5, *output.columns.values()])
    interval_ends = [np.minimum(numbers, new), np.maximum(numbers, new)]
    passed = np.select([levels < 0.5, levels > 0.5], interval_ends, new)
    is_bound = np.isfinite(low) != np.isfinite(high)
    wanted = np.where(is_bound, passed, scaled)
    is_meant = row >= 0
    floor = forecasts.panel.floor()[forecasts.series]
    within = apply_bounds(wanted, output, floor)
    is_within = np.isclose(within[..., 0], wanted[..., 0], 1e-3, 0.5 * output.integer)
    is_far = _find_far(np.abs(ratio[..., 0]))
    for text, flags in ((CUT, ~is_within), (TOO_FAR, is_far)):
        lines = [table.line(i) for i in np.unique(row[is_meant & flags])]
        if lines:
            log.warning(text, table.name, first_names(lines, SERIES_NAMED))
    return np.where(is_meant[..., None], within, numbers)


def _build_cells(
    forecasts: Forecasts, output: OutputSettings, numbers: Numbers, row: Integers
) -> Cells:
    """The points of numbers [series, steps, 1 + quantiles], of which rows [series, steps] set some."""
    low = lower_bounds(output, forecasts.panel.floor()[forecasts.series])[:, None]
    high = np.inf if output.max is None else output.max
    if output.integer:
        low = np.ceil(low)
        high = np.floor(high)
    point = numbers[..., 0].copy()
    return Cells(
        point=point,
        width=numbers.max(2) - numbers.min(2),
        low=np.broadcast_to(low, point.shape),
        high=np.full_like(point, high),
        row=row.copy(),
        fixed=row >= 0,
        whole=output.integer,
    )


def _move(numbers: Numbers, cells: Cells, output: OutputSettings) -> Numbers:
    """Numbers around the points of cells, which keep all the digits that their sums need."""
    new = cells.point[..., None]
    scaled, _ = _scale(numbers, new)
    lowest = cells.low[:, 0]
    within = apply_bounds(scaled, output.model_copy(update={"min": None}), lowest)
    levels = np.array([0.5, *output.columns.values()])
    ends = [np.minimum(within, new), np.maximum(within, new)]
    return np.select([levels < 0.5, levels > 0.5], ends, new)


def _scale(numbers: Numbers, new: Numbers) -> tuple[Numbers, Numbers]:
    """Numbers around new points [series, steps, 1], as far apart as these are larger; this ratio."""
    point = numbers[..., :1]
    ratio = np.divide(new, point, out=np.ones_like(new), where=point != 0)
    return new + (numbers - point) * np.abs(ratio), ratio


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
    times = next((own for own in (DAYS, PERIOD) if own[0] in table.names), schema.time)
    keys = (*schema.ids, *schema.static)
    refuse_others(table, schema, (*times, *OVERRIDE_COLUMNS, *SHOWN, *schema.static), "overrides")
    require_columns(table, (*times, PEOPLE[0]))
    spans = _find_spans(table, times, schema, panel)
    cells = {
        name: cell_texts(table, name) if name in table.names else [""] * len(table)
        for name in (*keys, *OVERRIDE_COLUMNS)
    }
    series_keys = _series_keys(panel, schema, ids)
    shape = len(series_keys), panel.ahead
    found = Overrides(
        table=table,
        row=np.full(shape, -1),
        change=np.tile([1.0, -inf, inf], (len(table), 1)),
        people=np.array([cells[name] for name in PEOPLE]).T,
        sums=[],
        locked=np.full(shape, -1),
        filled=[],
    )
    for row, names in enumerate(zip(*(cells[name] for name in keys), strict=True)):
        own = {name: cells[name][row] for name in OVERRIDE_COLUMNS}
        given = [name for name in WHAT if own[name]]
        if not given and not own["who"]:  # a row that nobody has filled in
            continue
        found.filled.append(row)
        matches = (series_keys == np.array(names, object)) | (np.array(names) == "")
        is_meant = matches.all(1)
        meant = np.ix_(is_meant, range(spans.first[row], spans.last[row]))
        kind = given[0] if given else ""
        earlier = found.row[meant].max(initial=-1) if kind == "value" else -1
        match = OVERRIDE_VALUE.fullmatch(own[kind]) if kind in WHAT[:2] else None
        problem = _problem(own, given, match) or spans.problem(row, kind, may_be_over)
        if not (is_meant.any() or may_be_over):
            problem = f"there is no series {'/'.join(filter(None, names))}"
        elif earlier >= 0:
            problem = f"{table.line(earlier)} overrides the same forecast"
        if problem:
            raise BadData(problem, place=table.place(row), cure="correct or remove the row")
        if match is None:
            found.locked[meant] = row
            continue
        found.change[row] = _read_change(match)
        if kind == "value":
            found.row[meant] = row
        elif not spans.is_cut[row]:
            here = is_meant[: len(panel)]
            found.sums.append(spans.sum_of(row, here, found.change[row], own[SPREAD] == BY_WIDTH))
    return found


def _series_keys(panel: Panel, schema: Schema, ids: Ids) -> NDArray[np.object_]:
    """Ids and static columns of the series of a panel, then ids of the fit, [series, columns]."""
    keys = list(iterate_keys(panel, schema, (*schema.ids, *schema.static)))
    of_fit = [(*names, *[""] * len(schema.static)) for names in ids]
    return np.array([*keys, *of_fit], object).reshape(len(keys) + len(of_fit), -1)


def _problem(own: dict[str, str], given: list[str], match: re.Match[str] | None) -> str:
    """What is wrong with the cells of a row, or ""."""
    if not own["who"]:
        return "who is blank"
    if len(given) != 1:
        return f"it has no single one of {', '.join(WHAT)}"
    if match is None and given != ["lock"]:
        return f"'{own[given[0]]}' is no override, such as 120, +10%, *1.1, >=5 or <=80"
    if own[SPREAD] not in ("", BY_WIDTH):
        return f"spread is '{own[SPREAD]}', and neither blank nor {BY_WIDTH}"
    return ""


def _read_change(match: re.Match[str]) -> tuple[float, float, float]:
    """A factor, and the least and the largest value."""
    kind, digits, percent = match.groups("0")
    number = float(digits)
    factor = number if kind == "*" else 1 + float(percent) / 100
    low = number if kind in ("", ">=") else -inf
    high = number if kind in ("", "<=") else inf
    return factor, low, high


@dataclass(frozen=True)
class _Spans:
    """The time of each row."""

    panel: Panel
    day: Integers  # [slots], the day of each slot
    begin: Integers  # [rows], the first day, if rows have days
    first: Integers  # [rows], the first step ahead
    last: Integers  # [rows], the one after the last step; -1 if the row ends before it begins
    is_cut: Flags  # [rows], whether it ends after the last step

    def problem(self, row: int, kind: str, may_be_over: bool) -> str:
        if self.last[row] < 0:
            return "it ends before it begins"
        if self.last[row] == 0 and not may_be_over:
            return "it ends before the first forecast"
        if kind == "total" and self.is_cut[row] and not may_be_over:
            return "it ends after the last forecast"
        return ""

    def sum_of(self, row: int, is_meant: Flags, change: Numbers, by_width: bool) -> WantedSum:
        """The sum of a row over series, with what was observed of them since its first day."""
        panel = self.panel
        used = panel.observed & is_meant[panel.series_of_slots] & (self.day >= self.begin[row])
        observed = panel.values[used & panel.before(panel.lengths)].sum()
        step = np.arange(panel.ahead)
        is_ahead = (step >= self.first[row]) & (step < self.last[row])
        inside = is_meant[:, None] & is_ahead
        return WantedSum(row, inside, float(observed), change, by_width)


def _find_spans(table: Table, times: tuple[str, ...], schema: Schema, panel: Panel) -> _Spans:
    calendar = build_calendar(schema)
    ahead = panel.origin + 1 + np.arange(panel.ahead)
    day = day_spans(calendar, panel.grid_positions)[0]
    days = None
    if times == DAYS:
        both = [parse_days(table, name, schema, may_be_blank=False) for name in DAYS]
        days = np.array(both, "datetime64[D]").astype(np.int64)
    elif times == PERIOD:
        spans = np.array(parse_periods(table, PERIOD[0]), "datetime64[D]")
        days = spans.astype(np.int64).reshape(-1, 2).T
    if days is None:
        time = parse_times(table, times, schema.time_settings).timestamps
        steps = calendar.times(ahead)
        first = np.searchsorted(steps, time)
        last = np.searchsorted(steps, time, "right")
        nowhere = np.full(len(time), day.max() + 1)
        return _Spans(panel, day, nowhere, first, last, time > steps[-1])
    begin, end = days
    steps = calendar.wall(ahead) // DAY
    first = np.searchsorted(steps, begin)
    last = np.where(end < begin, -1, np.searchsorted(steps, end, "right"))
    return _Spans(panel, day, begin, first, last, end > day_spans(calendar, ahead[-1:])[1])

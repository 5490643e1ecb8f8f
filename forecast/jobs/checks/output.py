"""Check forecasts before they are written."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.calendar.spec import STEP_KIND
from forecast.calendar.zones import DAY
from forecast.intervals.interval_ends import lower_bounds
from forecast.jobs.checks.check import limited, rule
from forecast.jobs.checks.finding import HELD_RUNS, Finding, is_accepted, usual_size
from forecast.jobs.checks.tonight import MIN_VALUES, Tonight
from forecast.panel.events import closed_now
from forecast.panel.panel import (
    Numbers,
    ids_at,
)
from forecast.panel.schema import build_calendar
from forecast.tables.writing import Column
from forecast.totals.sums import LAST_YEAR


@dataclass(frozen=True)
class OutputPriors:
    """When forecasts stand out from past ones, tuned with `python -m workshop.campaigns nights`."""

    # how many times a forecast may exceed the largest value of a year, how many times an interval
    # may grow or shrink, and how many times the usual the change of the total may be
    times_beyond: float = 3.0
    # how many times the usual jump a jump may be, both in widths of 80 % intervals
    jump_beyond: float = 5.0
    # the record of a run keeps this quantile of the jumps of its series
    nearly_all: float = 0.99


OUTPUT_PRIORS = OutputPriors()
FEW_WIDTHS = 20  # in smaller panels, other widths are counted as a share of so many series


@rule("numbers that are not finite")
def check_finite(tonight: Tonight) -> Finding:
    """How many numbers are not finite."""
    count = 0
    for table in _tables(tonight):
        columns = [
            column.values if isinstance(column, Column) else column for column in table.values()
        ]
        numbers = [column for column in columns if column.dtype.kind == "f"]
        count += sum(_count(~np.isfinite(column)) for column in numbers)
    return Finding(float(count))


@rule("rows whose quantiles are not in order")
def check_order(tonight: Tonight) -> Finding:
    """In how many rows the quantiles are out of order."""
    settings = tonight.settings
    ascending = settings.columns
    if settings.levels or settings.point == "median":  # an interval contains its point
        ascending = {"forecast": 0.5} | ascending
    names = sorted(ascending, key=ascending.__getitem__)
    count = 0
    for table in _tables(tonight):
        line = np.stack([np.asarray(table[name], float) for name in names])
        count += _count((np.diff(line, axis=0) < 0).any(0))
    return Finding(float(count))


def _tables(tonight: Tonight) -> list[dict[str, Any]]:
    """The columns of the forecasts, and of their sums."""
    tables = [tonight.forecasts.columns, *(totals.columns() for totals in tonight.totals)]
    return [
        {name: column for name, column in table.items() if name != LAST_YEAR} for table in tables
    ]


@rule("rows below 0 of series that never were")
def check_negative(tonight: Tonight) -> Finding:
    """In how many rows a number lies below the lower bound."""
    forecasts = tonight.forecasts
    names = ("forecast", *tonight.settings.columns)
    columns = [np.asarray(forecasts.columns[name], float) for name in names]
    published = np.stack(columns, -1)  # [rows, 1 + columns]
    floor = tonight.panel.floor()[forecasts.series]
    lowest = lower_bounds(tonight.settings, floor).repeat(forecasts.means.shape[1])
    return Finding(float(_count((published < lowest[:, None]).any(1))))


def _count(flags: Any) -> int:
    return int(flags.sum())


@limited(0.005, 0.02, "the share of series with a median above 3 times the largest value of a year")
def check_bounds(tonight: Tonight) -> Finding | None:
    """Points far beyond the values of the year before.

    If times are numbered steps, all past values count. Values of the newest week (or the newest
    step) do not count, as they may be the ones that are wrong, until a run is accepted; and what
    lies beyond is accepted where the last run published it.
    """
    points = tonight.forecasts.published[..., 0]
    if not len(points):
        return None
    panel = tonight.panel
    series = tonight.forecasts.series
    lowest, highest = _extremes(tonight)
    largest = np.maximum(np.abs(lowest), np.abs(highest))[series]
    if tonight.earlier is not None:
        before = np.fmax.reduce(np.abs(tonight.earlier[1][..., 0]), 1)
        accepted = before > OUTPUT_PRIORS.times_beyond * largest
        largest = np.where(accepted, before, largest)
    has_enough = panel.counts[series] >= MIN_VALUES
    beyond = np.abs(points).max(1) > OUTPUT_PRIORS.times_beyond * largest
    return tonight.share(has_enough & (largest > 0) & beyond, len(points))


@limited(0.05, 0.5, "the share of series with a constant median, if more than in past runs")
def check_flat(tonight: Tonight) -> Finding | None:
    """Constant points of series that vary, and are open."""
    points = tonight.forecasts.published[..., 0]
    if not len(points):
        return None
    series = tonight.forecasts.series
    lowest, highest = _extremes(tonight)
    constant = np.ptp(points, axis=1) == 0
    varied = (highest > lowest)[series]
    opens = ~closed_now(tonight.panel, tonight.schema, 1)[series]
    flat = constant & varied & opens & (points.shape[1] > 1)
    return tonight.share(flat, len(points), usual_size(tonight.past, "flat"))


def _extremes(tonight: Tonight) -> tuple[Numbers, Numbers]:
    """[series], the lowest and highest values of a year, without the newest."""
    panel = tonight.panel
    calendar = build_calendar(tonight.schema)
    position = panel.grid_positions
    newest = panel.origins.max(keepdims=True)
    recent = panel.observed & (position < newest)
    if tonight.schema.dated and tonight.schema.time_format.kind != STEP_KIND:
        time = calendar.times(newest)
        recent &= position >= calendar.positions(time - 373 * DAY)
        if not any(map(is_accepted, tonight.past[:HELD_RUNS])):
            recent &= position <= calendar.positions(time - 7 * DAY)
    return panel.extremes(panel.values, recent)


@limited(0.05, 0.25, "the share of series whose median moved much further than in past runs")
def check_jump(tonight: Tonight) -> Finding | None:
    """Series whose points moved much further than those of past runs."""
    compared = tonight.comparison
    if compared is None:
        return None
    usable = compared.usable
    count = _count(usable)
    usual_jump = usual_size(tonight.past, "jump", "size") or 0.0
    far = usable & (compared.jumps > max(1.0, OUTPUT_PRIORS.jump_beyond * usual_jump))
    size = None
    if count:
        size = float(np.quantile(compared.jumps[usable], OUTPUT_PRIORS.nearly_all))
    return tonight.share(far, count, usual_size(tonight.past, "jump"), size)


@limited(0.15, 0.3, "the change of the sum of all medians, if over 3 times that of past runs")
def check_total_jump(tonight: Tonight) -> Finding | None:
    """The change of the sum of all points, new series included."""
    compared = tonight.comparison
    if compared is None:
        return None
    is_new = np.array([ids in tonight.new_series for ids in tonight.ids], bool)
    added = tonight.forecasts.published[is_new][:, compared.steps, 0].sum()
    total = compared.size
    usual = usual_size(tonight.past, "total_jump")
    if usual is not None:
        usual *= OUTPUT_PRIORS.times_beyond
    return Finding(abs(compared.change.sum() + added) / total if total else None, usual)


@limited(
    0.05,
    1.0,
    "the share of series, of 20 at least, with intervals 3 times as wide as before or a third",
)
def check_width(tonight: Tonight) -> Finding | None:
    """Series whose intervals are far wider or narrower than those of the last run."""
    compared = tonight.comparison
    if compared is None:
        return None
    most = OUTPUT_PRIORS.times_beyond
    other = compared.usable & ((compared.ratio > most) | (compared.ratio < 1 / most))
    count = max(_count(compared.usable), FEW_WIDTHS)
    return tonight.share(other, count, usual_size(tonight.past, "width"))


@limited(0.005, 0.02, "the share of the last run's series that have no rows, unless they ended")
def check_series_missing(tonight: Tonight) -> Finding | None:
    """Series of the last run that have no rows, unless they ended or were replaced."""
    if tonight.earlier is None or not len(tonight.forecasts.series):
        return None
    series_before, _ = tonight.earlier
    has_ended = np.array(tonight.panel.status) == "ended"
    ended = ids_at(tonight.panel, np.flatnonzero(has_ended))
    here = {*tonight.ids, *ended}
    replaced = {row.of for row in tonight.schema.successions if row.ids in here}
    names = Counter(map("/".join, series_before))
    replaced = {name for name in replaced if names[name] == 1}  # else it is not known which
    gone = tuple(ids for ids in series_before if ids not in here and "/".join(ids) not in replaced)
    return Finding(len(gone) / len(series_before), series=gone)

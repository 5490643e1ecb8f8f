"""Check forecasts before they are written."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.calendar.spec import STEP_KIND
from forecast.calendar.zones import DAY
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.intervals.interval_ends import lower_bounds
from forecast.jobs.checks.accuracy import Earlier
from forecast.jobs.checks.limits import HELD_RUNS, Finding, is_accepted, usual_size
from forecast.jobs.record import Record
from forecast.panel.events import closed_now
from forecast.panel.panel import (
    Flags,
    Id,
    Ids,
    Numbers,
    ids_at,
)
from forecast.panel.schema import build_calendar
from forecast.settings import OutputSettings
from forecast.tables.writing import Column
from forecast.totals.sums import LAST_YEAR, Totals


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
    # fewest values of a series that is compared; and in smaller panels, series whose width
    # changed are counted as a share of so many series
    few: int = 20


OUTPUT_PRIORS = OutputPriors()


@dataclass(frozen=True)
class Output:
    """The forecasts to check, and what they are compared with.

    Attributes
    ----------
    totals : sums of the forecasts
    earlier : what the last run published
    past : the earlier runs from which checks learn what is usual
    new : ids of series that the last run did not have
    """

    forecasts: Forecasts
    fitted: Fitted
    settings: OutputSettings
    totals: Sequence[Totals] = ()
    earlier: Earlier | None = None
    past: Sequence[Record] = ()
    new: Collection[Id] = ()

    @property
    def ids(self) -> Ids:
        return ids_at(self.forecasts.panel, self.forecasts.series)

    def share(
        self, affected: Flags, count: int, usual: float | None = 0.0, size: float | None = None
    ) -> Finding:
        """A finding on the `affected` series [series], as a share of `count` series."""
        series = ids_at(self.forecasts.panel, self.forecasts.series[affected])
        return Finding(len(series) / count if count else None, usual, series, size)


def findings(output: Output) -> dict[str, Finding]:
    """The finding of each check, by the name of the check."""
    counts = hard_counts(output)
    measured = {name: Finding(float(count)) for name, count in counts.items()}
    if len(output.forecasts.series):
        measured |= _against_past(output)
        if output.earlier is not None:
            measured |= _against_last_run(output, *output.earlier)
    return measured


def hard_counts(output: Output) -> Mapping[str, int]:
    """How often each rule is broken that no forecast may break, by the name of the rule."""
    forecasts = output.forecasts
    tables = [forecasts.columns, *(totals.columns() for totals in output.totals)]
    counts = Counter[str]()
    for table in tables:
        counts.update(row_counts(table, output.settings))
    names = ("forecast", *output.settings.columns)
    columns = [np.asarray(forecasts.columns[name], float) for name in names]
    published = np.stack(columns, -1)  # [rows, 1 + columns]
    floor = output.forecasts.panel.floor()[output.forecasts.series]
    lowest = lower_bounds(output.settings, floor).repeat(forecasts.means.shape[1])
    too_low = (published < lowest[:, None]).any(1)
    counts["negative"] = _count(too_low)
    return counts


def row_counts(table: Mapping[Any, Any], settings: OutputSettings) -> Counter[str]:
    """How many numbers are not finite, and in how many rows the quantiles are out of order."""
    forecasts = {name: column for name, column in table.items() if name != LAST_YEAR}
    columns = [
        column.values if isinstance(column, Column) else column for column in forecasts.values()
    ]
    numbers = [column for column in columns if column.dtype.kind == "f"]
    not_finite = sum(_count(~np.isfinite(column)) for column in numbers)
    ascending = settings.columns
    if settings.levels or settings.point == "median":  # an interval contains its point
        ascending = {"forecast": 0.5} | ascending
    names = sorted(ascending, key=ascending.__getitem__)
    line = np.stack([np.asarray(table[name], float) for name in names])
    disordered = (np.diff(line, axis=0) < 0).any(0)
    return Counter(finite=not_finite, order=_count(disordered))


def _count(flags: Any) -> int:
    return int(flags.sum())


def _against_past(output: Output) -> dict[str, Finding]:
    """Findings on forecasts compared with the values of the year before.

    If times are numbered steps, all past values count. Values of the newest week (or the newest
    step) do not count, as they may be the ones that are wrong, until a run is accepted; and what
    lies beyond is accepted where the last run published it.
    """
    panel = output.forecasts.panel
    series = output.forecasts.series
    points = output.forecasts.published[..., 0]
    calendar = build_calendar(output.fitted.schema)
    position = panel.grid_positions
    newest = panel.origins.max(keepdims=True)
    recent = panel.observed & (position < newest)
    if output.fitted.schema.dated and output.fitted.schema.time_format.kind != STEP_KIND:
        time = calendar.times(newest)
        recent &= position >= calendar.positions(time - 373 * DAY)
        if not any(map(is_accepted, output.past[:HELD_RUNS])):
            recent &= position <= calendar.positions(time - 7 * DAY)

    lowest, highest = panel.extremes(panel.values, recent)
    largest = np.maximum(np.abs(lowest), np.abs(highest))[series]
    if output.earlier is not None:
        before = np.fmax.reduce(np.abs(output.earlier[1][..., 0]), 1)
        accepted = before > OUTPUT_PRIORS.times_beyond * largest
        largest = np.where(accepted, before, largest)
    has_enough = panel.counts[series] >= OUTPUT_PRIORS.few
    beyond = np.abs(points).max(1) > OUTPUT_PRIORS.times_beyond * largest
    out_of_bounds = has_enough & (largest > 0) & beyond
    constant = np.ptp(points, axis=1) == 0
    varied = (highest > lowest)[series]
    opens = ~closed_now(panel, output.fitted.schema, 1)[series]
    flat = constant & varied & opens & (points.shape[1] > 1)
    return {
        "bounds": output.share(out_of_bounds, len(points)),
        "flat": output.share(flat, len(points), usual_size(output.past, "flat")),
    }


def _against_last_run(output: Output, series_before: Ids, published: Numbers) -> dict[str, Finding]:
    """Findings on forecasts compared with what the last run published for the same times."""
    shared = np.isfinite(published[..., :1])
    before = np.where(shared, published, 0.0)
    now = np.where(shared, output.forecasts.published, 0.0)
    change = now[..., 0] - before[..., 0]
    width_before = (before[..., 2] - before[..., 1]).sum(1)
    width_now = (now[..., 2] - now[..., 1]).sum(1)
    panel = output.forecasts.panel
    has_enough = panel.counts[output.forecasts.series] >= OUTPUT_PRIORS.few
    has_width = has_enough & (width_before > 0)
    unit = np.where(has_width, width_before, 1.0)
    count = _count(has_width)

    jumps = np.abs(change).sum(1) / unit
    usual_jump = usual_size(output.past, "jump", "size") or 0.0
    far = has_width & (jumps > max(1.0, OUTPUT_PRIORS.jump_beyond * usual_jump))
    size = float(np.quantile(jumps[has_width], OUTPUT_PRIORS.nearly_all)) if count else None
    jump = output.share(far, count, usual_size(output.past, "jump"), size)

    ratio = width_now / unit
    other = (ratio > OUTPUT_PRIORS.times_beyond) | (ratio < 1 / OUTPUT_PRIORS.times_beyond)
    usual_width = usual_size(output.past, "width")
    width = output.share(has_width & other, max(count, OUTPUT_PRIORS.few), usual_width)

    is_new = np.array([ids in output.new for ids in output.ids], bool)
    shared_steps = shared.any((0, 2))
    added = output.forecasts.published[is_new][:, shared_steps, 0].sum()
    total = np.abs(before[..., 0]).sum()
    total_change = abs(change.sum() + added) / total if total else None
    usual_change = usual_size(output.past, "total_jump")
    if usual_change is not None:
        usual_change *= OUTPUT_PRIORS.times_beyond
    return {
        "series_missing": _check_missing_series(output, series_before),
        "jump": jump,
        "total_jump": Finding(total_change, usual_change),
        "width": width,
    }


def _check_missing_series(output: Output, series_before: Ids) -> Finding:
    has_ended = np.array(output.forecasts.panel.status) == "ended"
    ended = ids_at(output.forecasts.panel, np.flatnonzero(has_ended))
    here = {*output.ids, *ended}
    replaced = {row.of for row in output.fitted.schema.successions if row.ids in here}
    names = Counter(map("/".join, series_before))
    replaced = {name for name in replaced if names[name] == 1}  # else it is not known which
    gone = tuple(ids for ids in series_before if ids not in here and "/".join(ids) not in replaced)
    return Finding(len(gone) / len(series_before), series=gone)

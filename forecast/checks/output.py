"""Check forecasts before they are written: what each check finds, and what replaces refused series."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.baselines.shared.gaps import fill_gaps
from forecast.calendar.spec import STEPS
from forecast.calendar.zones import DAY
from forecast.changes.replay import ARRAYS, SlotLayout
from forecast.checks.accuracy import SHARES, Earlier
from forecast.checks.limits import Finding, usual_size
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, Forecasts, columns_at, numbered, tabulated
from forecast.inference.predictor import fixed_of
from forecast.intervals.bounds import bounded, lower_bounds
from forecast.ledger.record import Record
from forecast.metrics.quantiles import at_levels, normal_deviates
from forecast.panel.panel import Flags, Integers, Numbers, series_index, stacked
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import OutputSettings
from forecast.tables.writing import Column, interval_columns
from forecast.totals.sums import Totals
from forecast.windows.origins import values_at

TIMES_BEYOND = (
    3.0  # of the largest value of a year, of widths, and of the changes of the total in past runs
)
JUMP_BEYOND = 5.0  # of usual jumps of past runs, in widths of 80 % intervals
NEARLY_ALL = 0.99  # the quantile of how far series moved in a run that its record keeps
FEW = 20  # series of which those with other widths are a share, where there are fewer; values that bound forecasts
TOLERANCE = 1e-6  # of sums and values, relative to their sizes
SOURCE = "source"  # column that says where the numbers of a row are from
THIS_RUN = "forecast"  # in that column
MOST_REPLACED = 0.1  # of the series; where more are refused, the whole run is
SEASONS = 10  # of the past, that seasonal naive looks back
NUMBERS = ("quantiles", "shown", "means")  # arrays of forecasts


@dataclass(frozen=True)
class Output:
    forecasts: Forecasts
    fitted: Fitted
    schema: Schema
    settings: OutputSettings
    totals: Sequence[Totals] = ()


def findings(
    output: Output,
    earlier: Earlier | None,
    past: Sequence[Record],
    new: Collection[tuple[str, ...]] = (),
) -> dict[str, Finding]:
    """What each check finds.

    `earlier` is what the last run published, `past` are the runs that teach what is usual, and `new` the ids of series
    that the last run did not have.
    """
    found = {name: Finding(float(count)) for name, count in hard_counts(output).items()}
    if not len(output.forecasts.series):
        return found
    last = {} if earlier is None else _against_last_run(output, earlier, past, new)
    return found | _against_past(output, past) | last


def row_counts(table: Mapping[Any, Any], settings: OutputSettings) -> Counter[str]:
    """How often rows of forecasts, or of sums, break the rules that need nothing but their numbers."""
    lows, highs = (
        [f"{side}_{level:g}" for level in sorted(settings.levels)] for side in ("lo", "hi")
    )
    # intervals lie inside each other, around the point
    line = np.stack([np.asarray(table[name], float) for name in (*lows[::-1], "forecast", *highs)])
    numbers = [array for array in map(_values, table.values()) if array.dtype.kind == "f"]
    finite = sum(int((~np.isfinite(array)).sum()) for array in numbers)
    return Counter(finite=finite, order=int((np.diff(line, axis=0) < 0).any(0).sum()))


def hard_counts(output: Output) -> dict[str, int]:
    """How often each rule is broken that no forecast may break."""
    forecasts, settings, ids = output.forecasts, output.settings, output.schema.ids
    names, keys = _names(forecasts), {"level", *output.schema.keys, *output.schema.static}
    tables = [forecasts.columns, *(totals.columns() for totals in output.totals)]
    steps = Counter(_rows(forecasts.columns, ids) if ids else [()] * forecasts.rows)
    wrong = {*names, *steps} - {
        name for name in names if steps.get(name) == output.fitted.config.horizon
    }
    rows = [list(_rows(table, [name for name in table if name in keys])) for table in tables]
    counts = Counter(horizon=len(wrong))
    for table in tables:
        counts.update(row_counts(table, settings))
    counts["keys"] = repeated = sum(len(each) - len(set(each)) for each in rows)
    if repeated:  # clocks that are put back repeat an hour
        steps_ahead = np.arange(1, output.fitted.config.horizon + 1)
        times = columns_at(forecasts.panel, output.schema, forecasts.series, steps_ahead, {})
        due = list(_rows(times, output.schema.keys))
        doubled = len(due) - len(set(due))
        counts["keys"] = max(len(rows[0]) - len(set(rows[0])) - doubled, 0) if doubled else repeated
    if wrong or counts["keys"]:  # rows cannot be told apart
        return dict(counts)
    columns = [
        np.asarray(forecasts.columns[name], float)
        for name in ("forecast", *interval_columns(settings.levels))
    ]
    published = np.stack(columns, -1).reshape(*forecasts.means.shape, len(columns))
    floor = forecasts.panel.floor()[forecasts.series]
    counts["negative"] = int(
        (published < lower_bounds(settings, floor)[:, None, None]).any(2).sum()
    )
    counts["closed"] = _reopened(output, published[..., 0], floor)
    pairs = zip(output.totals, tables[1:], strict=True)
    return dict(counts) | {
        "totals": sum(_incoherent(output, totals, table, floor) for totals, table in pairs)
    }


def _names(forecasts: Forecasts) -> list[tuple[str, ...]]:
    return [forecasts.panel.ids[i] for i in forecasts.series]


def _values(column: Any) -> Any:
    return column.values if isinstance(column, Column) else column


def _rows(columns: Columns, names: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(_values(columns[name]).tolist() for name in names), strict=True)


def _reopened(output: Output, points: Numbers, floor: Numbers) -> int:
    """Rows of closed times, as the Sundays of a shop that is closed on them, with another value."""
    panel, series = output.forecasts.panel, output.forecasts.series
    if (fixed := fixed_of(output.fitted, panel)) is None:
        return 0
    slots = (panel.offsets[series] + panel.lengths[series])[:, None] + np.arange(points.shape[1])
    closed = bounded(fixed[slots][..., None], output.settings, floor)[..., 0]
    return int((np.abs(points - closed) > TOLERANCE * (1 + np.abs(closed))).sum())


def _incoherent(output: Output, totals: Totals, columns: Columns, floor: Numbers) -> int:
    """Sums whose means, over all groups of their level, are not those of the series in the same period."""
    level, wrong = _values(columns["level"]), 0
    means = bounded(output.forecasts.means[..., None], output.settings, floor)[..., 0]
    for groups in totals.groups:
        starts, end = groups.periods.edges[:-1], groups.periods.edges[-1]
        rows = [
            np.asarray(columns[name], float)[level == groups.level.name]
            for name in ("mean", "filled", "observed")
        ]
        summed, filled, observed = (part.reshape(-1, len(starts)).sum(0) for part in rows)
        expected, size = (
            np.add.reduceat(part[:, :end].sum(0), starts) for part in (means, np.abs(means))
        )
        off = np.abs(summed - observed - expected) > TOLERANCE * (size + np.abs(observed))
        wrong += int(
            (off & (filled == 0)).sum()
        )  # gaps of the past are filled by forecasts of their own
    return wrong


def _share(
    forecasts: Forecasts,
    series: Flags,
    of: int,
    usual: float | None = 0.0,
    size: float | None = None,
) -> Finding:
    named = tuple(forecasts.panel.ids[i] for i in forecasts.series[series])
    return Finding(len(named) / of if of else None, usual, named, size)


def _against_past(output: Output, past: Sequence[Record]) -> dict[str, Finding]:
    """What the forecasts are against the values of the year before, of all years where times are only steps."""
    forecasts, panel, schema = output.forecasts, output.forecasts.panel, output.schema
    series, points = forecasts.series, forecasts.published[..., 0]
    recent, calendar = panel.observed, calendar_of(schema)
    position, newest = (
        panel.positions + panel.starts[panel.series_of_slots],
        panel.origins.max(keepdims=True),
    )
    recent = recent & (
        position < newest
    )  # values of the newest week, or period, may be those that are wrong
    if schema.layout != "rows" and schema.time_format.kind != STEPS:
        year_ago, week_ago = (
            calendar.positions(calendar.times(newest) - days * DAY) for days in (373, 7)
        )
        recent &= (position >= year_ago) & (position <= week_ago)
    lowest = np.minimum.reduceat(np.where(recent, panel.values, np.inf), panel.offsets[:-1])[series]
    highest = np.maximum.reduceat(np.where(recent, panel.values, -np.inf), panel.offsets[:-1])[
        series
    ]
    largest = np.maximum(np.abs(lowest), np.abs(highest))
    enough = np.add.reduceat(panel.observed.astype(np.int64), panel.offsets[:-1])[series] >= FEW
    beyond = enough & (largest > 0) & (np.abs(points).max(1) > TIMES_BEYOND * largest)
    constant = (np.ptp(points, axis=1) == 0) & (highest > lowest) & (points.shape[1] > 1)
    usual, count = usual_size(past, "flat"), len(points)
    return {
        "bounds": _share(forecasts, beyond, count),
        "flat": _share(forecasts, constant, count, usual),
    }


def _against_last_run(
    output: Output, earlier: Earlier, past: Sequence[Record], new: Collection[tuple[str, ...]]
) -> dict[str, Finding]:
    """What the forecasts are against those of the last run for the same times."""
    forecasts, panel, (series, before) = output.forecasts, output.forecasts.panel, earlier
    here = {
        *_names(forecasts),
        *(ids for ids, word in zip(panel.ids, panel.status, strict=True) if word == "ended"),
    }
    gone = tuple(ids for ids in series if ids not in here)
    both = np.isfinite(before[..., 0])
    now, before = (np.where(both[..., None], part, 0.0) for part in (forecasts.published, before))
    width, wide = ((part[..., 2] - part[..., 1]).sum(1) for part in (before, now))
    has = width > 0
    unit, count = np.where(has, width, 1.0), int(has.sum())
    jumps, ratio = np.abs(now - before)[..., 0].sum(1) / unit, wide / unit
    usual_jump = usual_size(past, "jump", "size")
    far = has & (jumps > max(1.0, JUMP_BEYOND * (usual_jump or 0.0)))
    size = float(np.quantile(jumps[has], NEARLY_ALL)) if count else None
    other = has & ((ratio > TIMES_BEYOND) | (ratio < 1 / TIMES_BEYOND))

    is_new = np.array([ids in new for ids in _names(forecasts)], bool)
    added = forecasts.published[is_new][:, both.any(0), 0].sum()
    total = np.abs(before[..., 0]).sum()
    change = float(abs((now - before)[..., 0].sum() + added))
    usual_change = usual_size(past, "total_jump")
    return {
        "series_missing": Finding(len(gone) / len(series), 0.0, gone),
        "jump": _share(forecasts, far, count, usual_size(past, "jump"), size),
        "total_jump": Finding(
            share=change / total if total else None,
            usual=None if usual_change is None else TIMES_BEYOND * usual_change,
        ),
        "width": _share(forecasts, other, max(count, FEW), usual_size(past, "width")),
    }


def with_gone_series(
    forecasts: Forecasts, fitted: Fitted, gone: Sequence[tuple[str, ...]]
) -> Forecasts | None:
    """Forecasts with room for series of the fit that the table lacks; None where the fit does not know one of them."""
    panel, index = forecasts.panel, series_index(fitted.history.ids, tuple(gone)) - 1
    if not len(index) or index.min() < 0 or set(gone) & set(panel.ids):
        return None if len(index) else forecasts
    ended = fitted.history.select(np.sort(index))
    gap = np.maximum(panel.origins.max() - ended.origins, 0)  # up to the newest time
    layout = SlotLayout(ended.ids, ended.starts, ended.lengths + gap, panel.ahead)
    arrays: dict[str, Any] = layout.arrays(dict.fromkeys(ARRAYS, (ended,)))
    arrays |= {
        "offsets": layout.offsets,
        "spread": None,
        "lowest": ended.lowest_seen(),
        "counted": ended.counts(),
    }
    longer = replace(ended, ahead=panel.ahead, status=("gone",) * len(ended), **arrays)
    parts = ((name, getattr(forecasts, name)) for name in NUMBERS)
    room: dict[str, Any] = {
        name: np.pad(part, [(0, len(index)), *[(0, 0)] * (part.ndim - 1)]) for name, part in parts
    }
    series = np.append(forecasts.series, len(panel) + np.arange(len(index)))
    skipped = {ids: why for ids, why in forecasts.skipped.items() if ids not in gone}
    joined = stacked([replace(panel, spread=None), longer])
    return replace(forecasts, panel=joined, series=series, skipped=skipped, **room)


def with_replaced_series(
    forecasts: Forecasts, fitted: Fitted, output: OutputSettings, series: Flags, earlier: Numbers
) -> tuple[Forecasts, NDArray[np.object_]]:
    """Forecasts in which some `series` [series] have the numbers of the last run, and where each row is from [rows].

    `earlier` [series, horizon, 5] is what the last run published for the same times, NaN where it has nothing.
    """
    chosen, published = np.flatnonzero(series), earlier[series]
    known = np.isfinite(published[..., 0])
    naive = _naive(forecasts, fitted, forecasts.series[chosen], published[..., 0])
    numbers = np.where(known[..., None], published, naive)
    quantiles = at_levels(
        numbers[..., np.argsort(SHARES)], tuple(sorted(SHARES)), fitted.config.levels
    )
    parts: dict[str, Any] = {name: getattr(forecasts, name).copy() for name in NUMBERS}
    parts["quantiles"][chosen] = parts["shown"][chosen] = quantiles
    parts["means"][chosen] = numbers[..., 0]
    source = np.full(forecasts.means.shape, THIS_RUN, object)
    source[chosen] = np.where(known, "last run", "seasonal naive")
    return tabulated(
        numbered(replace(forecasts, **parts), fitted, output), fitted, output
    ), source.ravel()


def _naive(forecasts: Forecasts, fitted: Fitted, series: Integers, medians: Numbers) -> Numbers:
    """Seasonal naive where `medians` [series, horizon] are NaN, with its error at the fit, [series, horizon, 5]."""
    panel, season, horizon = forecasts.panel, fitted.config.table.shortest_season, medians.shape[1]
    back = SEASONS * season
    past = values_at(panel, series, panel.origins[series] + 1 - back, back)
    values = np.concatenate([past, medians], 1)
    filled = fill_gaps(np.nan_to_num(values), np.isfinite(values), season)[:, -horizon:, None]
    index = series_index(fitted.history.ids, panel.ids)[series]
    # the standard deviation of a normal distribution with this mean absolute deviation
    deviation = np.sqrt(np.pi / 2) * np.nan_to_num(np.r_[np.nan, fitted.naive_error][index])
    return np.asarray(filled + deviation[:, None, None] * normal_deviates(SHARES))

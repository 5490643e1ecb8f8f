"""Check forecasts before they are written: what may never be wrong, and what looks unlike the runs before."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.calendar.spec import STEPS
from forecast.calendar.zones import DAY
from forecast.checks.limits import OF_SERIES, OutputCheckSettings
from forecast.evaluation.quantiles import bounded, lower_bounds
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, Forecasts, columns_at
from forecast.inference.predictor import fixed_of
from forecast.ledger.accuracy import Earlier
from forecast.panel.naming import series_names
from forecast.panel.panel import Flags, Numbers
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import OutputSettings
from forecast.tables.writing import Column, interval_columns
from forecast.totals.sums import Totals

MIN_RUNS = 20  # past runs that comparisons with them need
TIMES_BEYOND = 3.0  # of the largest value of a year, of widths, and of the changes of the total in past runs
MOVES_BEYOND = 2.0  # of the largest moves of past runs; a move is in widths of 80 % intervals
NEARLY_ALL = 0.99  # the quantile of how far series moved in a run that its record keeps
TOLERANCE = 1e-6  # of sums and values, relative to their sizes

HARD = {
    "finite": "numbers that are not finite",
    "horizon": "series without their whole horizon",
    "keys": "rows with the ids and time of another row",
    "order": "rows whose quantiles are not in order",
    "negative": "rows below 0 of series that never were",
    "closed": "rows of closed times with another value than they always have",
    "totals": "sums that are not those of the series",
}
ABOUT = OutputCheckSettings.model_fields
Statistics = Mapping[str, Mapping[str, float]]  # of the checks of a run, as its record has them


@dataclass(frozen=True)
class Finding:
    """What a check found."""

    share: float | None = None  # of series, or a change; of rules a count; None where nothing can be compared
    usual: float | None = 0.0  # what past runs had: no more is no alarm; None while too few have run
    series: tuple[tuple[str, ...], ...] = ()
    size: float | None = None  # what later runs compare their moves with

    def statistic(self) -> dict[str, float]:
        """What the record of the run keeps."""
        numbers = {"share": self.share, "usual": self.usual, "size": self.size}
        return {name: round(float(value), 6) for name, value in numbers.items() if value is not None}


@dataclass(frozen=True)
class Output:
    """What a run is about to write."""

    forecasts: Forecasts
    fitted: Fitted
    schema: Schema
    settings: OutputSettings
    totals: Sequence[Totals] = ()


def findings(output: Output, earlier: Earlier | None, past: Sequence[Statistics]) -> dict[str, Finding]:
    """What each check finds; `earlier` is what the last run published, `past` are the statistics of runs before."""
    found = {name: Finding(float(count)) for name, count in hard_counts(output).items()}
    found |= _own(output, past) if len(output.forecasts.series) else {}
    return found | (_against(output, earlier, past) if earlier is not None and len(output.forecasts.series) else {})


def outcome(name: str, statistic: Mapping[str, float], limits: OutputCheckSettings) -> str:
    """What the statistic of a check means: error, warn, or nothing."""
    share, usual, limit = statistic.get("share"), statistic.get("usual"), getattr(limits, name, None)
    if name in HARD:
        return "error" if share else ""
    if share is None or usual is None or limit is None:
        return ""
    return "error" if share > max(limit.error, usual) else "warn" if share > max(limit.warn, usual) else ""


def blocks(name: str, limits: OutputCheckSettings) -> bool:
    """Whether an error of a check keeps the whole run from being published."""
    return name in HARD or limits.on_error == "block" or (limits.on_error == "fallback" and name not in OF_SERIES)


def statistic_text(name: str, statistic: Mapping[str, float], series: Sequence[tuple[str, ...]] = ()) -> str:
    """The statistic of a check for people, with the series that it names: jump: 12.0 % is the share of series ..."""
    share, named = statistic["share"], f" ({series_names(series)})" if series else ""
    percent = f"{100 * share:,.0f}" if share > 1 else f"{100 * share:.3g}"
    text = f"{share:,.0f} {HARD[name]}" if name in HARD else f"{percent} % is {ABOUT[name].description}"
    return f"{name}: {text}{named}"


def hard_counts(output: Output) -> dict[str, int]:
    """How often each rule is broken that no forecast may break."""
    forecasts, settings, ids = output.forecasts, output.settings, output.schema.ids
    names, keys = _names(forecasts), {"level", *output.schema.keys}
    tables = [forecasts.columns, *(totals.columns() for totals in output.totals)]
    steps = Counter(_rows(forecasts.columns, ids) if ids else [()] * forecasts.rows)
    wrong = {*names, *steps} - {name for name in names if steps.get(name) == output.fitted.config.horizon}
    rows = [list(_rows(table, [name for name in table if name in keys])) for table in tables]
    counts = {"finite": sum(map(_not_finite, tables)), "horizon": len(wrong)}
    counts["keys"] = repeated = sum(len(each) - len(set(each)) for each in rows)
    if repeated:  # clocks that are put back repeat an hour
        steps_ahead = np.arange(1, output.fitted.config.horizon + 1)
        times = columns_at(forecasts.panel, output.schema, forecasts.series, steps_ahead, {})
        due = list(_rows(times, output.schema.keys))
        doubled = len(due) - len(set(due))
        counts["keys"] = max(len(rows[0]) - len(set(rows[0])) - doubled, 0) if doubled else repeated
    counts["order"] = sum(_unordered(table, settings.levels) for table in tables)
    if wrong or counts["keys"]:  # rows cannot be told apart
        return counts
    columns = [np.asarray(forecasts.columns[name], float) for name in ("forecast", *interval_columns(settings.levels))]
    numbers = np.stack(columns, -1).reshape(*forecasts.means.shape, len(columns))
    floor = forecasts.panel.floor()[forecasts.series]
    counts["negative"] = int((numbers < lower_bounds(settings, floor)[:, None, None]).any(2).sum())
    counts["closed"] = _reopened(output, numbers[..., 0], floor)
    pairs = zip(output.totals, tables[1:], strict=True)
    return counts | {"totals": sum(_incoherent(output, totals, table, floor) for totals, table in pairs)}


def _names(forecasts: Forecasts) -> list[tuple[str, ...]]:
    return [forecasts.panel.ids[i] for i in forecasts.series]


def _values(column: Any) -> Any:
    return column.values if isinstance(column, Column) else column


def _rows(columns: Columns, names: Iterable[str]) -> Iterable[tuple[Any, ...]]:
    return zip(*(_values(columns[name]).tolist() for name in names), strict=True)


def _not_finite(columns: Columns) -> int:
    return sum(int((~np.isfinite(array)).sum()) for array in map(_values, columns.values()) if array.dtype.kind == "f")


def _unordered(columns: Columns, levels: tuple[float, ...]) -> int:
    """Rows whose intervals do not lie inside each other, around the point."""
    lows, highs = ([f"{side}_{level:g}" for level in sorted(levels)] for side in ("lo", "hi"))
    line = np.stack([np.asarray(columns[name], float) for name in (*lows[::-1], "forecast", *highs)])
    return int((np.diff(line, axis=0) < 0).any(0).sum())


def _reopened(output: Output, points: Numbers, floor: Numbers) -> int:
    """Rows of closed times, as the Sundays of a shop that is closed on them, with another value."""
    panel, series = output.forecasts.panel, output.forecasts.series
    if (fixed := fixed_of(output.fitted, panel)) is None:
        return 0
    slots = (panel.offsets[series] + panel.lengths[series])[:, None] + np.arange(points.shape[1])
    own = bounded(fixed[slots][..., None], output.settings, floor)[..., 0]
    return int((np.abs(points - own) > TOLERANCE * (1 + np.abs(own))).sum())


def _incoherent(output: Output, totals: Totals, columns: Columns, floor: Numbers) -> int:
    """Sums whose means, over all groups of their level, are not those of the series in the same period."""
    level, wrong = _values(columns["level"]), 0
    means = bounded(output.forecasts.means[..., None], output.settings, floor)[..., 0]
    for groups in totals.groups:
        starts, end = groups.periods.edges[:-1], groups.periods.edges[-1]
        own, filled, observed = (
            np.asarray(columns[name], float)[level == groups.level.name].reshape(-1, len(starts)).sum(0)
            for name in ("mean", "filled", "observed")
        )
        wanted, size = (np.add.reduceat(part[:, :end].sum(0), starts) for part in (means, np.abs(means)))
        off = np.abs(own - observed - wanted) > TOLERANCE * (size + np.abs(observed))
        wrong += int((off & (filled == 0)).sum())  # gaps of the past are filled by forecasts of their own
    return wrong


def _usual(past: Sequence[Statistics], name: str, what: str = "share") -> float | None:
    """The largest statistic of past runs; None before there are enough of them."""
    known = [run[name][what] for run in past if what in run.get(name, {})]
    return max(known) if len(known) >= MIN_RUNS else None


def _share(
    forecasts: Forecasts, series: Flags, of: int, usual: float | None = 0.0, size: float | None = None
) -> Finding:
    """A finding on [series], a share of so many."""
    named = tuple(forecasts.panel.ids[i] for i in forecasts.series[series])
    return Finding(len(named) / of if of else None, usual, named, size)


def _own(output: Output, past: Sequence[Statistics]) -> dict[str, Finding]:
    """What the forecasts are against the values of the year before, of all years where times are only steps."""
    forecasts, panel, schema = output.forecasts, output.forecasts.panel, output.schema
    recent, calendar, points = panel.observed, calendar_of(schema), forecasts.published[..., 0]
    position, newest = panel.positions + panel.starts[panel.series_of_slots], panel.origins.max(keepdims=True)
    recent = recent & (position < newest)  # values of the newest week, or period, may be those that are wrong
    if schema.layout != "rows" and schema.time_format.kind != STEPS:
        year_ago, week_ago = (calendar.positions(calendar.times(newest) - days * DAY) for days in (373, 7))
        recent &= (position >= year_ago) & (position <= week_ago)
    lowest = np.minimum.reduceat(np.where(recent, panel.values, np.inf), panel.offsets[:-1])[forecasts.series]
    highest = np.maximum.reduceat(np.where(recent, panel.values, -np.inf), panel.offsets[:-1])[forecasts.series]
    largest = np.maximum(np.abs(lowest), np.abs(highest))
    beyond = (largest > 0) & (np.abs(points).max(1) > TIMES_BEYOND * largest)
    constant = (np.ptp(points, axis=1) == 0) & (highest > lowest) & (points.shape[1] > 1)
    usual, count = _usual(past, "flat"), len(points)
    return {"bounds": _share(forecasts, beyond, count), "flat": _share(forecasts, constant, count, usual)}


def _against(output: Output, earlier: Earlier, past: Sequence[Statistics]) -> dict[str, Finding]:
    """What the forecasts are against those of the last run for the same times."""
    forecasts, panel, (series, before) = output.forecasts, output.forecasts.panel, earlier
    here = {*_names(forecasts), *(ids for ids, word in zip(panel.ids, panel.status, strict=True) if word == "ended")}
    gone = tuple(ids for ids in series if ids not in here)
    both = np.isfinite(before[..., 0])
    now, before = (np.where(both[..., None], part, 0.0) for part in (forecasts.published, before))
    width, wide = ((part[..., 2] - part[..., 1]).sum(1) for part in (before, now))
    has = width > 0
    unit, count = np.where(has, width, 1.0), int(has.sum())
    moves, ratio = np.abs(now - before)[..., 0].sum(1) / unit, wide / unit
    largest, total = _usual(past, "jump", "size"), np.abs(before[..., 0]).sum()
    far = has & (moves > max(1.0, MOVES_BEYOND * (largest or 0.0)))
    size = float(np.quantile(moves[has], NEARLY_ALL)) if count else None
    change, most = float(abs((now - before)[..., 0].sum())), _usual(past, "total_jump")
    other = has & ((ratio > TIMES_BEYOND) | (ratio < 1 / TIMES_BEYOND))
    return {
        "series_missing": Finding(len(gone) / len(series), 0.0, gone),
        "jump": _share(forecasts, far, count, _usual(past, "jump"), size),
        "total_jump": Finding(change / total if total else None, None if most is None else TIMES_BEYOND * most),
        "width": _share(forecasts, other, count, _usual(past, "width")),
    }

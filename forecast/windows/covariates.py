"""Make covariates ready for a network: numbers standardised, categories as codes, no blanks."""

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.panel.panel import Floats, Integers, Numbers, Panel
from forecast.panel.schema import Names, Schema
from forecast.panel.vintages import Vintages
from forecast.settings import Stored
from forecast.windows.windows import Columns

NOISE = 1e-12  # a deviation below this share of the mean is rounding error

Pairs = tuple[tuple[float, float], ...]


class Statistics(Stored):
    """Mean and deviation of each numeric covariate, in the order of the panel's columns; codes have (0, 1)."""

    known: Pairs = ()
    past: Pairs = ()
    static: Pairs = ()


def fit_statistics(panel: Panel, schema: Schema, before: Integers) -> Statistics:
    """Statistics over the slots of each series before `before` [series]: nothing held out, nothing of the future."""
    used, known = panel.before(before), panel.known
    if panel.vintages is not None:  # as it was known then
        known = panel.vintages.at(known, np.repeat(panel.starts + before - 1, np.diff(panel.offsets)))

    def of(values: Numbers, names: Names) -> Pairs:
        columns = zip(names, values.T, strict=True)
        return tuple((0.0, 1.0) if name in schema.categories else _mean_and_deviation(v) for name, v in columns)

    past, static = of(panel.past[used], schema.past), of(panel.static, schema.static)
    return Statistics(known=of(known[used], schema.known), past=past, static=static)


def make_columns(panel: Panel, schema: Schema, statistics: Statistics, calendar: Calendar) -> Columns:
    """Covariates of a panel, standardised; a blank becomes the mean, an unknown category code 0."""
    first = int(panel.starts.min())
    rows, keys, span = panel.known, np.zeros(0, np.int64), 1
    if panel.vintages is not None:
        rows, keys, span = _with_vintages(panel.known, panel.vintages, first - 1)
    known, known_codes = _split(rows, schema.known, schema, statistics.known)
    past, past_codes = _split(panel.past, schema.past, schema, statistics.past)
    static, static_codes = _split(panel.static, schema.static, schema, statistics.static)
    last = int((panel.origins + panel.ahead).max()) if calendar.feature_names else first
    features = calendar.features(np.arange(first, last + 1))
    return Columns(known, past, static, known_codes, past_codes, static_codes, features, first, keys, span)


def _with_vintages(known: Numbers, vintages: Vintages, before: int) -> tuple[Numbers, Integers, int]:
    """Known columns, blank where they have vintages, then a row for each slot and origin at which a value became known.

    Also the keys of these rows, as in `Columns`; origins count from the grid position after `before`.
    """
    since, blank = np.maximum(vintages.available, before) - before, vintages.blanked(known)
    span = int(since.max(initial=0)) + 2
    keys, row = np.unique(vintages.slot * span + since, return_inverse=True)
    slot = keys // span
    rows = blank[slot]
    rows[row, vintages.column] = vintages.value
    # a cell that stays as it was repeats the row before it
    last = np.maximum.accumulate(np.where(np.isnan(rows), 0, np.arange(len(keys))[:, None]), 0)
    rows = np.where(slot[last] == slot[:, None], np.take_along_axis(rows, last, 0), np.nan)
    return np.concatenate([blank, rows]), keys, span


def category_sizes(names: Names, schema: Schema) -> tuple[int, ...]:
    """Number of codes, the unknown one included, of each categorical column among `names`."""
    return tuple(1 + len(schema.categories[name]) for name in names if name in schema.categories)


def numeric_count(names: Names, schema: Schema) -> int:
    """How many of `names` are numbers."""
    return sum(name not in schema.categories for name in names)


def _split(values: Numbers, names: Names, schema: Schema, statistics: Pairs) -> tuple[Floats, Integers]:
    coded = np.array([name in schema.categories for name in names], dtype=bool)
    mean, deviation = np.array(statistics, np.float64).reshape(-1, 2).T
    numbers = (values[:, ~coded] - mean[~coded]) / deviation[~coded]
    codes = np.nan_to_num(values[:, coded]).astype(np.int64)
    # a network extrapolates wildly from numbers far outside the range of the fit
    return np.clip(np.nan_to_num(numbers), -10, 10).astype(np.float32), codes


def _mean_and_deviation(values: Numbers) -> tuple[float, float]:
    seen = values[np.isfinite(values)]
    if not len(seen):
        return 0.0, 1.0
    deviation = float(seen.std())
    return float(seen.mean()), deviation if deviation > NOISE * max(1.0, abs(float(seen.mean()))) else 1.0

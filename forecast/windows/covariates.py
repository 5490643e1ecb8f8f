"""Make covariates ready for a network: numbers standardised, categories as codes, no blanks."""

import numpy as np

from forecast.calendar.calendar import Calendar
from forecast.panel.panel import Floats, Integers, Numbers, Panel
from forecast.panel.schema import Names, Schema
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
    used = panel.before(before)

    def of(values: Numbers, names: Names) -> Pairs:
        columns = zip(names, values.T, strict=True)
        return tuple((0.0, 1.0) if name in schema.categories else _mean_and_deviation(v) for name, v in columns)

    known, past = of(panel.known[used], schema.known), of(panel.past[used], schema.past)
    return Statistics(known=known, past=past, static=of(panel.static, schema.static))


def make_columns(panel: Panel, schema: Schema, statistics: Statistics, calendar: Calendar) -> Columns:
    """Covariates of a panel, standardised; a blank becomes the mean, an unknown category code 0."""
    known, known_codes = _split(panel.known, schema.known, schema, statistics.known)
    past, past_codes = _split(panel.past, schema.past, schema, statistics.past)
    static, static_codes = _split(panel.static, schema.static, schema, statistics.static)
    first = int(panel.starts.min())
    last = int((panel.origins + panel.ahead).max()) if calendar.feature_names else first
    features = calendar.features(np.arange(first, last + 1))
    return Columns(known, past, static, known_codes, past_codes, static_codes, features, first)


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

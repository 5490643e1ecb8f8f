"""Move the medians of series so that they add up to those of their sums."""

from itertools import pairwise

import numpy as np

from forecast.evaluation.quantiles import lower_bounds
from forecast.inference.forecasting import Columns, Forecasts
from forecast.panel.panel import Numbers
from forecast.tables.writing import interval_columns
from forecast.totals.levels import keys_of
from forecast.totals.sums import Totals, significant

ROUNDS = 20  # in which what a bound keeps from some cells goes to the others


def allocated(forecasts: Forecasts, totals: Totals) -> Columns:
    """A table of forecasts whose medians add up to the sums of the only level; intervals grow where they must.

    What a group has too little or too much in a period is shared among its cells there by their medians, or by their
    means where all medians are 0. Values of the past, missing ones too, stay as they are.
    """
    groups, output, panel, series = totals.groups[0], totals.output, forecasts.panel, forecasts.series
    floor = lower_bounds(output, panel.floor()[series])
    high = np.inf if output.max is None else output.max
    if output.integer:
        floor, high = np.ceil(floor), np.floor(high)
    found = np.asarray(forecasts.columns["forecast"], np.float64).reshape(len(series), -1)
    rows: dict[tuple[str, ...], list[int]] = {}
    for row, key in enumerate(keys_of(panel, totals.schema, series, groups.level.by)):
        rows.setdefault(key, []).append(row)
    for key, gaps in totals.gaps().items():
        own = np.array(rows[key])
        for gap, (start, end) in zip(gaps, pairwise(groups.periods.edges), strict=True):
            part, means = found[own, start:end], np.abs(forecasts.means[own, start:end])
            sizes = np.abs(part) if part.any() else means if means.any() else np.ones_like(means)
            part = _shared(part, float(gap), sizes, floor[own, None], high)
            found[own, start:end] = _whole(part) if output.integer else significant(part)
    medians = found.ravel().astype(np.asarray(forecasts.columns["forecast"]).dtype)
    columns = forecasts.columns | {"forecast": medians}
    for name in interval_columns(output.levels):
        further = np.minimum if name.startswith("lo") else np.maximum
        columns[name] = further(np.asarray(columns[name]), medians)
    return columns


def _shared(values: Numbers, gap: float, sizes: Numbers, low: Numbers, high: float) -> Numbers:
    """Values that are larger by `gap` in all, each by its share of the sizes, within bounds."""
    for _ in range(ROUNDS):
        shares = np.where(values < high if gap > 0 else values > low, sizes, 0.0)
        if not shares.any():
            break
        nearer = np.clip(values + gap * shares / shares.sum(), low, high)
        gap -= float((nearer - values).sum())
        values = nearer
    return values


def _whole(values: Numbers) -> Numbers:
    """Whole numbers with the same sum: those with the largest remainders are the next ones above."""
    below = np.floor(values + 1e-9)
    left = round(float((values - below).sum()))
    order = np.argsort((below - values).ravel(), kind="stable")
    below.ravel()[order[:left]] += 1
    return below

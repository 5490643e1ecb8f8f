"""Baselines that forecast along a series, with columns known in advance: when they join, and their forecasts."""

import logging

import numpy as np

from forecast.baselines import baseline_method, default_baselines
from forecast.baselines.shared.method import Along
from forecast.errors import Setting
from forecast.panel.panel import Integers, Numbers
from forecast.threads import side_by_side
from forecast.windows.inputs import Inputs
from forecast.windows.windows import WindowIndex

log = logging.getLogger("forecast")

LONG = 24  # steps of a season from which on they join without known columns, too
MIN_SEASONS = 15  # of the longest series, fewer of which say little
AFFORDABLE = 8e8  # operations for each window on which slow baselines are compared, some seconds in all
REFITS = 20  # of a series for windows that are compared, at most
MOST_CATEGORIES = 32  # of a known column, one with more of which is left out
NEWEST = 12  # windows of the past of a series that tell errors: older ones hardly count


def joining(names: tuple[str, ...], inputs: Inputs, compared: int) -> tuple[str, ...]:
    """The baselines among the default ones that are worth their time; all, where others were asked for.

    Slow ones are compared on `compared` windows at most.
    """
    if not set(default_baselines()) <= set(names) or not len(inputs.panel):
        return names
    panel, season = inputs.panel, inputs.lags[0] if inputs.lags else 1
    columns = known_columns(inputs, np.zeros(1, np.int64), 0).shape[1]
    gains = season > 1 and (columns > 0 or season >= LONG) and panel.lengths.max() >= MIN_SEASONS * season

    def joins(name: str) -> bool:
        cost = baseline_method(name).cost
        if cost is None or not gains:
            return cost is None
        operations = cost(float(panel.lengths.mean()), columns, inputs.horizon, season)
        affordable = operations * (len(panel) + min(2 * compared, REFITS * len(panel))) <= AFFORDABLE * compared
        if not affordable:
            log.info("%s would take long and is left out, unless a fit names it in %s", name, Setting("baselines"))
        return affordable

    return tuple(filter(joins, names))


def along_forecasts(inputs: Inputs, windows: WindowIndex, along: Along) -> Numbers:
    """Points of windows, [windows, horizon], series by series."""
    panel, (series, position) = inputs.past_panel(closed=True), windows
    points = np.zeros((len(series), inputs.horizon))

    def fill(rows: Integers) -> None:
        each, ends = series[rows[0]], position[rows]
        first, start = panel.offsets[each], int(panel.starts[each])
        past = slice(first, first + ends.max())
        known = known_columns(inputs, np.arange(first, past.stop + inputs.horizon), start + int(ends.max()) - 1)
        points[rows] = along(panel.values[past], panel.observed[past], known, start, ends, inputs.horizon, inputs.lags)

    # what was known in advance of a step may differ between origins
    apart = series if panel.vintages is None else np.arange(len(series))
    side_by_side(fill, [np.flatnonzero(apart == each) for each in np.unique(apart)])
    return points


def known_columns(inputs: Inputs, slots: Integers, origin: int) -> Numbers:
    """Columns known in advance, as they were at an origin, [slots, columns]; each category is a column of 0 and 1."""
    panel, categories, columns = inputs.panel, inputs.schema.categories, [np.zeros((len(slots), 0))]
    known = panel.known[slots]
    if panel.vintages is not None:
        known = panel.vintages[slots].at(known, np.full(len(slots), origin))
    for name, values in zip(inputs.schema.known, known.T, strict=True):
        if name not in categories:
            columns.append(values[:, None])
        elif len(categories[name]) <= MOST_CATEGORIES:
            columns.append((values[:, None] == np.arange(1, len(categories[name]) + 1)).astype(np.float64))
    return np.concatenate(columns, 1)

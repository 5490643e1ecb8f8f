"""Paths of all series: what could come together, with the intervals of each value and the dependence of past errors."""

from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np

from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, Forecasts, columns_at
from forecast.intervals.interval_ends import bounded
from forecast.metrics.quantiles import normal_deviates
from forecast.panel.panel import Integers, Numbers, series_index
from forecast.settings import OutputSettings

AT_ONCE = 1 << 22  # values
SEED = 0


def path_columns(
    forecasts: Forecasts, fitted: Fitted, output: OutputSettings, count: int
) -> Iterator[Columns]:
    """So many paths of each series, as columns of ids, time, path from 1 on, and value; part by part.

    A path draws a weight for each window of the past, the same for all series and steps. The normal score of a value is
    the sum of its errors in these windows, by their weights, and its value the quantile at that score.
    """
    panel, deviates, horizon = (
        forecasts.panel,
        normal_deviates(fitted.config.levels),
        forecasts.shown.shape[1],
    )
    draw, index = _scores(fitted, count), series_index(fitted.history.ids, panel.ids)
    steps, at_once = (
        np.repeat(np.arange(1, horizon + 1), count),
        max(1, AT_ONCE // (count * horizon)),
    )
    for start in range(0, len(forecasts.series), at_once):
        series = forecasts.series[start : start + at_once]
        floor, seeds = panel.floor()[series], [crc32(repr(panel.ids[i]).encode()) for i in series]
        quantiles = bounded(forecasts.shown[start : start + at_once], output, floor)
        scores = np.moveaxis(
            draw(index[series], seeds)[..., :horizon], 0, 2
        )  # [series, horizon, paths]
        right = np.clip(np.searchsorted(deviates, scores), 1, len(deviates) - 1)
        share = np.clip(
            (scores - deviates[right - 1]) / (deviates[right] - deviates[right - 1]), 0.0, 1.0
        )
        below, above = (np.take_along_axis(quantiles, index, -1) for index in (right - 1, right))
        values = bounded(below + share * (above - below), output, floor).reshape(len(series), -1)
        paths = np.tile(np.arange(1, count + 1), (len(series), horizon))
        yield columns_at(
            panel, fitted.config.table, series, steps, {"path": paths, "value": values}
        )


def _scores(fitted: Fitted, count: int) -> Callable[[Integers, list[int]], Numbers]:
    """What draws normal scores of series, [paths, series, horizon], by index and with a seed of its own for each."""
    joint, random, horizon = fitted.joint, np.random.default_rng(SEED), fitted.config.horizon
    common = random.normal(size=(count, horizon))
    if joint is None or not len(joint.values):  # as wide as if all erred alike
        return lambda index, _: np.broadcast_to(common[:, None, :1], (count, len(index), horizon))
    weights, share = random.normal(size=(count, len(joint.values))), joint.series_correlation
    values, vectors = np.linalg.eigh(joint.step_correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))  # [steps, factors]
    root /= np.sqrt((root**2).sum(1, keepdims=True))

    def draw(index: Integers, seeds: list[int]) -> Numbers:
        single = np.stack(
            [np.random.default_rng((SEED, seed)).normal(size=common.shape) for seed in seeds], 1
        )
        usual = (np.sqrt(share) * common[:, None] + np.sqrt(1 - share) * single) @ root.T
        errors = joint.at(index, horizon)[0]
        size = np.sqrt((errors**2).sum(0))
        known = np.where(size > 0, joint.data_weight, 0.0)
        found = np.tensordot(weights, errors / np.where(size > 0, size, 1.0), 1)
        return np.asarray(np.sqrt(known) * found + np.sqrt(1 - known) * usual)

    return draw

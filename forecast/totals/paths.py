"""Sample paths: joint futures of all series, with the dependence of past errors.

At each step the values of the paths are distributed as its quantiles say.
"""

from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np

from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Columns, Forecasts, columns_at
from forecast.intervals.interval_ends import apply_bounds
from forecast.metrics.quantiles import normal_deviates
from forecast.panel.panel import Integers, Numbers, series_index
from forecast.settings import OutputSettings

DRAWN_AT_ONCE = 1 << 22  # values that are drawn at once
SEED = 0


def path_columns(
    forecasts: Forecasts, fitted: Fitted, output: OutputSettings, count: int
) -> Iterator[Columns]:
    """`count` paths of each series, part by part, as columns of ids, time, path and value.

    Paths are numbered from 1. A path draws a weight for each past window, which is the same for all
    series and steps. The weighted sum of the past errors of a series and step is the normal score
    of its value, and the value is the quantile at that score.
    """
    panel = forecasts.panel
    horizon = forecasts.shown.shape[1]
    deviates = normal_deviates(fitted.config.levels)
    draw_scores = _scores(fitted, count)
    index = series_index(fitted.history.ids, panel.ids)
    steps = np.repeat(np.arange(1, horizon + 1), count)
    one_to_count = np.arange(1, count + 1)
    at_once = max(1, DRAWN_AT_ONCE // (count * horizon))
    for start in range(0, len(forecasts.series), at_once):
        series = forecasts.series[start : start + at_once]
        floor = panel.floor()[series]
        quantiles = apply_bounds(forecasts.shown[start : start + at_once], output, floor)
        names = [repr(panel.ids[i]) for i in series]
        seeds = [crc32(name.encode()) for name in names]
        scores = draw_scores(index[series], seeds)[..., :horizon]
        scores = np.moveaxis(scores, 0, 2)  # [series, horizon, paths]

        right = np.searchsorted(deviates, scores)
        right = np.clip(right, 1, len(deviates) - 1)
        left = right - 1
        share = (scores - deviates[left]) / (deviates[right] - deviates[left])
        below = np.take_along_axis(quantiles, left, -1)
        above = np.take_along_axis(quantiles, right, -1)
        values = below + np.clip(share, 0.0, 1.0) * (above - below)
        values = apply_bounds(values, output, floor).reshape(len(series), -1)
        path = np.tile(one_to_count, (len(series), horizon))
        numbers = {"path": path, "value": values}
        yield columns_at(panel, fitted.schema, series, steps, numbers)


def _scores(fitted: Fitted, count: int) -> Callable[[Integers, list[int]], Numbers]:
    """A function that draws normal scores of series, [paths, series, horizon].

    Its arguments are the indices of series and a seed for each of them.
    """
    joint = fitted.joint
    horizon = fitted.config.horizon
    random = np.random.default_rng(SEED)
    common = random.normal(size=(count, horizon))
    if joint is None or not len(joint.values):  # as if all errors were the same
        same = common[:, None, :1]
        return lambda index, _: np.broadcast_to(same, (count, len(index), horizon))
    weights = random.normal(size=(count, len(joint.values)))
    share = joint.series_correlation
    variances, vectors = np.linalg.eigh(joint.step_correlation)
    root = vectors * np.sqrt(np.maximum(variances, 0.0))  # [steps, factors]
    root /= np.sqrt((root**2).sum(1, keepdims=True))

    def draw(index: Integers, seeds: list[int]) -> Numbers:
        random = [np.random.default_rng((SEED, seed)) for seed in seeds]
        alone = np.stack([own.normal(size=common.shape) for own in random], 1)
        usual = np.sqrt(share) * common[:, None]
        usual = (usual + np.sqrt(1 - share) * alone) @ root.T
        errors = joint.at(index, horizon)[0]
        sizes = np.sqrt((errors**2).sum(0))
        weight = np.where(sizes > 0, joint.data_weight, 0.0)
        scaled = errors / np.where(sizes > 0, sizes, 1.0)
        past = np.tensordot(weights, scaled, 1)
        return np.asarray(np.sqrt(weight) * past + np.sqrt(1 - weight) * usual)

    return draw

"""The last season, repeated, and the mean change over one season added for each season ahead."""

import numpy as np

from forecast.baselines import seasonal_naive
from forecast.baselines.shared.method import Mask, Method, Values


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    both = observed[:, season:] & observed[:, :-season]
    changes = np.where(both, values[:, season:] - values[:, :-season], 0.0)
    change = changes.sum(1, keepdims=True) / np.maximum(both.sum(1, keepdims=True), 1)
    repeated = seasonal_naive.forecast(values, observed, horizon, season)
    moved: Values = repeated + change * (1 + np.arange(horizon) // season)
    return moved


METHOD = Method(forecast, default_rank=4, repeats_season=True, without_season="drift")

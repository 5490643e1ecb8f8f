"""The last season, repeated, and the mean change over one season added for each season ahead."""

import numpy as np

from forecast.baselines import seasonal_naive
from forecast.baselines.shared.method import Mask, Method, Values


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    paired = observed[:, season:] & observed[:, :-season]
    changes = values[:, season:] - values[:, :-season]
    total = changes.sum(1, where=paired)
    change = total / np.maximum(paired.sum(1), 1)
    repeated = seasonal_naive.forecast(values, observed, horizon, season)
    seasons = 1 + np.arange(horizon) // season
    return np.asarray(repeated + change[:, None] * seasons)


METHOD = Method(forecast, default_rank=4, repeats_season=True, without_season="drift")

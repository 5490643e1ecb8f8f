"""A small recurrent network that forecasts without a fit, trained on synthetic series only."""

import numpy as np

from forecast.baselines.shared.method import Mask, Method, Values
from forecast.pretrained.forecasting import (
    NETWORK_CONTEXT,
    Network,
    forecast_quantiles,
    network_for,
)
from forecast.pretrained.network import LEVELS


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    seasons = (season,)
    return quantiles(None, values, observed, horizon, seasons, (0.5,))[..., 0]


def quantiles(
    network: Network | None,
    values: Values,
    observed: Mask,
    horizon: int,
    seasons: tuple[int, ...],
    levels: tuple[float, ...],
) -> Values:
    network = network or network_for(seasons)
    ahead = forecast_quantiles(network, values, observed, horizon, seasons)
    columns = [LEVELS.index(level) for level in levels]
    ahead = ahead[..., columns]
    # a constant, which the network continues but for rounding
    lowest = values.min(1, where=observed, initial=np.inf)
    highest = values.max(1, where=observed, initial=-np.inf)
    constant = lowest == highest
    ahead[constant] = lowest[constant, None, None]
    return ahead


def about() -> str:
    weights = sum(array.size for array in network_for(()).weights.values())
    return (
        f"a recurrent network of {weights:,} weights, and another for hours, trained on synthetic "
        f"series only; they see up to {NETWORK_CONTEXT:,} steps of the past"
    )


METHOD = Method(
    forecast,
    default_rank=11,
    about=about,
    quantiles=quantiles,
    context=NETWORK_CONTEXT,
    as_read=True,
    evens=True,
    straightens=True,
)

"""A small recurrent network, trained on synthetic series: it forecasts what it has never seen, without a fit."""

import numpy as np

from forecast.baselines.shared.method import Mask, Method, Values
from forecast.pretrained.forecasting import CONTEXT, Network, forecast_quantiles, network_for
from forecast.pretrained.network import LEVELS


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    return quantiles(None, values, observed, horizon, (season,), (0.5,))[..., 0]


def quantiles(
    network: Network | None,
    values: Values,
    observed: Mask,
    horizon: int,
    seasons: tuple[int, ...],
    levels: tuple[float, ...],
) -> Values:
    own = forecast_quantiles(network or network_for(seasons), values, observed, horizon, seasons)
    lowest = np.where(observed, values, np.inf).min(1)
    constant = lowest == np.where(observed, values, -np.inf).max(
        1
    )  # which the network continues but for rounding
    own = own[..., [LEVELS.index(level) for level in levels]]
    return np.asarray(np.where(constant[:, None, None], lowest[:, None, None], own))


def about() -> str:
    weights = sum(array.size for array in network_for(()).weights.values())
    return (
        f"a recurrent network of {weights:,} weights, and another for hours, trained on synthetic series only; they "
        f"see up to {CONTEXT:,} steps of the past"
    )


METHOD = Method(
    forecast,
    default_rank=11,
    about=about,
    quantiles=quantiles,
    context=CONTEXT,
    as_read=True,
    evens=True,
)

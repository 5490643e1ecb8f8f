"""A small recurrent network, trained on synthetic series: it forecasts what it has never seen, without a fit."""

from forecast.baselines.shared.method import Mask, Method, Values
from forecast.pretrained.forecasting import Network, forecast_quantiles, load_network

CONTEXT = 1024  # steps of the past that it was trained with; a saved version relies on them


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    seasons = (season,) if season > 1 else ()
    return quantiles(None, values, observed, horizon, seasons, (0.5,))[..., 0]


def quantiles(
    network: Network | None,
    values: Values,
    observed: Mask,
    horizon: int,
    seasons: tuple[int, ...],
    levels: tuple[float, ...],
) -> Values:
    return forecast_quantiles(network or load_network(), values, observed, horizon, seasons, levels)


METHOD = Method(forecast, default_place=11, quantiles=quantiles, context=CONTEXT)

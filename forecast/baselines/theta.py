"""Theta: mean of trend line and line of doubled curvature (Assimakopoulos, Nikolopoulos 2000)."""

from forecast.baselines.shared.gaps import recent_values
from forecast.baselines.shared.method import Mask, Method, Values
from forecast.baselines.shared.theta_lines import theta_forecast


def forecast(
    values: Values, observed: Mask, horizon: int, season: int, best_theta: bool = False
) -> Values:
    values, start = recent_values(values, observed, season)
    return theta_forecast(values, start, horizon, season, best_theta)


METHOD = Method(forecast, default_rank=7)

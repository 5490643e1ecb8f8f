"""The Theta method with theta chosen by the squared error one step ahead (Fiorucci et al. 2016)."""

from forecast.baselines.shared.gaps import recent_values
from forecast.baselines.shared.method import Mask, Method, Values
from forecast.baselines.shared.theta_lines import theta_forecast


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    values, start = recent_values(values, observed, season)
    return theta_forecast(values, start, horizon, season, best_theta=True)


METHOD = Method(forecast, default_rank=8)

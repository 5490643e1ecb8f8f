"""The Theta method (Assimakopoulos and Nikolopoulos 2000)."""

from forecast.baselines.shared.gaps import recent_values
from forecast.baselines.shared.method import Mask, Method, Values
from forecast.baselines.shared.theta_lines import theta_forecast


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Forecast by the mean of the trend line and of the smoothed line of doubled curvature."""
    return theta_forecast(*recent_values(values, observed, season), horizon, season)


METHOD = Method(forecast, default_place=7)

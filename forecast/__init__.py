"""A CSV in, trustworthy forecasts out: recurrent networks for time series.

The public names are loaded when they are first used, so that ``import forecast`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forecast.checks.scoring import score
    from forecast.engine.rolling import RollingOrigin
    from forecast.errors import ForecastError
    from forecast.forecaster import Forecaster
    from forecast.regressor import RecurrentRegressor

__all__ = ["ForecastError", "Forecaster", "RecurrentRegressor", "RollingOrigin", "score"]

_HOME = {
    "ForecastError": "forecast.errors",
    "Forecaster": "forecast.forecaster",
    "RecurrentRegressor": "forecast.regressor",
    "RollingOrigin": "forecast.engine.rolling",
    "score": "forecast.checks.scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'forecast' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

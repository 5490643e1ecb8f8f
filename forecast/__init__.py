"""A CSV in, trustworthy forecasts out: recurrent networks for time series.

The public names are loaded when they are first used, so that ``import forecast`` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

from forecast.version import __version__ as __version__

if TYPE_CHECKING:
    from forecast.artifacts.store import Store as Store
    from forecast.artifacts.store import VersionInfo as VersionInfo
    from forecast.engine.backtest import Backtest as Backtest
    from forecast.engine.rolling import RollingOrigin as RollingOrigin
    from forecast.engine.score import Scores as Scores
    from forecast.engine.score import score as score
    from forecast.errors import BadData as BadData
    from forecast.errors import ForecastError as ForecastError
    from forecast.errors import UsageError as UsageError
    from forecast.forecaster import Forecaster as Forecaster
    from forecast.jobs.checks.finding import Finding as Finding
    from forecast.jobs.checks.tonight import Tonight as Tonight
    from forecast.jobs.pipeline import Pipeline as Pipeline
    from forecast.jobs.pipeline import read_pipeline as read_pipeline
    from forecast.jobs.record import Record as Record
    from forecast.jobs.run import run_job as run_job
    from forecast.regressor import RecurrentRegressor as RecurrentRegressor
    from forecast.report.explanation import Explanation as Explanation
    from forecast.settings import TableSettings as TableSettings
    from forecast.tables.synthetic import synthesize as synthesize

_HOME = {
    "Backtest": "engine.backtest",
    "BadData": "errors",
    "Explanation": "report.explanation",
    "Finding": "jobs.checks.finding",
    "ForecastError": "errors",
    "Forecaster": "forecaster",
    "Pipeline": "jobs.pipeline",
    "Record": "jobs.record",
    "RecurrentRegressor": "regressor",
    "RollingOrigin": "engine.rolling",
    "Scores": "engine.score",
    "Store": "artifacts.store",
    "TableSettings": "settings",
    "Tonight": "jobs.checks.tonight",
    "UsageError": "errors",
    "VersionInfo": "artifacts.store",
    "read_pipeline": "jobs.pipeline",
    "run_job": "jobs.run",
    "score": "engine.score",
    "synthesize": "tables.synthetic",
}
__all__ = [*_HOME]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'forecast' has no attribute '{name}'")
    return getattr(importlib.import_module(f"forecast.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

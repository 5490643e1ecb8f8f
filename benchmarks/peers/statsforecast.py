"""statsforecast's MSTL and DynamicOptimizedTheta, a model of its own for each series."""

import pandas as pd
from statsforecast import StatsForecast
from statsforecast.models import MSTL, DynamicOptimizedTheta

from benchmarks.peers.job import Forecast, Job

MODELS = {"MSTL": MSTL, "DynamicOptimizedTheta": DynamicOptimizedTheta}
SAVED = "saved.pickle"
NAMES = {"lo-80": "lo_80", "hi-80": "hi_80", "lo-95": "lo_95", "hi-95": "hi_95"}


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Fit each series and save."""
    model = MODELS[job.model](season_length=job.season, alias="forecast")
    fitted = StatsForecast(models=[model], freq=job.freq, n_jobs=-1)
    fitted.fit(frame)
    fitted.save(SAVED)


def load(job: Job) -> Forecast:
    """The saved models; they know only the series that they were fitted to."""
    fitted = StatsForecast.load(SAVED)

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        found = fitted.predict(h=job.horizon, level=[80, 95])
        return found.rename(columns={f"forecast-{old}": new for old, new in NAMES.items()})

    return forecast

"""LightGBM on lags through mlforecast, of the values or of their scaled seasonal differences; absolute error."""

import pandas as pd
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean
from mlforecast.target_transforms import Differences, LocalStandardScaler

from benchmarks.peers.job import Forecast, Job

MEMORY = 20  # seasons
SAVED = "saved"


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    model = MLForecast(
        models={"forecast": LGBMRegressor(objective="l1", random_state=job.seed, verbosity=-1)},
        freq=job.freq,
        lags=[*range(1, job.season + 1), 2 * job.season, 7 * job.season],
        lag_transforms={
            1: [ExpandingMean(), RollingMean(job.season), RollingMean(4 * job.season)],
            job.season: [RollingMean(job.season)],
        },
        target_transforms=[Differences([job.season]), LocalStandardScaler()]
        if job.model == "differences"
        else None,
        date_features=["hour", "dayofweek"],
    )
    model.fit(frame, static_features=[])
    model.save(SAVED)


def lookback(job: Job) -> int:
    """Steps from which its features are made."""
    return MEMORY * job.season


def load(job: Job) -> Forecast:
    """The saved trees."""
    model = MLForecast.load(SAVED)

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        return model.predict(job.horizon, new_df=frame, X_df=future)

    return forecast

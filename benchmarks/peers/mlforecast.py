"""LightGBM on lags through mlforecast: seasonal differences, one season of lags and two means of the past."""

import pandas as pd
from lightgbm import LGBMRegressor
from mlforecast import MLForecast
from mlforecast.lag_transforms import ExpandingMean, RollingMean
from mlforecast.target_transforms import Differences

from benchmarks.peers.job import Forecast, Job

SAVED = "saved"


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    model = MLForecast(
        models={"forecast": LGBMRegressor(random_state=job.seed, verbosity=-1)},
        freq=job.freq,
        lags=list(range(1, job.season + 1)),
        lag_transforms={1: [ExpandingMean()], job.season: [RollingMean(job.season)]},
        target_transforms=[Differences([job.season])],
        date_features=["hour", "dayofweek"],
    )
    model.fit(frame, static_features=[])
    model.save(SAVED)


def load(job: Job) -> Forecast:
    """The saved trees."""
    model = MLForecast.load(SAVED)

    def forecast(frame: pd.DataFrame) -> pd.DataFrame:
        return model.predict(job.horizon, new_df=frame)

    return forecast

"""AutoGluon-TimeSeries with its own defaults, without the pretrained models, whose weights are another download."""

import pandas as pd
from autogluon.timeseries import TimeSeriesDataFrame, TimeSeriesPredictor

from benchmarks.peers.job import QUANTILES, Forecast, Job

SAVED = "saved"
PRETRAINED = ["Chronos", "Chronos2", "Toto"]


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    predictor = TimeSeriesPredictor(
        prediction_length=job.horizon,
        target="y",
        freq=job.freq,
        path=SAVED,
        quantile_levels=sorted(QUANTILES),
    )
    predictor.fit(
        _frame(frame),
        time_limit=job.budget,
        random_seed=job.seed,
        excluded_model_types=PRETRAINED,
        hyperparameters=None if job.steps is None else {"SeasonalNaive": {}, "Theta": {}},
    )


def load(job: Job) -> Forecast:
    """The saved ensemble."""
    predictor = TimeSeriesPredictor.load(SAVED)

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        found = predictor.predict(_frame(frame), random_seed=job.seed).reset_index()
        names = {"item_id": "unique_id", **{str(level): name for level, name in QUANTILES.items()}}
        return pd.DataFrame(found).rename(columns=names).drop(columns="mean")

    return forecast


def _frame(frame: pd.DataFrame) -> TimeSeriesDataFrame:
    return TimeSeriesDataFrame.from_data_frame(frame, id_column="unique_id", timestamp_column="ds")

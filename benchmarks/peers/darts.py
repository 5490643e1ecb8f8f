"""darts' BlockRNNModel, an LSTM: a past of one week, reversible instance norm, one epoch of 100 windows a series."""

import pandas as pd
from darts import TimeSeries
from darts.models import BlockRNNModel

from benchmarks.peers.job import Forecast, Job

LOOKBACK = 7 * 24
SAVED = "saved.pt"
WINDOWS = 100  # of each series and epoch; its default, every window in 100 epochs, takes hours


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    model = BlockRNNModel(
        input_chunk_length=LOOKBACK,
        output_chunk_length=job.horizon,
        model=job.model,
        n_epochs=1,
        random_state=job.seed,
        use_reversible_instance_norm=True,  # on raw levels of many series it learns next to nothing
    )
    model.fit(
        _series(frame, job.freq), max_samples_per_ts=WINDOWS if job.steps is None else job.steps
    )
    model.save(SAVED)


def lookback(job: Job) -> int:
    """Steps of its past."""
    return LOOKBACK


def load(job: Job) -> Forecast:
    """The saved network."""
    model = BlockRNNModel.load(SAVED)

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        ids = frame["unique_id"].unique()
        found = model.predict(job.horizon, series=_series(frame, job.freq))
        parts = [
            pd.DataFrame({"unique_id": one, "forecast": own.values()[:, 0]})
            for one, own in zip(ids, found, strict=True)
        ]
        return pd.concat(parts)

    return forecast


def _series(frame: pd.DataFrame, freq: str) -> list[TimeSeries]:
    groups = frame.groupby("unique_id", sort=False)
    return [
        TimeSeries.from_dataframe(own, "ds", "y", freq=freq).astype("float32") for _, own in groups
    ]

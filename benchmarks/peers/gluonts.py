"""GluonTS' DeepAR with its own defaults: 100 epochs of 50 batches, 100 sampled paths."""

from pathlib import Path

import pandas as pd
from gluonts.dataset.pandas import PandasDataset
from gluonts.model.predictor import Predictor
from gluonts.torch import DeepAREstimator
from lightning import seed_everything

from benchmarks.peers.job import QUANTILES, Forecast, Job

SAVED = "saved"


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    seed_everything(job.seed)
    short = (
        {}
        if job.steps is None
        else {"num_batches_per_epoch": job.steps, "trainer_kwargs": {"max_epochs": 1}}
    )
    estimator = DeepAREstimator(freq=job.freq, prediction_length=job.horizon, **short)
    predictor = estimator.train(_dataset(frame, job.freq))
    Path(SAVED).mkdir(exist_ok=True)
    predictor.serialize(Path(SAVED))


def load(job: Job) -> Forecast:
    """The saved network."""
    predictor = Predictor.deserialize(Path(SAVED))

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        seed_everything(job.seed)
        parts = []
        for found in predictor.predict(_dataset(frame, job.freq)):
            columns = {name: found.quantile(level) for level, name in QUANTILES.items()}
            parts.append(pd.DataFrame({"unique_id": found.item_id, **columns}))
        return pd.concat(parts)

    return forecast


def _dataset(frame: pd.DataFrame, freq: str) -> PandasDataset:
    return PandasDataset.from_long_dataframe(
        frame, target="y", item_id="unique_id", timestamp="ds", freq=freq
    )

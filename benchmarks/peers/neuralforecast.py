"""neuralforecast's GRU and LSTM with their own defaults: 1000 steps, a past of three horizons, absolute error."""

import pandas as pd
from neuralforecast import NeuralForecast
from neuralforecast.models import GRU, LSTM

from benchmarks.peers.job import Forecast, Job

MODELS = {"GRU": GRU, "LSTM": LSTM}
SAVED = "saved"


def fit(job: Job, frame: pd.DataFrame) -> None:
    """Train and save."""
    steps = {} if job.steps is None else {"max_steps": job.steps}
    model = MODELS[job.model](h=job.horizon, random_seed=job.seed, alias="forecast", **steps)
    network = NeuralForecast(models=[model], freq=job.freq)
    network.fit(frame)
    network.save(SAVED, overwrite=True, save_dataset=False)


def lookback(job: Job) -> int:
    """Steps of its past."""
    return 3 * job.horizon


def load(job: Job) -> Forecast:
    """The saved network."""
    network = NeuralForecast.load(SAVED)

    def forecast(frame: pd.DataFrame, future: pd.DataFrame | None) -> pd.DataFrame:
        return network.predict(frame)

    return forecast

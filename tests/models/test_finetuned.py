"""The pretrained network as a model: it starts from the weights that ship, and goes on from there."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.models.shared.building import build
from forecast.models.shared.model import Shape
from forecast.pretrained.forecasting import forecast_quantiles, load_network, network_for
from forecast.pretrained.network import LEVELS
from forecast.settings import TrainSettings
from tests.models.test_every_model import any_batch

SHAPE = Shape(lookback=64, horizon=12, seasons=(12,), levels=LEVELS)


@pytest.mark.parametrize(("counts", "season"), [(False, 12), (True, 12), (False, 24)])
def test_before_it_trains_it_forecasts_as_without_training(counts: bool, season: int) -> None:
    shape = dataclasses.replace(SHAPE, seasons=(season,))
    rng = np.random.default_rng(0)
    values = (
        rng.poisson(0.8, (3, 64)).astype(float)
        if counts
        else 50 + 3 * rng.normal(size=(3, 64)).cumsum(1)
    )
    location, scale = values.mean(1, keepdims=True), values.std(1, keepdims=True)
    batch = dataclasses.replace(
        any_batch(shape),
        past=torch.from_numpy((values - location) / scale).float(),
        location=torch.from_numpy(location),
        scale=torch.from_numpy(scale),
    )
    network = build(TrainSettings(model="finetuned"), shape).eval()
    with torch.no_grad():
        found = batch.unscale(network.quantiles(batch, LEVELS)).numpy()
    data = network_for((season,)).data.replace(b'"architecture":"2"', b'"architecture":"1"')
    whole = load_network(data)  # as it trains
    expected = forecast_quantiles(whole, values, np.ones((3, 64), bool), 12, (season,))
    assert found == pytest.approx(expected, abs=0.02)


def test_counts_are_forecast_by_whole_numbers() -> None:
    days = pd.date_range("2024-01-01", periods=150)
    frame = pd.DataFrame({"day": days, "units": np.random.default_rng(1).poisson(0.6, 150)})
    model = Forecaster(model="finetuned", guard=False, horizon=7, steps=4, members=1)
    forecast = model.fit(frame).predict()["forecast"]
    assert (forecast == forecast.round()).all()


def test_a_column_that_is_known_in_advance_is_learned() -> None:
    rng = np.random.default_rng(2)
    days = pd.date_range("2023-01-01", periods=400)
    promotion = rng.random(400) < 0.3
    units = 20 + 15 * promotion + rng.normal(size=400)
    frame = pd.DataFrame({"day": days, "units": units, "promotion": promotion * 1})
    model = Forecaster(
        model="finetuned",
        guard=False,
        horizon=7,
        known=["promotion"],
        steps=150,
        members=1,
        lookback=32,
    )
    model.fit(frame[:-7])
    future = frame[-7:].drop(columns="units")
    forecast = model.predict(future=future)["forecast"].to_numpy()
    marked = promotion[-7:]
    assert marked.any()
    assert not marked.all()
    assert forecast[marked].min() > forecast[~marked].max()

"""Columns known in advance act on their own step, and networks saved before they did are read as they were."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.models import model_names
from forecast.models.shared.building import build
from forecast.models.shared.exporting import compute, export, random_batch
from forecast.models.shared.known import REACH, KnownEffects
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.training.plan import Candidate

SHAPE = Shape(lookback=12, horizon=6, past=4, future=3, calendar=1, future_categories=(3,), past_categories=(3,),
    seasons=(3,), levels=(0.1, 0.5, 0.9))  # fmt: skip


own_columns = pytest.mark.parametrize(
    "model", [name for name in model_names() if name != "finetuned"]
)


def trained(model: str, shape: Shape) -> RecurrentModel:
    """A network with weights that are all different from zero."""
    network = build(Candidate(model=model, lookback=shape.lookback), shape).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn(weight.shape, generator=generator)
    if network.rows_at_once:
        network.learn(random_batch(shape, 300, 1), [])
    return network


@own_columns
def test_a_known_column_moves_no_step_before_its_neighbours(model: str) -> None:
    network, batch, changed = trained(model, SHAPE), random_batch(SHAPE, 4, 0), 5
    other = replace(
        batch,
        future_covariates=batch.future_covariates.clone(),
        future_codes=batch.future_codes.clone(),
    )
    other.future_covariates[:, changed, SHAPE.calendar :] += 1
    other.future_codes[:, changed] = (other.future_codes[:, changed] + 1) % 3
    with torch.no_grad():
        moved = (network.outputs(other) - network.outputs(batch)).abs().amax((0, 2))
    assert moved[changed] > 1e-3
    assert moved[: changed - REACH].max() == 0.0, moved


@pytest.mark.parametrize("horizon", [1, 6])
def test_a_step_acts_on_those_around_it_across_the_origin(horizon: int) -> None:
    effects, columns = KnownEffects(1), torch.zeros(1, 8 + horizon, 1)
    with torch.no_grad():
        effects[0].weight.fill_(1.0)
        effects[0].bias.zero_()
        effects[2].weight.copy_(torch.arange(1.0, 8.0)[:, None].expand(-1, 8) / 8)
        columns[0, 7] = 1.0  # the last step of the past
        past, ahead = effects.around(columns[:, :8], columns[:, 8:])
    assert past[0].tolist() == [0, 0, 0, 0, 7, 6, 5, 4]
    assert ahead[0].tolist() == [3, 2, 1, 0, 0, 0][:horizon]


@pytest.mark.parametrize("model", ["segrnn", "gru"])
def test_known_columns_do_the_same_in_an_export(model: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = trained(model, SHAPE)
    session = runtime.InferenceSession(export(network, random_batch(SHAPE, 2, 0), 17))
    inputs, expected = compute(network, random_batch(SHAPE, 5, 3))
    (found,) = session.run(
        ["quantiles"], {one.name: inputs[one.name] for one in session.get_inputs()}
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def promotions(series: int = 8, days: int = 200) -> pd.DataFrame:
    """Daily series with a weekly season, each lifted by promotions on their own days only."""
    random, day = np.random.default_rng(0), np.arange(days)
    promo = (random.random((series, days)) < 0.1) * 1.0
    week = 1 + 0.3 * np.sin(2 * np.pi * day / 7)
    noise = np.exp(random.normal(0, 0.07, (series, days)))
    values = np.geomspace(10, 1000, series)[:, None] * week * (1 + 0.7 * promo) * noise
    named = {
        "shop": np.repeat(np.arange(series), days),
        "units": values.ravel(),
        "promo": promo.ravel(),
    }
    return pd.DataFrame(
        {"day": np.tile(pd.date_range("2024-01-01", periods=days), series), **named}
    )


@pytest.mark.parametrize("model", ["segrnn", "slstm"])
def test_a_promotion_moves_its_own_day(model: str) -> None:
    frame, horizon, changed = promotions(), 7, 5
    ahead = frame["day"] > frame["day"].max() - pd.Timedelta(days=horizon)
    frame.loc[ahead, ["units", "promo"]] = np.nan, 0.0
    known = {"id": "shop", "target": "units", "known": "promo", "horizon": horizon}
    fitted = Forecaster(
        model=model, params={"hidden_size": 16}, steps=150, members=1, guard=False, **known
    ).fit(frame)
    promoted = frame.copy()
    promoted.loc[
        frame["day"] == frame["day"].max() - pd.Timedelta(days=horizon - 1 - changed), "promo"
    ] = 1.0
    plain, lifted = (
        fitted.predict(table)["forecast"].to_numpy().reshape(-1, horizon)
        for table in (frame, promoted)
    )
    moved = np.abs(lifted / plain - 1).mean(0)
    assert moved.argmax() == changed
    assert (lifted > 1.2 * plain)[:, changed].all()
    assert moved[:changed].max() < 0.1 * moved[changed], moved

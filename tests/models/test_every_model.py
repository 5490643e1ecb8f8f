"""Every model of the registry, by name: shape, learning, saving, determinism, padding."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster, RecurrentRegressor
from forecast.models import model_class, model_names
from forecast.models.shared.building import build
from forecast.models.shared.model import Shape
from forecast.registry import find_entry
from forecast.settings import TrainSettings
from forecast.tables.synthetic import synthesize
from forecast.windows.windows import Batch
from tests._inputs import toy_windows

SMALL = {"hidden_size": 8}
LEVELS = (0.1, 0.5, 0.9)

every_model = pytest.mark.parametrize("name", model_names())
BY_GRADIENTS = [name for name in model_names() if not model_class(name).rows_at_once]
# those with more than a plain layer of cells
OWN = {"trees", "esrnn", "deepar", "finetuned", "segrnn", "slstm"}
SAVED = [
    name if name in OWN else pytest.param(name, marks=pytest.mark.slow) for name in model_names()
]


def any_batch(shape: Shape, rows: int = 3, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(rows, *size, generator=generator)

    def codes(steps: int, sizes: tuple[int, ...]) -> torch.Tensor:
        return torch.randint(0, 2, (rows, steps, len(sizes)), generator=generator)

    return Batch(
        past=normal(shape.lookback),
        mask=torch.ones(rows, shape.lookback),
        past_covariates=normal(shape.lookback, shape.past),
        future_covariates=normal(shape.horizon, shape.future),
        static=normal(shape.static),
        series=torch.randint(-1, shape.series, (rows,), generator=generator),
        past_codes=codes(shape.lookback, shape.past_categories),
        future_codes=codes(shape.horizon, shape.future_categories),
        static_codes=codes(1, shape.static_categories)[:, 0],
        seasonal=normal(shape.horizon, len(shape.seasons)),
        target=normal(shape.horizon),
        target_mask=torch.ones(rows, shape.horizon),
        weight=torch.ones(rows),
        location=torch.zeros(rows, 1),
        scale=torch.ones(rows, 1),
    )


SHAPES = [
    Shape(lookback=12, horizon=5, levels=LEVELS),
    Shape(lookback=7, horizon=1, levels=(0.5,), loss="mse"),
    Shape(
        lookback=24,
        horizon=9,
        past=3,
        future=2,
        static=2,
        past_categories=(3, 4),
        future_categories=(3,),
        static_categories=(5,),
        series=7,
        seasons=(4, 12),
        levels=LEVELS,
        loss="huber",
    ),
]


@every_model
@pytest.mark.parametrize("shape", SHAPES, ids=["plain", "one step", "everything"])
@pytest.mark.parametrize("knobs", [{}, {"layers": 2, "bidirectional": True}], ids=["plain", "deep"])
def test_quantiles_have_the_right_shape_and_do_not_cross(
    name: str, shape: Shape, knobs: dict[str, object]
) -> None:
    known = model_class(name).Params.model_fields
    params = {knob: value for knob, value in {**SMALL, **knobs}.items() if knob in known}
    network = build(TrainSettings(model=name, params=params), shape).eval()
    batch = any_batch(shape)
    outputs = network.quantiles(batch, shape.levels)
    assert outputs.shape == (3, shape.horizon, len(shape.levels))
    assert (outputs.diff(dim=-1) >= 0).all()
    loss = network.loss(batch)
    if name in BY_GRADIENTS:
        loss.backward()
    assert torch.isfinite(loss)


@pytest.mark.parametrize("name", BY_GRADIENTS)
def test_the_sum_of_random_inputs_is_learned(name: str) -> None:
    X, y = toy_windows(32)
    rate = 0.05 if name == "linear" else 0.01  # large ones, so that few steps are enough
    model = RecurrentRegressor(model=name, steps=120, learning_rate=rate).fit(X, y)
    assert np.mean((model.predict(X) - y) ** 2) < 0.01


@pytest.mark.slow
def test_the_sum_of_random_inputs_is_learned_for_new_ones() -> None:
    X, y = toy_windows(8000, seed=1)
    new, actual = toy_windows(2000, seed=2)
    found = {name: RecurrentRegressor(model=name).fit(X, y).predict(new) for name in BY_GRADIENTS}
    errors = {
        name: np.mean((values - actual) ** 2) / actual.var() for name, values in found.items()
    }
    limits = {
        "finetuned": 0.08
    }  # it learns at a quarter of the rate, so as not to forget what it starts from
    assert {
        name: error for name, error in errors.items() if not error < limits.get(name, 0.05)
    } == {}


@pytest.mark.parametrize("name", SAVED)
def test_a_saved_forecaster_forecasts_the_same_and_a_fit_repeats(name: str, tmp_path: Path) -> None:
    frame = synthesize("seasonal", series=2, length=60)
    knobs = {"model": name, "horizon": 6, "lookback": 12, "steps": 4, "guard": False}
    model = Forecaster(**knobs).fit(frame)
    first = model.save(str(tmp_path / "store"))
    expected = model.predict()
    assert np.isfinite(expected["forecast"]).all()
    pd.testing.assert_frame_equal(Forecaster.load(str(tmp_path / "store")).predict(), expected)
    again = Forecaster(**knobs).fit(frame)
    pd.testing.assert_frame_equal(again.predict(), expected)
    assert again.save(str(tmp_path / "store")).hash == first.hash


@every_model
def test_series_of_different_lengths_are_forecast_together_as_alone(name: str) -> None:
    frame = synthesize("seasonal", series=3, length=60)
    model = Forecaster(model=name, horizon=6, lookback=24, steps=12, guard=False).fit(frame)
    ragged = frame[
        frame.groupby("series").cumcount(ascending=False)
        < frame["series"].map({"s001": 60, "s002": 31, "s003": 9})
    ]
    together = model.predict(ragged)
    for one, own in ragged.groupby("series"):
        alone = model.predict(own)
        pd.testing.assert_frame_equal(
            together[together["series"] == one].reset_index(drop=True), alone, check_exact=True
        )


@every_model
def test_the_registry_says_what_a_model_is_and_whose(name: str) -> None:
    assert "(" in find_entry("models", name).summary(), "the first line of a model names its paper"

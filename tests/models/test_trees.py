"""Boosted trees: stored as scikit-learn grew them, exported, and used where a table has other columns."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor

from forecast import Forecaster
from forecast.models.shared.building import build
from forecast.models.shared.exporting import compute, export, random_batch
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.trees import Network
from forecast.training.plan import Candidate
from forecast.windows.windows import Batch

SHAPE = Shape(lookback=12, horizon=4, past=5, future=3, calendar=1, static=1, past_categories=(3, 4),
    future_categories=(3,), static_categories=(2,), seasons=(3,), levels=(0.1, 0.5, 0.9))  # fmt: skip
SMALL = {"trees": 12, "depth": 5}


def grown(shape: Shape = SHAPE, **params: object) -> tuple[RecurrentModel, Batch]:
    network, batch = (
        build(Candidate(model="trees", params={**SMALL, **params}, lookback=12), shape),
        random_batch(shape, 300, 1),
    )
    batch.target[:] = batch.future_covariates[..., 1] * (batch.past[:, :1] > 0) + 0.1 * batch.target
    network.eval().learn(batch, [])
    return network, batch


def promotions(days: int = 400, lift: float = 8.0) -> pd.DataFrame:
    random = np.random.default_rng(0)
    day, sale = np.arange(days), (random.random(days) < 0.15).astype(float)
    units = (
        20
        + 5 * np.sin(2 * np.pi * day / 7)
        + lift * sale * (day % 7 < 5)
        + random.normal(0, 0.5, days)
    )
    return pd.DataFrame(
        {"day": pd.date_range("2023-01-02", periods=days), "units": units, "sale": sale}
    )


@pytest.mark.parametrize("leaves", [4, 63])
def test_stored_trees_forecast_as_those_of_scikit_learn(leaves: int) -> None:
    network, batch = grown(leaves=leaves)
    model = HistGradientBoostingRegressor(
        loss="absolute_error",
        max_iter=12,
        max_depth=5,
        max_leaf_nodes=leaves,
        early_stopping=False,
        random_state=0,
    )
    batch = network._embed(batch)
    rows, used = network._features(batch), batch.target_mask > 0
    model.fit(
        rows[used].double().numpy(), (batch.target - network._base(batch))[used].double().numpy()
    )
    found = network._sum_of_trees(rows).flatten().numpy()
    np.testing.assert_allclose(found, model.predict(rows.flatten(0, 1).double().numpy()), atol=1e-5)
    assert found.std() > 0.1


def test_an_export_computes_what_the_trees_do() -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network, _ = grown()
    session = runtime.InferenceSession(export(network, random_batch(SHAPE, 2, 0), 17))
    inputs, expected = compute(network, random_batch(SHAPE, 7, 3))
    (found,) = session.run(
        ["quantiles"], {entry.name: inputs[entry.name] for entry in session.get_inputs()}
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_quantiles_hold_as_many_held_out_values_as_they_say() -> None:
    """Errors are skewed, so that distances below the median are not those above it."""
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    network, batch = grown(replace(SHAPE, levels=levels))
    held_out = random_batch(SHAPE, 2000, 2)
    generator = torch.Generator().manual_seed(3)
    held_out.target[:] = torch.empty(held_out.target.shape).exponential_(generator=generator)
    network.learn(replace(batch, target=torch.zeros_like(batch.target)), [held_out])
    quantiles = network.outputs(held_out)
    widths = [(quantiles[..., i + 1] - quantiles[..., i]).mean().item() for i in range(4)]
    expected = -np.log1p(-np.array(levels))
    np.testing.assert_allclose(
        np.array(widths) / widths[2], np.diff(expected) / np.diff(expected)[2], rtol=0.25
    )


def test_a_few_windows_of_one_value_are_learned_without_an_error() -> None:
    network = build(Candidate(model="trees", params=SMALL, lookback=12), SHAPE)
    batch = random_batch(SHAPE, 1, 0)
    batch.target_mask[:] = 0
    network.learn(batch, [batch])
    assert torch.isfinite(network.outputs(batch)).all()


def test_what_a_promotion_does_is_forecast_on_its_days_and_saved(tmp_path: Path) -> None:
    frame = promotions()
    future = pd.DataFrame(
        {"day": pd.date_range("2024-02-06", periods=14), "units": np.nan, "sale": [0.0, 1.0] * 7}
    )
    table = pd.concat([frame, future])
    model = Forecaster(model="trees", horizon=14, known=["sale"], guard=False, params={"trees": 40}, time="day",
        target="units", members=1).fit(table)  # fmt: skip
    with_sales = model.predict(table)
    without = model.predict(table.assign(sale=table["sale"].where(table["units"].notna(), 0.0)))
    lift = (with_sales["forecast"] - without["forecast"]).to_numpy()
    weekend = pd.to_datetime(with_sales["day"]).dt.day_of_week.to_numpy() >= 5
    sale = future["sale"].to_numpy() > 0
    assert (lift[sale & ~weekend] > 4).all(), lift
    assert (np.abs(lift[~sale]) < 0.8).all(), lift
    model.save(str(tmp_path / "store"))
    pd.testing.assert_frame_equal(
        Forecaster.load(str(tmp_path / "store")).predict(table), with_sales
    )


def test_trees_that_a_deadline_leaves_without_held_out_values_are_no_reason_for_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    knobs = {
        "model": "trees",
        "steps": 2,
        "budget": 0.6,
        "guard": False,
        "params": SMALL,
        "known": ["sale"],
    }
    model = Forecaster(horizon=7, time="day", target="units", **knobs)
    model.fit(promotions(200)[:190])
    assert model.fitted_.config.trained_steps == (1,)
    assert "too few to learn" not in caplog.text


def test_a_long_past_is_learned_from_fewer_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Network, "rows_at_once", 600
    )  # memory holds so many windows of a step and of a short past
    table = promotions(900)
    table.loc[899, "units"] = np.nan
    for lookback, windows in ((24, 600), (240, 60)):
        model = Forecaster(model="trees", horizon=1, known=["sale"], lookback=lookback, guard=False, params=SMALL,
            time="day", target="units").fit(table)  # fmt: skip
        assert model.plan_.members[0].batch_size == windows

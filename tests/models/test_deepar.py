"""Quantiles of sampled paths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from forecast import Forecaster
from forecast.models.shared.building import build
from forecast.models.shared.likelihoods import LIKELIHOODS
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.windows.windows import Batch

LEVELS = (0.1, 0.5, 0.9)
SHAPE = Shape(lookback=12, horizon=5, seasons=(4,), levels=LEVELS)


def any_batch(rows: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> torch.Tensor:
        return torch.randn(rows, *size, generator=generator)

    codes = torch.zeros(rows, 17, 0, dtype=torch.long)
    return Batch(
        past=normal(12), mask=torch.ones(rows, 12), past_covariates=normal(12, 0), future_covariates=normal(5, 0),
        static=normal(0), series=codes.sum((1, 2)), past_codes=codes[:, :12], future_codes=codes[:, 12:],
        static_codes=codes[:, 0], seasonal=normal(5, 1), target=normal(5), target_mask=torch.ones(rows, 5),
        weight=torch.ones(rows), location=torch.full((rows, 1), 9.0), scale=torch.full((rows, 1), 3.0),
    )  # fmt: skip


def network(**params: object) -> torch.nn.Module:
    made = build(TrainSettings(model="deepar", params={"hidden_size": 8, **params}), SHAPE).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for (
            weights
        ) in made.parameters():  # heads start from zero, which hides what comes before them
            weights += 0.3 * torch.randn(weights.shape, generator=generator)
    return made


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_same_generator_gives_the_same_quantiles(likelihood: str) -> None:
    model, batch = network(likelihood=likelihood), any_batch()
    first, again, other = (
        model.quantiles(batch, LEVELS, torch.Generator().manual_seed(seed)).detach()
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert (first.diff(dim=-1) >= 0).all()


def test_a_window_is_forecast_the_same_in_any_company() -> None:
    model, batch = network(paths=300), any_batch(32)
    moved = replace(batch, past=batch.past.roll(5, 0), seasonal=batch.seasonal.roll(5, 0))
    torch.testing.assert_close(
        model.quantiles(moved, LEVELS).roll(-5, 0), model.quantiles(batch, LEVELS), rtol=0, atol=0
    )


@pytest.mark.parametrize("paths", [1, 3, 100])
def test_any_number_of_paths_gives_all_levels(paths: int) -> None:
    quantiles = network(paths=paths).quantiles(any_batch(), (0.005, 0.5, 0.995))
    assert quantiles.shape == (4, 5, 3)
    assert torch.isfinite(quantiles).all()


def test_missing_targets_are_neither_read_nor_counted() -> None:
    model, batch = network().train(), any_batch()
    mask = batch.target_mask * (torch.arange(5) != 2)
    first, other = (
        replace(
            batch, target=batch.target.index_fill(1, torch.tensor([2]), value), target_mask=mask
        )
        for value in (0.0, -50.0)
    )
    torch.testing.assert_close(model.loss(first), model.loss(other))


def frame_of(values: np.ndarray) -> pd.DataFrame:
    series, steps = values.shape
    return pd.DataFrame(
        {
            "series": np.repeat([f"s{i:02d}" for i in range(series)], steps),
            "time": np.tile(pd.date_range("2024-01-01", periods=steps, freq="D"), series),
            "value": values.ravel(),
        }
    )


def test_intervals_cover_the_noise_that_was_simulated() -> None:
    noise = 50 + 4 * np.random.default_rng(0).standard_t(4, (24, 90))
    knobs = {
        "params": {"hidden_size": 16},
        "horizon": 5,
        "lookback": 30,
        "steps": 120,
        "guard": False,
    }
    model = Forecaster(model="deepar", **knobs).fit(frame_of(noise[:, :85]))
    made = model.predict()
    actual = noise[:, 85:].ravel()
    share = ((actual >= made["lo_80"]) & (actual <= made["hi_80"])).mean()
    assert 0.7 < share < 0.93
    width = (made["hi_80"] - made["lo_80"]).mean() / 4
    assert width == pytest.approx(2 * stats.t(4).ppf(0.9), rel=0.25)


@pytest.mark.slow
def test_counts_are_learned() -> None:
    drawn = (
        np.random.default_rng(1).negative_binomial(2, 0.4, (24, 90)).astype(float)
    )  # mean 3, variance 7.5
    model = Forecaster(
        model="deepar",
        params={"hidden_size": 16, "likelihood": "negative-binomial"},
        horizon=5,
        lookback=30,
        steps=120,
        guard=False,
    ).fit(frame_of(drawn))
    made = model.predict()
    low, middle, high = (stats.nbinom(2, 0.4).ppf(level) for level in (0.1, 0.5, 0.9))
    assert (made["lo_80"] > -0.01).all()
    assert made["lo_80"].mean() == pytest.approx(low, abs=0.7)
    assert made["forecast"].mean() == pytest.approx(middle, abs=0.7)
    assert made["hi_80"].mean() == pytest.approx(high, abs=1.5)

"""The likelihoods, and the quantiles of sampled paths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecast import Forecaster
from forecast.models.shared.building import build
from forecast.models.shared.likelihoods import (
    LIKELIHOODS,
    Gaussian,
    NegativeBinomial,
    StudentT,
    gamma_draws,
    poisson_quantile,
)
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.windows.windows import Batch

LEVELS = (0.1, 0.5, 0.9)
SHAPE = Shape(lookback=12, horizon=5, seasons=(4,), levels=LEVELS)
MANY = 20_000


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
        for weights in made.parameters():  # heads start from zero, which hides what comes before them
            weights += 0.3 * torch.randn(weights.shape, generator=generator)
    return made


def shares(draws: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(draws, 1, MANY, generator=torch.Generator().manual_seed(seed)).clamp(1e-6, 1 - 1e-6)


def negative_binomial(rate: float, excess: float) -> NegativeBinomial:
    one = torch.ones(1, 1)
    return NegativeBinomial(rate * one, excess * one, 0 * one, one)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_same_generator_gives_the_same_quantiles(likelihood: str) -> None:
    model, batch = network(likelihood=likelihood), any_batch()
    first, again, other = (
        model.quantiles(batch, LEVELS, torch.Generator().manual_seed(seed)).detach() for seed in (1, 1, 2)
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
        replace(batch, target=batch.target.index_fill(1, torch.tensor([2]), value), target_mask=mask)
        for value in (0.0, -50.0)
    )
    torch.testing.assert_close(model.loss(first), model.loss(other))


@settings(max_examples=25, deadline=None)
@given(location=st.floats(-3, 3), scale=st.floats(0.05, 5), freedom=st.floats(2.1, 40))
def test_densities_are_those_of_the_textbook(location: float, scale: float, freedom: float) -> None:
    def told(number: float) -> torch.Tensor:
        return torch.full((1, 1), number, dtype=torch.float64)

    value = torch.linspace(-4, 4, 9, dtype=torch.float64)[None]
    student = StudentT(told(location), told(scale), told(freedom)).log_density(value).numpy()
    expected = stats.t.logpdf(value.numpy(), freedom, location, scale) + 0.5 * np.log(np.pi)
    np.testing.assert_allclose(student, expected, rtol=1e-6, atol=1e-6)
    normal = Gaussian(told(location), told(scale)).log_density(value).numpy()
    np.testing.assert_allclose(normal, stats.norm.logpdf(value, location, scale) + 0.5 * np.log(2 * np.pi), atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(rate=st.floats(0.01, 1e5), excess=st.floats(1e-3, 20))
def test_probabilities_of_counts_are_those_of_the_textbook(rate: float, excess: float) -> None:
    counts = torch.tensor([[0.0, 1.0, 7.0, 1000.0, 1e6]])
    told = negative_binomial(rate, excess)
    shape = 1 / excess
    expected = stats.nbinom.logpmf(counts.numpy(), shape, shape / (shape + rate))
    np.testing.assert_allclose(told.log_density(counts).numpy(), expected, rtol=1e-3, atol=1e-3)


def test_values_below_zero_count_as_none() -> None:
    told = negative_binomial(3.0, 0.5)
    assert told.log_density(torch.tensor([[-4.0]])) == told.log_density(torch.tensor([[0.0]]))


@pytest.mark.parametrize("freedom", [2.2, 5.0, 30.0])
def test_student_draws_have_students_distribution(freedom: float) -> None:
    one = torch.ones(1, 1)
    values = StudentT(2 * one, 3 * one, freedom * one).draw(shares(2))[0]
    assert stats.kstest(values.numpy(), stats.t(freedom, 2, 3).cdf).pvalue > 0.01


@pytest.mark.parametrize("shape", [0.3, 1.0, 30.0])
def test_gamma_draws_have_the_gamma_distribution(shape: float) -> None:
    values = gamma_draws(torch.full((1, 1), shape), shares(NegativeBinomial.draws - 1, seed=1))[0]
    assert stats.kstest(values.double().numpy(), stats.gamma(shape).cdf).pvalue > 0.01


@settings(max_examples=60, deadline=None)
@given(rate=st.floats(0.01, 1e4), share=st.floats(0.001, 0.999))
def test_poisson_quantiles_are_those_of_the_textbook(rate: float, share: float) -> None:
    told = float(poisson_quantile(torch.tensor(rate), torch.tensor(share)))
    expected = stats.poisson.ppf([share - 1e-5, share + 1e-5], rate)
    slack = 0 if rate <= 20 else 1
    assert expected[0] - slack <= told <= expected[1] + slack


@pytest.mark.parametrize(("rate", "excess"), [(0.3, 2.0), (8.0, 0.1), (500.0, 0.5)])
def test_counts_are_drawn_with_their_mean_and_variance(rate: float, excess: float) -> None:
    values = negative_binomial(rate, excess).draw(shares(NegativeBinomial.draws))
    assert torch.equal(values, values.round())
    variance = rate + excess * rate**2
    assert abs(values.mean() - rate) < 4 * (variance / MANY) ** 0.5
    assert float(values.var()) == pytest.approx(variance, rel=0.1)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_approximate_quantiles_lie_near_those_of_draws(likelihood: str) -> None:
    one = torch.ones(1, 1)
    told = LIKELIHOODS[likelihood].of(one, one[..., None] * torch.ones(2), 100 * one, 20 * one)
    near = told.at(torch.special.ndtri(torch.tensor(LEVELS)))[0]
    drawn = told.draw(shares(told.draws)).quantile(torch.tensor(LEVELS))
    spread = float(drawn[-1] - drawn[0])
    assert (near.diff() > 0).all()
    assert float((near - drawn).abs().max()) < 0.2 * spread


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
    knobs = {"params": {"hidden_size": 16}, "horizon": 5, "lookback": 30, "steps": 120, "guard": False}
    model = Forecaster(model="deepar", **knobs).fit(frame_of(noise[:, :85]))
    made = model.predict()
    actual = noise[:, 85:].ravel()
    share = ((actual >= made["lo_80"]) & (actual <= made["hi_80"])).mean()
    assert 0.7 < share < 0.93
    width = (made["hi_80"] - made["lo_80"]).mean() / 4
    assert width == pytest.approx(2 * stats.t(4).ppf(0.9), rel=0.25)


def test_counts_are_learned() -> None:
    drawn = np.random.default_rng(1).negative_binomial(2, 0.4, (24, 90)).astype(float)  # mean 3, variance 7.5
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

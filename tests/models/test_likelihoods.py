"""Likelihoods against the textbook: densities, quantiles, and draws from uniform numbers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from forecast.models.shared.likelihoods import (
    LIKELIHOODS,
    Gaussian,
    NegativeBinomial,
    StudentT,
    gamma_draws,
    poisson_quantile,
)

LEVELS = (0.1, 0.5, 0.9)
MANY = 20_000


def shares(draws: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(draws, 1, MANY, generator=torch.Generator().manual_seed(seed)).clamp(
        1e-6, 1 - 1e-6
    )


def negative_binomial(rate: float, excess: float) -> NegativeBinomial:
    one = torch.ones(1, 1)
    return NegativeBinomial(rate * one, excess * one, 0 * one, one)


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
    np.testing.assert_allclose(
        normal, stats.norm.logpdf(value, location, scale) + 0.5 * np.log(2 * np.pi), atol=1e-6
    )


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
    told = LIKELIHOODS[likelihood].from_outputs(
        one, one[..., None] * torch.ones(2), 100 * one, 20 * one
    )
    near = told.at(torch.special.ndtri(torch.tensor(LEVELS)))[0]
    drawn = told.draw(shares(told.draws)).quantile(torch.tensor(LEVELS))
    width = float(drawn[-1] - drawn[0])
    assert (near.diff() > 0).all()
    assert float((near - drawn).abs().max()) < 0.2 * width


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_mean_is_that_of_draws(likelihood: str) -> None:
    one = torch.ones(1, 1)
    told = LIKELIHOODS[likelihood].from_outputs(
        one, one[..., None] * torch.ones(2), 100 * one, 20 * one
    )
    drawn = told.draw(shares(told.draws))
    assert float(drawn.mean()) == pytest.approx(
        float(told.mean()), abs=5 * float(drawn.std()) / MANY**0.5
    )


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_no_raw_output_makes_a_density_without_bound(likelihood: str) -> None:
    one = torch.ones(1, 1)
    told = LIKELIHOODS[likelihood].from_outputs(
        one, one[..., None] * torch.full((2,), -200.0), 100 * one, 20 * one
    )
    assert torch.isfinite(told.log_density(one))
    assert torch.isfinite(told.draw(shares(told.draws))).all()

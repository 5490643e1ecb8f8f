"""Errors at common origins: how they are stored, and what follows for sums of equal and of independent series."""

import numpy as np
import pytest

from forecast.intervals.joint_errors import ERROR_STEP, JointErrors, sum_quantiles, variance_share
from forecast.metrics.quantiles import LEVELS, compute_mean, normal_deviates

WINDOWS, SERIES, HORIZON = 40, 30, 4


def errors_of(common: float) -> np.ndarray:
    """Errors of which series have a share in common, [windows, series, horizon]."""
    random = np.random.default_rng(0)
    shared, own = (
        random.normal(size=(WINDOWS, 1, HORIZON)),
        random.normal(size=(WINDOWS, SERIES, HORIZON)),
    )
    return np.sqrt(common) * shared + np.sqrt(1 - common) * own


def test_errors_are_stored_in_small_steps_and_unknown_ones_are_known_as_such() -> None:
    errors = errors_of(0.5)
    errors[3, 2] = np.nan
    joint = JointErrors.estimate(errors, 2)
    assert joint.values.nbytes == errors.size
    found, known = joint.at(np.array([2, -1, 0]), HORIZON)
    assert not known[3, 0].any()
    assert not known[:, 1].any()
    assert known.sum() == (2 * WINDOWS - 1) * HORIZON
    assert np.abs(found[:, 2] - errors[:, 0]).max() <= ERROR_STEP / 2 + 1e-9
    assert (found[~known] == 0).all()
    far = JointErrors.estimate(np.full((1, 1, 1), -1e9), 1).at(np.array([0]), 1)
    assert far[1].all()
    assert far[0].item() < -6


@pytest.mark.parametrize(("stride", "windows"), [(1, 1 + 39 / 4), (4, 40), (9, 40)])
def test_windows_that_overlap_count_in_part(stride: int, windows: float) -> None:
    assert JointErrors.estimate(errors_of(0), stride).independent_windows == pytest.approx(windows)
    assert JointErrors.estimate(np.zeros((0, 2, 3)), 1).independent_windows == 0


@pytest.mark.parametrize("common", [0.0, 0.5, 1.0])
def test_the_share_of_series_in_common_is_found(common: float) -> None:
    joint = JointErrors.estimate(errors_of(common), HORIZON)
    assert joint.series_correlation == pytest.approx(common, abs=0.2)
    np.testing.assert_allclose(joint.step_correlation, np.eye(HORIZON), atol=0.35)


@pytest.mark.parametrize("common", [0.0, 0.5, 1.0])
def test_the_variance_of_a_sum_is_that_of_its_series_and_of_what_they_share(common: float) -> None:
    errors = errors_of(common)[..., 0]
    expected = (SERIES * (1 - common) + SERIES**2 * common) / SERIES**2
    whole = np.full(1, float(SERIES))
    shares = [
        variance_share(
            part.sum(1)[:, None],
            np.full((WINDOWS, 1), SERIES),
            (part**2).sum()[None],
            whole,
            whole,
            expected + 0 * whole,
            40,
        )
        for part in (errors, -errors, 3 * errors)
    ]
    np.testing.assert_allclose(shares, expected, rtol=0.35)
    np.testing.assert_allclose(shares, shares[0][0] + np.zeros((3, 1)), rtol=1e-9)


def test_a_sum_whose_cells_are_one_has_their_quantiles_and_one_of_many_is_normal() -> None:
    quantiles = np.exp(normal_deviates(LEVELS))[None]  # lopsided
    mean = compute_mean(quantiles, LEVELS)
    np.testing.assert_allclose(
        sum_quantiles(quantiles, mean, np.ones(1), 40.0, LEVELS), quantiles, rtol=1e-4
    )
    narrow = sum_quantiles(quantiles, mean, np.full(1, 1e-4), 1e6, LEVELS)[0]
    np.testing.assert_allclose(
        narrow - narrow[4], -(narrow - narrow[4])[::-1], rtol=0.05, atol=1e-9
    )
    assert narrow[4] == pytest.approx(mean.item(), rel=1e-3)
    assert (np.diff(narrow) > 0).all()

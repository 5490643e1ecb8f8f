"""Margins that make intervals hold."""

import numpy as np
import pytest

from forecast.evaluation.calibration import conformal_margins, say_few_scores
from forecast.evaluation.quantiles import LEVELS
from forecast.training.members import moved_by


def test_intervals_that_are_too_narrow_hold_afterwards() -> None:
    random = np.random.default_rng(0)
    steps = np.arange(1, 9)
    narrow = np.broadcast_to(np.linspace(-0.4, 0.4, len(LEVELS)), (500, 8, len(LEVELS)))
    margins = conformal_margins(narrow, random.normal(size=(500, 8)) * steps, np.ones((500, 8), bool), LEVELS)
    new = random.normal(size=(4000, 8)) * steps
    moved = moved_by(narrow[:1], margins)
    for low, high, wanted in ((2, 6, 0.8), (1, 7, 0.95)):
        covered = ((new >= moved[0, :, low]) & (new <= moved[0, :, high])).mean(0)
        assert covered.mean() == pytest.approx(wanted, abs=0.04)
    assert margins[:, 0].max() < margins[0, 1] <= 0
    assert (margins[:, 4] == 0).all()


def test_masked_values_and_no_values_move_nothing() -> None:
    quantiles = np.zeros((3, 4, len(LEVELS)))
    wild = np.full((3, 4), 1e6)
    assert (conformal_margins(quantiles, wild, np.zeros((3, 4), bool), LEVELS) == 0).all()
    assert (conformal_margins(quantiles[:0], wild[:0], np.zeros((0, 4), bool), LEVELS) == 0).all()


def test_quantiles_stay_in_order_whatever_the_margins() -> None:
    random = np.random.default_rng(1)
    quantiles = np.sort(random.normal(size=(5, 3, 9)), -1)
    moved = moved_by(quantiles, random.normal(size=(3, 9)).astype(np.float32))
    assert (np.diff(moved, axis=-1) >= 0).all()


def test_few_held_out_windows_are_said(caplog: pytest.LogCaptureFixture) -> None:
    say_few_scores(20, 95)
    assert caplog.text == ""
    say_few_scores(19, 95)
    assert "19 held-out windows" in caplog.text

"""What is held out: by date, of all series at once, and read by nothing before."""

import logging

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.training.split import split_windows, validation_windows

DAYS = pd.date_range("2023-01-01", periods=300)


def panel(starts: list[int], ends: list[int], seed: int = 0) -> pd.DataFrame:
    """Series of daily values that one shock after another moves together."""
    random = np.random.default_rng(seed)
    common = 100 + random.normal(size=300).cumsum()
    spans = [slice(start, end) for start, end in zip(starts, ends, strict=True)]
    parts = [
        pd.DataFrame(
            {"id": f"s{i}", "day": DAYS[span], "y": (common + random.normal(size=300))[span]}
        )
        for i, span in enumerate(spans)
    ]
    return pd.concat(parts)


def test_no_network_trains_on_a_date_at_which_another_series_validates() -> None:
    frame = panel([0, 0, 0, 180, 200, 220, 290], [300] * 7)
    fitted = Forecaster(model="segrnn", steps=2, horizon=7, guard=False).fit(frame).fitted_
    held, base = fitted.ensemble.validation, fitted
    assert held is not None
    assert base is not None
    assert set(held.series) == set(range(6))  # the last one has too short a past
    assert held.first.min() >= base.trained_until[:6].max()


def test_held_out_dates_are_older_where_most_series_have_no_newer_values(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="forecast")
    frame = panel([0] * 40, [300] * 5 + [270] * 35)
    model = Forecaster(model="segrnn", steps=2, horizon=3, lookback=40, guard=False).fit(frame)
    held = model.fitted_.ensemble.validation
    assert held is not None
    assert len(np.unique(held.series[held.observed.any(1)])) == 40
    assert caplog.text.count("most series ended") == 1
    assert held.first.min() >= model.fitted_.trained_until.max()


@pytest.mark.parametrize("lengths", [[300, 300, 300], [300, 120, 60, 9], [4, 5], [40] * 30])
def test_without_dates_and_with_one_length_each_series_holds_out_its_own_share(
    lengths: list[int],
) -> None:
    some = np.array(lengths)
    split = split_windows(some, lookback=14, horizon=5, season=7)
    dated = split_windows(some, lookback=14, horizon=5, season=7, gaps=np.zeros(len(some), int))
    for length, end, own in zip(lengths, split.train_end, split.held_out, strict=True):
        share = max(length // 4 if len(lengths) < 20 else 0, length // 10, 5)
        most = 5 * max(10, -(-20 // len(lengths)))
        assert end == (length - min(share, most) if own else length)
    if len(set(lengths)) == 1:
        assert (dated.train_end == split.train_end).all()
        np.testing.assert_equal(validation_windows(dated), validation_windows(split))
    else:
        assert len(set(some - dated.train_end) - {4, 9}) <= 1


def test_a_shock_that_moves_all_series_is_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    from forecast.ensemble import ensemble

    cross = ensemble.cross_fitted_weights
    monkeypatch.setattr(
        ensemble, "cross_fitted_weights", lambda *args: seen.append(args) or cross(*args)
    )
    fitted = (
        Forecaster(model="pretrained", horizon=7).fit(panel([0, 0, 150, 190], [300] * 4)).fitted_
    )
    held, losses = fitted.ensemble.validation, seen[0][0]
    assert held is not None
    blocks = (
        pd.DataFrame({"day": held.first, "block": losses.block}).groupby("day")["block"].nunique()
    )
    assert (blocks == 1).all()
    assert losses.block.max() > 2


def test_held_out_values_do_not_choose_the_exponent() -> None:
    random = np.random.default_rng(0)
    level = np.linspace(10, 100, 300)
    past = (level + level**0.5 * random.normal(size=300))[:230]
    powers = []
    for held_out in (past[:70], 1000 * np.exp(random.normal(0, 2, 70)), np.zeros(70)):
        frame = pd.DataFrame({"day": DAYS, "y": np.append(past, held_out)})
        model = Forecaster(model="seasonal-naive", transform="power", horizon=7, season=7).fit(
            frame
        )
        powers.append(model.fitted_.config.power)
    assert 0.2 < powers[0] == powers[1] == powers[2] < 1


@pytest.mark.parametrize("length", [2, 3, 9, 30, 400, 20_000])
def test_training_windows_end_before_what_is_held_out(length: int) -> None:
    split = split_windows(np.array([length]), lookback=24, horizon=12, season=6)
    assert 1 <= int(split.train_end[0]) <= length
    last = int(split.last(False)[0])
    assert last < int(split.train_end[0])
    if length >= 100:
        assert split.held_out.all()
        assert last + 12 <= int(split.train_end[0])
        assert length - int(split.train_end[0]) >= 12
    assert split.count(True)[0] >= 1

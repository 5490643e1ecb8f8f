"""The stages of a fit: what is held out is not seen, what a budget leaves, and what is refused with a way out."""

import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from forecast.engine.fit import BUDGET_SHARES, compute_deadline, fit
from forecast.engine.holdout import HeldOut, hold_out
from forecast.engine.requests import FitRequest, FitTask
from forecast.errors import BadData, Unavailable, UsageError
from forecast.inference.fitted import Fitted
from forecast.panel.infer import Reading, read
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from tests._inputs import read_days

DAYS = [10 + math.sin(day / 3) + day / 50 for day in range(60)]
SMALL = {
    "model": "gru",
    "params": {"hidden_size": 4},
    "steps": 4,
    "members": 1,
    "baselines": ("last",),
}


@pytest.fixture(scope="module")
def reading() -> Reading:
    return read_days(DAYS, DAYS[20:])


def asked(reading: Reading, **settings: object) -> FitRequest:
    return FitRequest(reading, TrainSettings(**settings), sums=False)


def fit_of(reading: Reading, **settings: object) -> Fitted:
    return fit(asked(reading, **settings))


def test_without_a_budget_there_is_no_deadline(reading: Reading) -> None:
    assert compute_deadline(asked(reading)) is None


@pytest.mark.parametrize(
    ("packages", "budget", "exports"),
    [(True, 50, 4.0), (True, 12, 2.0), (True, 6, 1.0), (False, 50, 0.0)],
)
def test_training_leaves_time_for_exports_where_they_can_be_made(
    monkeypatch: pytest.MonkeyPatch,
    reading: Reading,
    packages: bool,
    budget: float,
    exports: float,
) -> None:
    monkeypatch.setattr(
        "forecast.engine.fit.find_spec", lambda name: object() if packages else None
    )
    expected = 100 + (1 - BUDGET_SHARES.sums) * budget - exports - BUDGET_SHARES.rest
    request = replace(asked(reading, budget=budget), started=100.0, sums=True)
    assert compute_deadline(request) == pytest.approx(expected)


def test_a_network_that_a_budget_taught_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, reading: Reading
) -> None:
    monkeypatch.setattr("forecast.engine.train.FEW_STEPS", 10**9)
    left_out = fit_of(reading, budget=1, **{**SMALL, "steps": None})
    assert left_out.config.plan.members == ()
    assert left_out.ensemble.components == ("last",)
    alone = fit_of(reading, budget=1, guard=False, **{**SMALL, "steps": None})
    assert alone.ensemble.components == ("gru",)


def test_baselines_end_with_the_budget_as_well(
    monkeypatch: pytest.MonkeyPatch, reading: Reading, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(
        "forecast.engine.fit.BUDGET_SHARES", replace(BUDGET_SHARES, least_baselines=0.0)
    )
    late = replace(asked(reading, baselines=("last", "theta", "mean"), budget=1), started=0.0)
    assert fit(late).ensemble.components == ("last",)
    assert "no time for theta, mean, left out; pass a larger" in caplog.text
    assert "too short for networks to learn" in caplog.text


def test_a_budget_holds_where_three_processes_take_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    day = np.arange(700)
    random = np.random.default_rng(0)
    promo = random.random((len(day), 12)) < 0.1
    values = random.poisson(20 + 5 * np.sin(2 * np.pi * day[:, None] / 7) + 9 * promo)
    dates = pd.date_range("2022-01-01", periods=len(day))
    shops = [
        pd.DataFrame({"shop": f"s{i}", "day": dates, "units": values[:, i], "promo": promo[:, i]})
        for i in range(values.shape[1])
    ]
    how = TableSettings(known=("promo",))
    table = table_from_frame(pd.concat(shops))
    settings = TrainSettings(budget=6, horizon=28, jobs=1)
    monkeypatch.setattr(time, "monotonic", lambda: 3 * time.process_time())
    begun = time.monotonic()
    fit(FitRequest(table, settings, how, saves=False))
    assert time.monotonic() - begun < 1.4 * 6  # a share, as cores that share a cache are slower


def test_a_baseline_is_fitted_without_a_network(reading: Reading) -> None:
    fitted = fit_of(reading, model="last", baselines=("last",))
    assert fitted.ensemble.components == ("last",)
    assert fitted.config.plan.members == ()
    assert fitted.network_weights == []
    assert fitted.config.train_end.startswith("2024-12-31")


def test_a_device_that_is_missing_is_refused_for_a_baseline_too(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="cuda"):
        fit_of(reading, model="last", device="cuda")


def test_a_network_is_kept_as_it_was_before_it_saw_what_was_held_out(reading: Reading) -> None:
    fitted = fit_of(reading, guard=False, **SMALL)
    assert len(fitted.network_weights) == 1
    assert (fitted.trained_until < reading.panel.origins).all()
    assert (fitted.trained_until > reading.panel.starts).all()


HORIZON = 7


def panel_of_days(values: np.ndarray, horizon: int = HORIZON) -> tuple[Panel, Schema]:
    frame = pd.DataFrame({"day": pd.date_range("2024-01-01", periods=len(values)), "value": values})
    reading = read(table_from_frame(frame), TableSettings(), horizon=horizon)
    return reading.panel, reading.schema


def held_out(panel: Panel, schema: Schema, settings: TrainSettings) -> HeldOut:
    request = FitRequest(read_days(DAYS), settings)
    return hold_out(FitTask(panel, schema, "days.csv", request), None)


@pytest.fixture(scope="module")
def week() -> np.ndarray:
    """A closed Sunday, and growth that asks for a transform."""
    days = np.arange(210)
    return np.where(days % 7 == 6, 0.0, np.exp(days / 60) * (10 + days % 7))


def test_what_is_held_out_changes_nothing_that_a_fit_rests_on(week: np.ndarray) -> None:
    panel, schema = panel_of_days(week)
    ready = held_out(panel, schema, TrainSettings())
    end = int(ready.split.train_end[0])
    assert 0 < end < panel.lengths[0]
    assert len(ready.effects.closed) == 1
    later = np.arange(len(panel.values)) >= end
    changed = replace(panel, values=np.where(later, 1e6, panel.values))
    other = held_out(changed, schema, TrainSettings())
    assert other.inputs.power == ready.inputs.power
    assert (other.effects.closed.phase == ready.effects.closed.phase).all()
    assert other.lookback == ready.lookback
    assert other.statistics == ready.statistics


def test_a_lookback_that_no_series_holds_names_the_longest(week: np.ndarray) -> None:
    panel, schema = panel_of_days(week[:60])
    with pytest.raises(UsageError, match=r"longest series of days\.csv, which has 60 steps"):
        held_out(panel, schema, TrainSettings(lookback=5_000))


def test_series_that_are_too_short_for_a_network_name_the_pretrained_one(week: np.ndarray) -> None:
    panel, schema = panel_of_days(week[:5], 20)
    with pytest.raises(BadData, match="5 values, too few to learn a horizon of 20 from") as refused:
        held_out(panel, schema, TrainSettings(model="gru"))
    assert "pretrained" in str(refused.value)
    assert not held_out(panel, schema, TrainSettings(model="pretrained")).trains


def test_a_model_that_is_a_baseline_trains_no_network(week: np.ndarray) -> None:
    panel, schema = panel_of_days(week)
    assert not held_out(panel, schema, TrainSettings(model="theta")).trains
    assert held_out(panel, schema, TrainSettings(model="gru")).trains

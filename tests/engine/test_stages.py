"""The stages of a fit: what a budget leaves, what a baseline skips, what a plan may not continue."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.engine.stages import RESERVE, SUMS_SHARE, PanelFit, deadline_of
from forecast.errors import Unavailable, UsageError
from forecast.reading.reading import Reading
from forecast.settings import TrainSettings
from forecast.training.rehearsal import Rehearsal
from tests._inputs import read_days

DAYS = [10 + math.sin(day / 3) + day / 50 for day in range(60)]
SMALL = {"model": "gru", "params": {"hidden_size": 4}, "steps": 4, "members": 1, "baselines": ("last",)}


@pytest.fixture(scope="module")
def reading() -> Reading:
    return read_days(DAYS, DAYS[20:])


def fit_of(reading: Reading, **settings: object) -> PanelFit:
    return PanelFit(reading.panel, reading.schema, TrainSettings(**settings), "days.csv")


def test_without_a_budget_there_is_no_deadline() -> None:
    assert deadline_of(TrainSettings(), 100.0) is None


@pytest.mark.parametrize(
    ("packages", "budget", "exports"), [(True, 50, 4.0), (True, 12, 2.0), (True, 6, 1.0), (False, 50, 0.0)]
)
def test_training_leaves_time_for_exports_where_they_can_be_made(
    monkeypatch: pytest.MonkeyPatch, packages: bool, budget: float, exports: float
) -> None:
    monkeypatch.setattr("forecast.engine.stages.find_spec", lambda name: object() if packages else None)
    expected = 100 + (1 - SUMS_SHARE) * budget - exports - RESERVE
    assert deadline_of(TrainSettings(budget=budget), 100.0) == pytest.approx(expected)


def test_a_baseline_is_fitted_without_a_network(reading: Reading) -> None:
    fitted = fit_of(reading, model="last", baselines=("last",)).run()
    assert fitted.config.components == ("last",)
    assert fitted.config.plan.members == ()
    assert fitted.network_weights == []
    assert fitted.config.train_end.startswith("2024-12-31")


def test_a_device_that_is_missing_is_refused_for_a_baseline_too(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(Unavailable, match="cuda"):
        fit_of(reading, model="last", device="cuda").run()


def test_a_plan_that_continues_another_artifact_needs_that_artifact(reading: Reading, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"members": [], "started_from": "a" * 64}))
    with pytest.raises(UsageError, match="continues the networks of another artifact, aaaaaaaaaaaa"):
        fit_of(reading, model="gru", plan=str(plan)).run()


def test_a_network_is_kept_as_it_was_before_it_saw_what_was_held_out(reading: Reading) -> None:
    fitted = fit_of(reading, guard=False, **SMALL).run()
    assert len(fitted.network_weights) == 1
    assert fitted.base is not None
    assert (fitted.base.trained_until < reading.panel.origins).all()
    assert (fitted.base.trained_until > reading.panel.starts).all()


def test_a_rehearsal_says_what_would_be_trained_and_trains_nothing(reading: Reading) -> None:
    rehearsal = Rehearsal()
    steps: list[object] = []
    fit = replace(fit_of(reading, guard=False, **SMALL), rehearsal=rehearsal, on_step=steps.append)
    fitted = fit.run()
    assert not steps
    assert [network.member for network in rehearsal.networks] == list(fitted.config.plan.members)
    assert rehearsal.networks[0].member.steps == 4
    assert all(np.isfinite(array).all() for weights in fitted.network_weights for array in weights.values())

"""Rounds of training: the better half again, no longer than there is time."""

import time
from itertools import count
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.tables.synthetic import synthesize
from forecast.training.halving import ROUND_PRIORS, train_networks
from forecast.training.loop import Trained
from forecast.training.plan import (
    Candidate,
    Member,
    Plan,
    StepPriors,
    TrainingContext,
    WarmStart,
    plan_member,
)


@pytest.mark.slow
def test_a_budget_trains_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.engine.train.FEW_STEPS", 1)
    frame = synthesize("seasonal", series=2, length=80)
    model = Forecaster(horizon=6, budget=4, jobs=1, params={"hidden_size": 4}).fit(frame)
    members = model.plan_.members
    assert 1 <= len(members) <= ROUND_PRIORS.most_networks
    assert {member.model for member in members} == {"segrnn"}


MODELS = ("segrnn", "linear", "gru", "lstm")
CANDIDATES = [Candidate(model=model, lookback=6) for model in MODELS]


class Fitter:
    """Trains nothing: a network takes the seconds that its model costs, and its forecast is the number of its model."""

    device, count = (
        torch.device("cpu"),
        24_000,
    )  # windows, which are worth 25 seconds and 12 networks

    def __init__(self, costs: dict[str, float], **settings: Any) -> None:
        known = {"steps": None, "members": None, "jobs": None}
        self.settings, self.costs = SimpleNamespace(**{**known, **settings}), costs
        self.rounds: list[list[str]] = []
        self.seconds: list[list[float]] = []
        self.contexts: list[TrainingContext] = []

    def cost(self, candidate: Candidate, seconds: float, measure: bool) -> float:
        return self.costs[candidate.model]

    def plan(self, candidates: list[Candidate], seconds: list[float], **how: Any) -> list[Member]:
        self.seconds.append(seconds)
        return [
            plan_member(candidate, how.get("steps") or 9, 8, True, how.get("warm", 0))
            for candidate in candidates
        ]

    def train(
        self, members: list[Member], context: TrainingContext
    ) -> tuple[list[Member], list[Trained]]:
        self.rounds.append([member.model for member in members])
        self.contexts.append(context)
        forecasts = [np.full((1, 1, 1), float(MODELS.index(member.model))) for member in members]
        return members, [Trained({}, {}, None, forecast, None, 9) for forecast in forecasts]


def trained(fitter: Fitter, context: TrainingContext | None = None, **more: Any) -> Plan:
    """Train candidates whose loss falls from the first one to the last one."""
    plan, results = train_networks(
        fitter,
        CANDIDATES,
        lambda forecast: -float(forecast.mean()),
        context or TrainingContext(),
        **({"start": None} | more),
    )
    assert len(results) == len(plan.members) == sum(map(len, fitter.rounds))
    return plan


def test_the_better_half_trains_again_until_the_time_is_over() -> None:
    fitter = Fitter(dict.fromkeys(MODELS, 4.0))
    trained(fitter)
    assert fitter.rounds == [list(MODELS)] + 4 * [["lstm", "gru"]]
    assert [context.first for context in fitter.contexts] == [
        0,
        4,
        6,
        8,
        10,
    ]  # each round has seeds of its own


def test_candidates_that_there_is_no_time_for_are_left_out() -> None:
    fitter = Fitter({"segrnn": 10.0, "linear": 10.0, "gru": 10.0, "lstm": 90.0})
    trained(fitter)
    assert fitter.rounds[0] == ["segrnn", "linear", "gru"]


def test_a_single_candidate_trains_on_both_cores() -> None:
    fitter = Fitter({"segrnn": 20.0, "linear": 90.0, "gru": 90.0, "lstm": 90.0})
    trained(fitter)
    assert fitter.rounds == [["segrnn", "segrnn"]]


def test_without_a_budget_no_clock_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forecast.training.plan.STEP_PRIORS", StepPriors(min_steps=20))
    frame = synthesize("seasonal", series=2, length=80)
    quick = Forecaster(horizon=6, params={"hidden_size": 4}, baselines=("last",)).fit(frame)
    clock = count(step=100.0)
    for name in (
        "monotonic",
        "perf_counter",
        "process_time",
    ):  # on a machine so slow that a step takes minutes
        monkeypatch.setattr(time, name, lambda: next(clock))
    slow = Forecaster(horizon=6, params={"hidden_size": 4}, baselines=("last",)).fit(frame)
    assert slow.plan_ == quick.plan_
    assert slow.fitted_.ensemble.scores == quick.fitted_.ensemble.scores
    pd.testing.assert_frame_equal(slow.predict(), quick.predict(), check_exact=True)


def test_steps_or_members_of_the_user_train_the_best_bet_in_one_round() -> None:
    fitter = Fitter({}, steps=7, members=3)
    assert [member.steps for member in trained(fitter).members] == [7, 7, 7]
    assert fitter.rounds == [["segrnn"] * 3]


def test_more_members_train_as_long_as_two_and_share_a_budget() -> None:
    two, nine, limited = (
        Fitter(dict.fromkeys(MODELS, 4.0), members=count, jobs=1) for count in (2, 9, 9)
    )
    trained(two)
    trained(nine)
    assert nine.seconds == [two.seconds[0][:1] * 9]
    trained(limited, TrainingContext(deadline=time.monotonic() + 90.0))
    assert sum(limited.seconds[0]) < 91.0


def test_a_warm_start_continues_each_network_once_and_says_from_where() -> None:
    fitter, weights = Fitter({}), [{"a": np.zeros(1)}, {"a": np.ones(1)}]
    plan = trained(fitter, start=WarmStart(CANDIDATES[:2], weights, warm=3, hash="a" * 64))
    assert [(member.model, member.warm) for member in plan.members] == [
        ("segrnn", 3),
        ("linear", 3),
    ]
    assert (plan.started_from, fitter.contexts[0].start_weights) == ("a" * 64, weights)

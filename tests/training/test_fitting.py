"""Fits of networks: plans follow from data, settings and costs; memory that runs out halves batches; processes."""

import math
import time

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.errors import Unavailable
from forecast.models.shared.building import build, to_arrays
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import TrainSettings
from forecast.training.fitting import Fitter, train_members
from forecast.training.loop import Trained
from forecast.training.plan import Candidate, Member, Progress, TrainingContext
from forecast.training.sampling import Draw
from forecast.training.split import split_windows
from forecast.windows.windows import Batch
from tests._inputs import LEVELS, inputs_of

DAYS = [math.sin(day / 3) + day / 50 for day in range(120)]
GRU = Candidate(model="gru", params={"hidden_size": 4}, lookback=8)


def fitter_of(*series: list[float], lags: tuple[int, ...] = (), **settings: object) -> Fitter:
    inputs = inputs_of(*(series or (DAYS, DAYS[:60])), lags=lags)
    lengths = np.asarray(inputs.panel.lengths)
    split = split_windows(lengths, 8, inputs.horizon, 1)
    return Fitter.prepare(inputs, split, TrainSettings(device="cpu", **settings))


def test_steps_of_the_user_are_taken_and_a_fifth_of_them_sees_what_was_held_out() -> None:
    (member,) = fitter_of(batch_size=16).plan([GRU], [1e-9], measure=False, steps=40)
    assert (member.steps, member.refit_steps, member.batch_size, member.candidate) == (
        40,
        8,
        16,
        GRU,
    )
    nothing_held_out = fitter_of(DAYS[:6])
    assert nothing_held_out.plan([GRU], [1.0], measure=False, steps=40)[0].refit_steps == 0


def test_a_plan_that_is_not_measured_is_the_same_each_time_and_grows_with_its_seconds() -> None:
    fitter = fitter_of(batch_size=32)
    plans = [
        fitter.plan([GRU], [seconds], measure=False)[0] for seconds in (1e-9, 0.01, 0.02, 0.02, 1e6)
    ]
    steps = [plan.steps for plan in plans]
    assert steps[0] == 1
    assert steps[1] < steps[2]
    assert plans[2] == plans[3]
    assert steps[4] == fitter._enough_steps(
        GRU, 32
    )  # more seconds bring no more steps than are enough


def test_what_is_held_out_changes_no_plan() -> None:
    changed = [[*days[:-20], *[1e6] * 20] for days in (DAYS, DAYS[:60])]
    before, after = fitter_of(), fitter_of(*changed)
    assert before.count == after.count
    assert before.plan([GRU], [0.01], measure=False) == after.plan([GRU], [0.01], measure=False)


def test_a_network_is_shaped_by_its_candidate_and_the_panel() -> None:
    shape = fitter_of(lags=(7,), loss="huber").shape(Candidate(model="gru", lookback=20))
    assert (shape.lookback, shape.horizon, shape.series, shape.seasons) == (20, 2, 2, (7,))
    assert (shape.levels, shape.loss) == (LEVELS, "huber")


def test_batches_halve_until_they_fit_in_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, limit = RecurrentModel.loss, 10

    def hungry(self: RecurrentModel, given: Batch) -> torch.Tensor:
        if self.training and len(given) > limit:
            raise MemoryError
        return real(self, given)

    monkeypatch.setattr(RecurrentModel, "loss", hungry)
    fitter = fitter_of(batch_size=32)
    members, trained = fitter.train(
        fitter.plan([GRU], [1.0], measure=False, steps=3), TrainingContext()
    )
    assert [member.batch_size for member in members] == [8]
    assert trained[0].steps == 3
    assert caplog.text.count("out of memory") == 2
    limit = 0
    with pytest.raises(Unavailable, match=r"out of memory at one window a step.*lookback"):
        fitter.train(members, TrainingContext())


def test_the_plan_of_a_fit_has_the_batches_that_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=90), "units": np.sin(np.arange(90.0))}
    )
    real = RecurrentModel.loss

    def hungry(self: RecurrentModel, given: Batch) -> torch.Tensor:
        if self.training and len(given) > 10:
            raise MemoryError
        return real(self, given)

    monkeypatch.setattr(RecurrentModel, "loss", hungry)
    fitted = Forecaster(steps=3, horizon=3, guard=False).fit(frame)
    assert [member.batch_size for member in fitted.plan_.members] == [8]


def test_other_failures_of_training_are_not_taken_for_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: RecurrentModel, given: Batch) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    fitter = fitter_of(batch_size=8)
    members = fitter.plan([GRU], [1.0], measure=False, steps=3)
    monkeypatch.setattr(RecurrentModel, "loss", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        fitter.train(members, TrainingContext())


NETWORK_SHAPE = Shape(lookback=6, horizon=2, levels=(0.1, 0.5, 0.9))
PARAMS = {"hidden_size": 4, "dropout": 0.3}
NETWORK_SETTINGS = TrainSettings(model="gru", params=PARAMS)
MEMBER = Member(
    model="gru", params=PARAMS, lookback=6, batch_size=8, steps=12, refit_steps=2, validate_every=5
)


def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
    return random_batch(NETWORK_SHAPE, size, int(torch.randint(1000, (1,), generator=generator)))


def make_data(member: Member) -> tuple[Shape, Draw, list[Batch]]:
    return NETWORK_SHAPE, draw, [random_batch(NETWORK_SHAPE, 8, 1)]


def train(members: list[Member], **context: object) -> list[Trained]:
    return train_members(
        members, make_data, NETWORK_SETTINGS, torch.device("cpu"), TrainingContext(**context)
    )


def same(one: Trained, other: Trained) -> bool:
    return all(np.array_equal(value, other.weights[name]) for name, value in one.weights.items())


def test_each_network_has_a_seed_by_its_number_in_the_plan() -> None:
    first, second = train([MEMBER, MEMBER])
    assert not same(first, second)
    assert same(train([MEMBER], first=1)[0], second)


def test_processes_train_the_same_networks_in_the_order_of_the_members() -> None:
    members = [MEMBER, MEMBER.model_copy(update={"steps": 20}), MEMBER]
    alone, together = train(members), train(members, jobs=2, seconds=[1.0, 5.0, 2.0])
    assert [result.steps for result in together] == [12, 20, 12]
    assert all(map(same, alone, together))


def test_networks_start_from_the_weights_that_they_are_given() -> None:
    weights = to_arrays(build(MEMBER, NETWORK_SHAPE, 99).state_dict())
    warm = MEMBER.model_copy(update={"warm": 1})
    assert not same(train([warm])[0], train([warm], start_weights=[weights])[0])


def test_each_network_has_its_share_of_the_time_that_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deadlines = []

    def trained(*parts: object) -> None:
        deadlines.append(parts[-1].deadline - time.monotonic())  # type: ignore[union-attr]

    monkeypatch.setattr("forecast.training.fitting.train", trained)
    train([MEMBER, MEMBER], deadline=time.monotonic() + 100.0, seconds=[1.0, 3.0])
    assert deadlines == [
        pytest.approx(75.0, abs=3.0),
        pytest.approx(100.0, abs=3.0),
    ]  # the longer one trains first


def test_progress_is_that_of_this_process() -> None:
    seen: list[Progress] = []
    train([MEMBER, MEMBER], on_step=seen.append)
    assert [(at.member, at.step) for at in seen] == [
        (number, step) for number in (0, 1) for step in range(1, 13)
    ]

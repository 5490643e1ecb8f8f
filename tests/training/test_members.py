"""Networks that train side by side are those that train one after another."""

import time

import numpy as np
import pytest
import torch

from forecast.models.shared.building import build, to_arrays
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.training.context import Progress, TrainingContext
from forecast.training.fitting import train_members
from forecast.training.loop import Trained
from forecast.training.plan import Member
from forecast.training.sampling import Draw
from forecast.windows.windows import Batch

SHAPE = Shape(lookback=6, horizon=2, levels=(0.1, 0.5, 0.9))
PARAMS = {"hidden_size": 4, "dropout": 0.3}
SETTINGS = TrainSettings(model="gru", params=PARAMS)
MEMBER = Member(model="gru", params=PARAMS, lookback=6, batch_size=8, steps=12, refit_steps=2, validate_every=5)


def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
    return random_batch(SHAPE, size, int(torch.randint(1000, (1,), generator=generator)))


def make_data(member: Member) -> tuple[Shape, Draw, list[Batch]]:
    return SHAPE, draw, [random_batch(SHAPE, 8, 1)]


def train(members: list[Member], **context: object) -> list[Trained]:
    return train_members(members, make_data, SETTINGS, torch.device("cpu"), TrainingContext(**context))


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
    weights = to_arrays(build(MEMBER, SHAPE, 99).state_dict())
    warm = MEMBER.model_copy(update={"warm": 1})
    assert not same(train([warm])[0], train([warm], start_weights=[weights])[0])


def test_each_network_has_its_share_of_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines = []

    def trained(*parts: object) -> None:
        deadlines.append(parts[-1].deadline - time.monotonic())  # type: ignore[union-attr]

    monkeypatch.setattr("forecast.training.fitting.train", trained)
    train([MEMBER, MEMBER], deadline=time.monotonic() + 100.0, seconds=[1.0, 3.0])
    assert deadlines == [pytest.approx(75.0, abs=3.0), pytest.approx(100.0, abs=3.0)]  # the longer one trains first


def test_progress_is_that_of_this_process() -> None:
    seen: list[Progress] = []
    train([MEMBER, MEMBER], on_step=seen.append)
    assert [(at.member, at.step) for at in seen] == [(number, step) for number in (0, 1) for step in range(1, 13)]

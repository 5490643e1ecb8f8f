"""What a step costs: estimates follow from the network and the batch, and a measurement counts the fastest step."""

import time

import pytest
import torch

from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.training.costs import (
    PROBE_STEPS,
    StepCosts,
    default_batch_size,
)
from forecast.training.plan import Candidate, plan_member
from forecast.windows.windows import Batch

SHAPE = Shape(lookback=48, horizon=4, levels=(0.1, 0.5, 0.9))


def seconds(model: str, windows: int = 64, shape: Shape = SHAPE, **params: object) -> float:
    network = build(Candidate(model=model, params=params, lookback=shape.lookback), shape)
    return StepCosts(network, random_batch(shape, 8, 0)).estimate(windows)


def test_wide_deep_and_long_networks_cost_more_and_more_windows_too() -> None:
    plain = seconds("lstm", hidden_size=32)
    assert plain < seconds("lstm", hidden_size=256)
    assert plain < seconds("lstm", hidden_size=32, layers=3)
    assert plain < seconds("lstm", windows=6400, hidden_size=32)
    assert plain < seconds(
        "lstm", shape=Shape(lookback=480, horizon=4, levels=SHAPE.levels), hidden_size=32
    )


def test_an_estimate_is_the_same_each_time_and_leaves_the_network_as_it_is() -> None:
    assert seconds("segrnn") == seconds("segrnn")
    network, batch = build(Candidate(model="gru", lookback=48), SHAPE), random_batch(SHAPE, 8, 0)
    StepCosts(network, batch).estimate(64)
    assert not any(layer._forward_hooks for layer in network.modules())


@pytest.mark.parametrize(
    ("windows", "a_step", "size"), [(10, 0.01, 32), (10**6, 0.01, 128), (10**6, 0.1, 64)]
)
def test_batches_are_smaller_for_few_windows_and_where_steps_would_be_few(
    windows: int, a_step: float, size: int
) -> None:
    assert default_batch_size(windows, lambda count: a_step * count / 128, 25.0) == size


def test_a_step_is_measured_once_and_the_fastest_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(Candidate(model="gru", lookback=48), SHAPE)
    member = plan_member(Candidate(model="gru", lookback=48), 1, 8, refit=False)
    times = iter([0.0, 9.0, 10.0, 12.0, 20.0, 25.0])

    def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        return random_batch(SHAPE, size, 0)

    costs = StepCosts(network, random_batch(SHAPE, 8, 0))
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    assert costs.measure(member, TrainSettings(), draw) == 2.0
    assert PROBE_STEPS == 3
    assert costs.measure(member, TrainSettings(), draw) == 2.0

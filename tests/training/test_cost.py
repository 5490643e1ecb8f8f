"""What a step costs follows from the network and its batch; a probe keeps the fastest step."""

from collections.abc import Iterator

import pytest
import torch

from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.training.fitting import PROBE_STEPS, Probe, default_batch_size, estimate_step
from forecast.training.plan import Candidate, plan_member
from forecast.training.state import TrainingState
from forecast.windows.windows import Batch

SHAPE = Shape(lookback=48, horizon=4, levels=(0.1, 0.5, 0.9))


def seconds(model: str, windows: int = 64, shape: Shape = SHAPE, **params: object) -> float:
    network = build(Candidate(model=model, params=params, lookback=shape.lookback), shape)
    return estimate_step(network, random_batch(shape, 8, 0), windows)


def test_wide_deep_and_long_networks_cost_more_and_more_windows_too() -> None:
    plain = seconds("lstm", hidden_size=32)
    assert plain < seconds("lstm", hidden_size=256)
    assert plain < seconds("lstm", hidden_size=32, layers=3)
    assert plain < seconds("lstm", windows=6400, hidden_size=32)
    assert plain < seconds("lstm", shape=Shape(lookback=480, horizon=4, levels=SHAPE.levels), hidden_size=32)


def test_an_estimate_is_the_same_each_time_and_leaves_the_network_as_it_is() -> None:
    assert seconds("segrnn") == seconds("segrnn")
    network, batch = build(Candidate(model="gru", lookback=48), SHAPE), random_batch(SHAPE, 8, 0)
    estimate_step(network, batch, 64)
    assert not any(layer._forward_hooks for layer in network.modules())


@pytest.mark.parametrize(("windows", "a_step", "size"), [(10, 0.01, 32), (10**6, 0.01, 128), (10**6, 0.1, 64)])
def test_batches_are_smaller_for_few_windows_and_where_steps_would_be_few(
    windows: int, a_step: float, size: int
) -> None:
    assert default_batch_size(windows, lambda count: a_step * count / 128, 25.0) == size


def test_a_probe_counts_the_fastest_step() -> None:
    network, member = (
        build(Candidate(model="gru", lookback=48), SHAPE),
        plan_member(Candidate(model="gru", lookback=48), 1, 8, refit=False),
    )
    times: Iterator[float] = iter([0.0, 9.0, 10.0, 12.0, 20.0, 25.0, 30.0, 31.0, 40.0, 48.0, 50.0, 58.0])

    def draw(generator: torch.Generator, size: int, everything: bool) -> Batch:
        return random_batch(SHAPE, size, 0)

    probe = Probe(TrainingState(network, TrainSettings(), member, 0), draw, lambda: next(times))
    assert (PROBE_STEPS, probe.seconds) == (3, 2.0)
    probe.run()
    assert probe.seconds == 1.0

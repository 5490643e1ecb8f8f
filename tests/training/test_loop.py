"""The loop: the best weights win, a broken loss is survived or said, a deadline is kept, a signal waits for a step."""

import math
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.errors import BadData
from forecast.models.shared.building import build
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import TrainSettings
from forecast.training.loop import deferred_signals, train
from forecast.training.plan import Member, Progress, TrainingContext
from forecast.windows.windows import Batch
from tests.training._batches import batch, draw

SHAPE = Shape(lookback=6, horizon=2, levels=(0.1, 0.5, 0.9))
SETTINGS = TrainSettings(model="gru", params={"hidden_size": 4})


def plan(steps: int, **changed: object) -> Member:
    known = {"model": "gru", "lookback": 6, "batch_size": 16, "refit_steps": 0, "validate_every": 5}
    return Member(**{**known, "steps": steps, **changed})


def held_out_loss(network: RecurrentModel, held: Batch) -> float:
    with torch.no_grad():
        return float(network.loss(held))


def test_the_best_held_out_weights_are_returned() -> None:
    held = batch(
        64, seed=-1, scale=-1.0
    )  # the opposite of what is trained: every step makes it worse
    network = build(SETTINGS, SHAPE)
    seen: list[Progress] = []
    trained = train(
        network, draw, [held], SETTINGS, plan(400), context=TrainingContext(on_step=seen.append)
    )
    assert trained.steps < 400, "training must stop early"
    assert trained.validation == pytest.approx(held_out_loss(network, held), rel=1e-6)
    assert trained.validation == min(at.validation for at in seen[5:] if at.validation is not None)


def test_held_out_values_join_for_the_last_steps_only() -> None:
    asked: list[bool] = []

    def watched(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        asked.append(held_out_too)
        return draw(generator, size, held_out_too)

    train(build(SETTINGS, SHAPE), watched, [batch(8)], SETTINGS, plan(50, refit_steps=10))
    assert asked == [False] * 40 + [True] * 10


def test_a_loss_that_is_no_number_once_is_survived(caplog: pytest.LogCaptureFixture) -> None:
    drawn = 0

    def broken(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        nonlocal drawn
        drawn += 1
        good = draw(generator, size, held_out_too)
        return replace(good, target=good.target * math.nan) if drawn == 20 else good

    network = build(SETTINGS, SHAPE)
    before = held_out_loss(network, batch(64))
    train(network, broken, [batch(64)], SETTINGS, plan(100))
    assert held_out_loss(network, batch(64)) < before
    assert caplog.text.count("half the learning rate") == 1


def test_a_loss_that_stays_no_number_is_said() -> None:
    def broken(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        return replace(batch(size), target=torch.full((size, 2), math.nan))

    with pytest.raises(BadData, match="learning_rate="):
        train(build(SETTINGS, SHAPE), broken, [], SETTINGS, plan(50))


@pytest.mark.parametrize("loss", ["quantile", "mae", "mse", "huber"])
def test_every_loss_learns(loss: str) -> None:
    settings = TrainSettings.check({**SETTINGS.model_dump(), "loss": loss, "learning_rate": 0.02})
    network = build(settings, replace(SHAPE, loss=loss))
    before = held_out_loss(network, batch(64))
    train(network, draw, [], settings, plan(120))
    assert held_out_loss(network, batch(64)) < 0.7 * before


def test_a_budget_bounds_the_fit() -> None:
    frame = pd.DataFrame(
        {"day": pd.date_range("2020-01-01", periods=900), "units": np.sin(np.arange(900.0))}
    )
    start = time.monotonic()
    fitted = Forecaster(model="gru", budget=3, horizon=7, guard=False).fit(frame)
    assert time.monotonic() - start < 3 + 5
    assert fitted.plan_.members[0].steps > 10


@pytest.fixture
def interrupts() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_the_second_signal_acts_at_once() -> None:
    reached = []

    def two() -> None:
        with deferred_signals() as signals:
            signal.raise_signal(signal.SIGINT)
            reached.append(list(signals))
            signal.raise_signal(signal.SIGINT)
            reached.append([])

    with pytest.raises(KeyboardInterrupt):
        two()
    assert reached == [[signal.SIGINT]]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("interrupts")
def test_a_pending_signal_acts_when_the_block_ends() -> None:
    with pytest.raises(KeyboardInterrupt), deferred_signals():
        signal.raise_signal(signal.SIGINT)
    delivered = []
    signal.signal(signal.SIGINT, lambda number, frame: delivered.append(number))
    with deferred_signals():
        signal.raise_signal(signal.SIGINT)
        assert delivered == []
    assert delivered == [signal.SIGINT]


@pytest.mark.usefixtures("interrupts")
def test_an_ignored_signal_and_other_threads_are_left_alone() -> None:
    def pass_by() -> None:
        before = signal.getsignal(signal.SIGINT)
        with deferred_signals():
            assert signal.getsignal(signal.SIGINT) is before

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pass_by()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(pass_by).result()

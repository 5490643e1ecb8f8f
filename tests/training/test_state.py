"""A step, the optimizer, a validation and a return to the best weights, each by itself."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from forecast.errors import BadData
from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.settings import TrainSettings
from forecast.training.loop import (
    TRAINING_RETRIES,
    WARM_RATE,
    AdamW,
    TrainingState,
    member_seed,
    rate_at,
)
from forecast.training.plan import Member
from forecast.windows.windows import Batch

SHAPE = Shape(lookback=6, horizon=2, levels=(0.1, 0.5, 0.9))
SETTINGS = TrainSettings(model="gru", params={"hidden_size": 4}, learning_rate=0.02)
MEMBER = Member(
    model="gru",
    params={"hidden_size": 4},
    lookback=6,
    batch_size=8,
    steps=100,
    refit_steps=20,
    validate_every=10,
)
BATCH = random_batch(SHAPE, 8, 0)
NO_NUMBER = replace(BATCH, target=BATCH.target * math.nan)


def state_of(warm: int = 0, number: int = 0) -> TrainingState:
    member = MEMBER.model_copy(update={"warm": warm})
    return TrainingState(build(SETTINGS, SHAPE), SETTINGS, member, number, held_out=8)


def weights(state: TrainingState) -> np.ndarray:
    return (
        torch.cat([tensor.flatten() for tensor in state.network.state_dict().values()])
        .numpy()
        .copy()
    )


def test_steps_lower_the_loss_and_are_counted() -> None:
    state = state_of()
    losses = [state.take(BATCH) for _ in range(60)]
    assert losses[-1] < 0.8 * losses[0]
    assert (state.step, state.done, state.refit_from) == (60, 60, 80)


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    rates = [rate_at(step, 1000) for step in range(1000)]
    assert rates[0] < 0.02
    assert max(rates) == rates[100] == pytest.approx(1.0, abs=1e-3)
    assert rates[-1] < 1e-4
    assert (np.diff(rates[100:]) <= 0).all()
    assert rate_at(0, 1) == 1.0


def test_a_network_that_was_trained_before_moves_half_as_fast() -> None:
    rates: dict[int, float] = {}
    for warm in (0, 3):
        state = state_of(warm)
        state.optimizer.step = lambda rate, warm=warm: rates.update({warm: rate})  # type: ignore[method-assign]
        state.take(BATCH)
    assert rates[0] == pytest.approx(0.02 * rate_at(0, 100))
    assert rates[3] == WARM_RATE * rates[0]


def test_a_loss_that_is_no_number_leads_back_to_the_best_weights_with_half_the_rate() -> None:
    state = state_of()
    best = weights(state)
    state.take(BATCH)
    assert not np.array_equal(weights(state), best)
    assert math.isnan(state.take(NO_NUMBER))
    np.testing.assert_array_equal(weights(state), best)
    assert (state.factor, state.retries) == (0.5, TRAINING_RETRIES - 1)


def test_training_ends_when_the_loss_stays_no_number(caplog: pytest.LogCaptureFixture) -> None:
    state = state_of()
    for _ in range(TRAINING_RETRIES):
        state.take(NO_NUMBER)
    with pytest.raises(BadData, match="the loss became NaN and stays so"):
        state.take(NO_NUMBER)
    assert caplog.text.count("the loss became NaN") == 1


def test_batches_count_by_the_values_that_were_observed() -> None:
    state, few = state_of(), random_batch(SHAPE, 8, 1)
    few = replace(
        few, target_mask=torch.tensor([[1.0, 0.0]] * 2 + [[0.0, 0.0]] * 6), target=few.target + 5
    )
    state.validate([BATCH, few])
    joined = Batch(
        **{name: torch.cat([array, getattr(few, name)]) for name, array in vars(BATCH).items()}
    )
    with torch.no_grad():
        assert state.best == pytest.approx(float(state.network.loss(joined)), rel=1e-5)


def test_the_best_weights_are_kept_and_forecast_what_was_held_out() -> None:
    state = state_of()
    assert state.validate([BATCH])
    first, best = state.best, weights(state)
    far = replace(BATCH, target=BATCH.target - 50)
    for _ in range(10):
        state.take(far)
    assert not state.validate([BATCH])
    assert state.best == first
    state.restore_best([BATCH])
    np.testing.assert_array_equal(weights(state), best)
    with torch.no_grad():
        expected = BATCH.unscale(state.network.outputs(BATCH))
    torch.testing.assert_close(state.held_out, expected)


def test_each_network_and_each_continued_fit_draws_numbers_of_its_own() -> None:
    seeds = {
        state_of(warm, number).generator.initial_seed() for warm in (0, 1) for number in (0, 1, 2)
    }
    assert len(seeds) == 6
    assert member_seed(SETTINGS, MEMBER) == SETTINGS.seed


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_it_moves_as_torch_does(decay: float) -> None:
    generator = torch.Generator().manual_seed(0)
    start = [torch.randn(3, 4, generator=generator), torch.randn(5, generator=generator)]
    ours, theirs = ([torch.nn.Parameter(one.clone()) for one in start] for _ in range(2))
    mine, reference = AdamW(ours, decay), torch.optim.AdamW(theirs, lr=0.01, weight_decay=decay)
    for step in range(20):
        for parameters in (ours, theirs):
            sum(((p * (1 + step)).sin() ** 2).sum() for p in parameters).backward()
        mine.step(0.01)
        reference.step()
        for parameter in ours:
            parameter.grad = None
        reference.zero_grad()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)

"""Exponential smoothing in closed form, by series, and for series that were never seen."""

from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecast import Forecaster
from forecast.models.esrnn import Network, recurrence, smooth
from forecast.models.shared.model import Shape
from forecast.tables.synthetic import synthesize
from forecast.windows.windows import Batch


def by_loop(
    values: Tensor, mask: Tensor, rates: tuple[Tensor, Tensor], level: Tensor, offset: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Level, offset of each phase after the last step, and offsets as expected, one value after the other."""
    level, offset, expected = level.clone(), offset.clone(), torch.zeros_like(values)
    season, count = offset.shape[1], values.shape[1]
    for step in range(count):
        phase = (step - count) % season  # phase 0 is that of the first step to come
        expected[:, step] = offset[:, phase]
        seen = mask[:, step]
        level += rates[0] * seen * (values[:, step] - offset[:, phase] - level)
        offset[:, phase] += rates[1] * seen * (values[:, step] - level - offset[:, phase])
    return level, offset, expected


@settings(max_examples=50, deadline=None)
@given(
    season=st.integers(0, 8),
    length=st.integers(1, 30),
    horizon=st.integers(1, 20),
    missing=st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    seed=st.integers(0, 1000),
)
def test_cycles_in_closed_form_equal_the_loop_over_values(
    season: int, length: int, horizon: int, missing: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(4, length, generator=generator) >= missing).double()
    values = 10 * torch.randn(4, length, generator=generator, dtype=torch.float64) * mask
    level_rate, season_rate, start = torch.rand(
        3, 4, 1, generator=generator, dtype=torch.float64
    ).unbind(0)
    made = smooth(values, mask, level_rate, season_rate, start, season, horizon)

    count = mask.sum(1).clamp(min=1)
    level = values.sum(1) / count
    phases = [
        (torch.arange(length) - length) % max(season, 1) == phase for phase in range(max(season, 1))
    ]
    profile = torch.stack(
        [
            ((values - level[:, None]) * mask)[:, at].sum(1) / mask[:, at].sum(1).clamp(min=1)
            for at in phases
        ],
        1,
    )
    offset = start * profile if season else torch.zeros(4, 1, dtype=torch.float64)
    rates = level_rate[:, 0], season_rate[:, 0] if season else torch.zeros(4, dtype=torch.float64)
    level, offset, expected = by_loop(values, mask, rates, level, offset)
    torch.testing.assert_close(made.level[:, 0], level)
    torch.testing.assert_close(made.offsets, expected)
    torch.testing.assert_close(made.ahead, offset[:, torch.arange(horizon) % offset.shape[1]])


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(0, 1000))
def test_the_recurrence_is_solved_for_any_length(length: int, seed: int) -> None:
    torch.manual_seed(seed)
    keep, gain = (
        torch.rand(3, length, dtype=torch.float64),
        torch.randn(3, length, dtype=torch.float64),
    )
    start = torch.randn(3, 1, dtype=torch.float64)
    state, states = start[:, 0], []
    for step in range(length):
        state = keep[:, step] * state + gain[:, step]
        states.append(state)
    torch.testing.assert_close(recurrence(keep, gain, start), torch.stack(states, 1))


def test_missing_values_leave_level_and_season_as_they_were() -> None:
    torch.manual_seed(0)
    values, rate = torch.randn(1, 24), torch.full((1, 1), 0.5)
    short = smooth(values, torch.ones(1, 24), rate, rate, rate, 12, 12)
    gap = (
        torch.nn.functional.pad(values, (0, 12)),
        torch.nn.functional.pad(torch.ones(1, 24), (0, 12)),
    )
    longer = smooth(*gap, rate, rate, rate, 12, 12)
    torch.testing.assert_close(longer.level, short.level)
    torch.testing.assert_close(longer.ahead, short.ahead)


def windows(shape: Shape, series: list[int]) -> Batch:
    rows, none = len(series), torch.zeros(len(series), 0)
    step = torch.arange(shape.lookback + shape.horizon)
    wave = torch.sin(2 * torch.pi * step / 4) + 0.01 * step
    past, target = wave.expand(rows, -1).split([shape.lookback, shape.horizon], 1)
    return Batch(
        past=past,
        mask=torch.ones_like(past),
        past_covariates=none[:, None].expand(-1, shape.lookback, -1),
        future_covariates=none[:, None].expand(-1, shape.horizon, -1),
        static=none,
        series=torch.tensor(series),
        past_codes=none[:, None].expand(-1, shape.lookback, -1).long(),
        future_codes=none[:, None].expand(-1, shape.horizon, -1).long(),
        static_codes=none.long(),
        seasonal=past[:, -4:].repeat(1, 2)[..., None],
        target=target,
        target_mask=torch.ones_like(target),
        weight=torch.ones(rows),
        location=torch.zeros(rows, 1),
        scale=torch.ones(rows, 1),
    )


SHAPE = Shape(lookback=16, horizon=8, series=3, seasons=(4,), levels=(0.1, 0.5, 0.9))


def network(unseen: float = 0.1) -> Network:
    torch.manual_seed(0)
    return Network(Network.Params(hidden_size=8, unseen=unseen), SHAPE)


def test_each_series_learns_its_own_coefficients_and_an_unseen_one_keeps_the_shared() -> None:
    made = network(unseen=0.0)
    made.loss(windows(SHAPE, [0, 1, -1])).backward()
    moved = made.own.weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [False, True, True, False]
    assert (made.shared.grad != 0).all()


def test_training_hides_some_series_and_forecasting_none() -> None:
    made = network(unseen=1.0)
    with torch.no_grad():
        made.own.weight[1:] = 2.0
    known, unknown = windows(SHAPE, [0]), windows(SHAPE, [-1])
    torch.testing.assert_close(made.smooth(known).level, made.smooth(unknown).level)
    made.eval()
    assert (made.smooth(known).level != made.smooth(unknown).level).all()


def test_quantiles_do_not_know_the_future() -> None:
    made, batch = network().eval(), windows(SHAPE, [0, -1])
    later = replace(batch, target=batch.target + 100.0)
    torch.testing.assert_close(made.outputs(later), made.outputs(batch), rtol=0, atol=0)


def test_unseen_series_of_any_sign_are_forecast_better_than_by_their_last_season() -> None:
    frame = synthesize("seasonal", series=16, length=120, seed=1)
    frame["value"] -= 300.0
    past = frame.groupby("series").cumcount() < 108
    new = frame["series"] > "s008"
    model = Forecaster(
        model="esrnn", horizon=12, steps=150, params={"hidden_size": 16}, guard=False
    ).fit(frame[past & ~new])
    made = model.predict(frame[past & new])["forecast"].to_numpy()
    actual = frame.loc[~past & new, "value"].to_numpy()
    last_season = frame["value"].shift(12)[~past & new].to_numpy()
    assert np.abs(made - actual).mean() < np.abs(last_season - actual).mean()

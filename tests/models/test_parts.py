"""Parts of networks by known answers: what an encoder reads, how segments are cut, what a state is."""

from dataclasses import replace

import pytest
import torch

from forecast.models.shared.building import build
from forecast.models.shared.exporting import random_batch
from forecast.models.shared.model import Shape
from forecast.models.shared.parts import (
    EncoderParams,
    StepDecoder,
    default_segment,
    final_state,
    input_size,
    inputs,
    past_segments,
    recurrent,
    state_size,
)
from forecast.training.plan import Candidate

SHAPE = Shape(lookback=6, horizon=4, past=2, future=1, static=3, levels=(0.1, 0.5, 0.9))


def test_an_encoder_reads_value_mask_covariates_and_static_columns() -> None:
    batch = random_batch(SHAPE, 5, 0)
    read = inputs(batch)
    assert read.shape == (5, 6, input_size(SHAPE)) == (5, 6, 7)
    assert torch.equal(read[..., 0], batch.past)
    assert torch.equal(read[..., 1], batch.mask)
    assert torch.equal(read[..., 2:4], batch.past_covariates)
    assert all(torch.equal(read[:, step, 4:], batch.static) for step in range(6))


def test_what_comes_after_the_past_is_not_read() -> None:
    batch = random_batch(SHAPE, 5, 0)
    changed = replace(batch, target=batch.target + 9, seasonal=batch.seasonal + 9)
    assert torch.equal(inputs(batch), inputs(changed))


def test_segments_end_with_the_last_step_and_zeros_fill_the_first() -> None:
    steps = torch.arange(1.0, 6.0)[None, :, None]
    assert past_segments(steps, 2)[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    assert past_segments(steps, 5)[0].tolist() == [[1, 2, 3, 4, 5]]
    assert past_segments(steps, 7)[0].tolist() == [[0, 0, 1, 2, 3, 4, 5]]


@pytest.mark.parametrize(
    ("lookback", "seasons", "segment"),
    [
        (28, (7,), 7),
        (13, (7,), 3),
        (400, (168, 7), 7),
        (400, (168,), 20),
        (1, (), 1),
        (48, (24, 168), 24),
    ],
)
def test_a_segment_is_a_season_that_the_past_holds_twice_or_else_about_its_root(
    lookback: int, seasons: tuple[int, ...], segment: int
) -> None:
    assert default_segment(Shape(lookback=lookback, horizon=2, seasons=seasons)) == segment


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("kind", ["RNN", "GRU"])
def test_the_final_state_is_what_torch_returns_beside_the_states(
    kind: str, bidirectional: bool
) -> None:
    params = EncoderParams(hidden_size=3, bidirectional=bidirectional)
    states, last = recurrent(kind, 2, params)(torch.randn(4, 6, 2))
    state = final_state(states, params)
    assert state.shape == (4, state_size(params))
    torch.testing.assert_close(state, torch.cat(list(last), -1))


def test_dropout_between_layers_needs_two_layers() -> None:
    assert recurrent("GRU", 2, EncoderParams(dropout=0.5)).dropout == 0.0
    assert recurrent("GRU", 2, EncoderParams(dropout=0.5, layers=2)).dropout == 0.5


def test_a_new_decoder_reads_nothing_and_then_a_covariate_moves_its_own_step_only() -> None:
    decoder, state, future = StepDecoder(5, SHAPE, 0.0), torch.randn(2, 5), torch.randn(2, 4, 1)
    assert torch.equal(decoder(state, future), decoder(-state, future + 1))
    torch.nn.init.normal_(decoder.out.weight)
    changed = future.clone()
    changed[:, 2] += 5
    moved = (decoder(state, future) != decoder(state, changed)).any(-1).any(0)
    assert moved.tolist() == [False, False, True, False]


def test_a_horizon_that_no_segment_divides_is_forecast_to_its_end() -> None:
    shape = replace(SHAPE, calendar=1)
    network = build(
        Candidate(model="segrnn", params={"hidden_size": 4, "segment": 3}, lookback=6), shape
    )
    batch = random_batch(SHAPE, 5, 0)
    assert network(network._embed(batch)).shape == (5, 4, SHAPE.outputs)
    joined = network.join_segments(
        torch.arange(6.0 * SHAPE.outputs).reshape(2, -1), torch.zeros(2, 4), batch
    )
    assert joined[0, :, 0].tolist() == [
        0,
        1,
        2,
        9,
    ]  # three steps of the first segment, one of the second

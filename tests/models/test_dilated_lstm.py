"""Dilation by folding, and what the stack leaves out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from forecast.errors import UsageError
from forecast.models import model_class
from forecast.models.shared.dilated import DilatedStack, DilationParams, default_dilations, dilate
from forecast.models.shared.model import Shape

SHAPE = Shape(lookback=24, horizon=5)


def by_definition(layer: nn.LSTM, steps: Tensor, dilation: int) -> Tensor:
    """One cell step after the other, each from the state `dilation` steps before."""
    cell = nn.LSTMCell(layer.input_size, layer.hidden_size)
    cell.load_state_dict(
        {name.removesuffix("_l0"): value for name, value in layer.state_dict().items()}
    )
    zero = torch.zeros(len(steps), layer.hidden_size)
    states: list[tuple[Tensor, Tensor]] = []
    for place in range(steps.shape[1]):
        before = states[place - dilation] if place >= dilation else (zero, zero)
        states.append(cell(steps[:, place], before))
    return torch.stack([output for output, _ in states], 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 20), st.integers(0, 1000))
def test_folding_computes_what_the_loop_over_steps_computes(
    dilation: int, length: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer, steps = nn.LSTM(3, 5, batch_first=True), torch.randn(2, length, 3)
    with torch.no_grad():
        torch.testing.assert_close(
            dilate(layer, steps, dilation), by_definition(layer, steps, dilation)
        )


@pytest.mark.parametrize("dilations", [(1,), (1, 2, 4), (1, 3, 12), (6, 4, 3), (5, 1), (2, 3)])
@pytest.mark.parametrize("length", [1, 11, 24])
def test_the_last_state_is_that_of_whole_blocks_with_shortcuts(
    dilations: tuple[int, ...], length: int
) -> None:
    torch.manual_seed(0)
    stack, steps = (
        DilatedStack(3, SHAPE, DilationParams(hidden_size=5, dilations=dilations)),
        torch.randn(2, length, 3),
    )
    with torch.no_grad():
        states = steps
        for place, (block, dilation) in enumerate(zip(stack.blocks, dilations, strict=True)):
            out = by_definition(block, states, dilation)
            states = out + states if place else out
        torch.testing.assert_close(stack(steps), states[:, -1])


@pytest.mark.parametrize("dilations", [(4, 12), (6,), (12, 4)])
def test_values_between_the_steps_of_the_stack_are_read(dilations: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    stack = DilatedStack(1, SHAPE, DilationParams(hidden_size=5, dilations=dilations))
    steps = torch.randn(1, 29, 1, requires_grad=True)
    stack(steps).sum().backward()
    assert (steps.grad != 0).all()


@pytest.mark.parametrize("given", ["1,4,24", [1, 4, 24], (1, 4, 24)])
def test_dilations_are_a_list_or_have_commas(given: object) -> None:
    assert model_class("dilated-lstm").Params.check({"dilations": given}).dilations == (1, 4, 24)
    assert model_class("dilated-lstm").Params.check({"dilations": 1}).dilations == (1,)


@pytest.mark.parametrize("given", ["1,x", "0", [1, -2], {"a": 1}])
def test_dilations_that_are_no_steps_are_refused(given: object) -> None:
    with pytest.raises(UsageError, match="dilations"):
        model_class("dilated-lstm").Params.check({"dilations": given})


@pytest.mark.parametrize(
    ("lookback", "seasons", "expected"),
    [
        (168, (24, 168), (4, 24)),
        (48, (12,), (1, 3, 12)),
        (28, (7,), (1, 7)),
        (30, (), (1, 4)),
        (3, (), (1,)),
        (1, (), (1,)),
        (1000, (), (16, 64)),
        (10, (12,), (1,)),
    ],
)
def test_dilations_follow_season_and_lookback(
    lookback: int, seasons: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert default_dilations(Shape(lookback=lookback, horizon=5, seasons=seasons)) == expected

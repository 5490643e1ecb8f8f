"""The sLSTM step, stabilised and as the formulas have it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from forecast.errors import UsageError
from forecast.models import model_class
from forecast.models.slstm import Cell, SLSTMBlock


def unstabilised(cell: Cell, steps: Tensor) -> Tensor:
    """Outputs by the paper's formulas, gates exponentiated as they are."""
    heads, own, _ = cell.from_output.shape
    output = content = normaliser = torch.zeros(len(steps), heads * own, dtype=steps.dtype)
    outputs = []
    for step in steps.unbind(1):
        fed = [output[:, h * own : (h + 1) * own] @ cell.from_output[h] for h in range(heads)]
        recurrent = [
            torch.cat([one[:, gate * own : (gate + 1) * own] for one in fed], 1)
            for gate in range(4)
        ]
        z, i, f, o = (
            a + b for a, b in zip(cell.from_input(step).chunk(4, 1), recurrent, strict=True)
        )
        content = torch.exp(f) * content + torch.exp(i) * torch.tanh(z)
        normaliser = torch.exp(f) * normaliser + torch.exp(i)
        output = torch.sigmoid(o) * content / normaliser
        outputs.append(output)
    return torch.stack(outputs, 1)


def stabilised(cell: Cell, steps: Tensor) -> Tensor:
    state, outputs = cell.start(len(steps)), []
    for driven in cell.from_input(steps).unbind(1):
        state = cell(driven, state)
        outputs.append(state.output)
    return torch.stack(outputs, 1)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([1, 2, 4]), st.integers(1, 12), st.floats(0.1, 5), st.integers(0, 1000))
def test_the_stabilised_step_computes_the_plain_formula(
    heads: int, length: int, size: float, seed: int
) -> None:
    torch.manual_seed(seed)
    cell = Cell(8, heads).double()
    steps = size * torch.randn(3, length, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(stabilised(cell, steps), unstabilised(cell, steps))


@pytest.mark.parametrize("size", [1e2, 1e4, 1e6])
def test_gates_of_any_size_give_finite_outputs_and_gradients(size: float) -> None:
    torch.manual_seed(0)
    cell = Cell(8, 2)
    steps = (size * torch.randn(3, 20, 8)).requires_grad_()
    outputs = stabilised(cell, steps)
    outputs.sum().backward()
    assert (outputs.abs() <= 1).all()
    assert torch.isfinite(steps.grad).all()
    assert all(torch.isfinite(p.grad).all() for p in cell.parameters())


def test_the_parallel_step_is_the_next_step_of_the_sequence() -> None:
    torch.manual_seed(0)
    block, past, ahead = SLSTMBlock(8, 2), torch.randn(3, 5, 8), torch.randn(3, 4, 8)
    with torch.no_grad():
        _, state = block(past)
        parallel = block.each_after(ahead, state)
        for place in range(4):
            longer, _ = block(torch.cat([past, ahead[:, place : place + 1]], 1))
            torch.testing.assert_close(parallel[:, place], longer[:, -1])


def test_heads_that_do_not_divide_the_units_are_refused() -> None:
    with pytest.raises(UsageError, match="heads=3 must divide hidden_size=64"):
        model_class("slstm").Params.check({"heads": 3})

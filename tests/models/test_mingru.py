"""The scan of the minimal GRU computes what a loop over time computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.models.mingru import Scan, scan


def by_loop(keep: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
    state, states = torch.zeros_like(new[:, 0]), []
    for step in range(new.shape[1]):
        state = keep[:, step] * state + new[:, step]
        states.append(state)
    return torch.stack(states, 1)


def drawn(seed: int, steps: int, rows: int = 2, size: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(rows, steps, size, generator=generator, dtype=torch.float64)
    return keep.round(decimals=1), torch.randn(
        rows, steps, size, generator=generator, dtype=torch.float64
    )


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), steps=st.integers(1, 70))
def test_the_scan_equals_the_loop(seed: int, steps: int) -> None:
    keep, new = drawn(seed, steps)
    torch.testing.assert_close(scan(keep, new), by_loop(keep, new))


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 8, 13])
def test_the_gradient_of_the_scan_equals_that_of_the_loop(steps: int) -> None:
    keep, new = (part.requires_grad_() for part in drawn(0, steps))
    weight = drawn(1, steps)[1]
    by_scan = torch.autograd.grad((Scan.apply(keep, new) * weight).sum(), [keep, new])
    expected = torch.autograd.grad((by_loop(keep, new) * weight).sum(), [keep, new])
    torch.testing.assert_close(by_scan, expected)


def test_gates_that_are_fully_open_or_shut_leave_finite_states_and_gradients() -> None:
    keep = torch.tensor([0.0, 1.0]).repeat(500)[None, :, None].requires_grad_()
    new = torch.full((1, 1000, 1), 1e3, requires_grad=True)
    states = Scan.apply(keep, new)
    states.sum().backward()
    assert torch.isfinite(states).all()
    assert torch.isfinite(keep.grad).all()
    assert states.max() == 2e3

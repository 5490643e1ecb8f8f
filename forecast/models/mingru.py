"""Minimal GRU: gates from the input alone, all steps in a parallel scan (Feng et al. 2024)."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import (
    SegmentModel,
    SegmentParams,
    StackParams,
    StepDecoder,
    padded_steps,
)
from forecast.windows.windows import Batch


class MinimalParams(SegmentParams, StackParams):
    layers: int = Field(2, ge=1, le=16, description="stacked recurrent layers")


class Network(SegmentModel):
    """Residual blocks over segments of the past, and a decoder of the last state.

    The gate of a minimal GRU does not see the state and can only let it fade, so the order of
    single steps is soon lost. The steps of a segment are therefore read side by side, as in segrnn;
    ``segment=1`` reads step by step.
    """

    Params = MinimalParams

    def __init__(self, params: MinimalParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = params.hidden_size
        blocks = [MinGRUBlock(size, params.dropout) for _ in range(params.layers)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(size)
        self.decoder = StepDecoder(size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states = self.blocks(self.segments(batch))  # [batch, segments, hidden]
        state = self.norm(states[:, -1])
        return self.decoder(state, batch.future_covariates)  # type: ignore[no-any-return]


class MinGRUBlock(nn.Module):
    """A minimal GRU and a perceptron, each with a normalised input and a residual connection."""

    def __init__(self, size: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = nn.Sequential(nn.LayerNorm(size), MinimalLayer(size), nn.Dropout(dropout))
        self.each = nn.Sequential(
            nn.LayerNorm(size),
            nn.Linear(size, 2 * size),
            nn.ReLU(),
            nn.Linear(2 * size, size),
            nn.Dropout(dropout),
        )

    def forward(self, steps: Tensor) -> Tensor:
        steps = steps + self.recurrent(steps)
        return steps + self.each(steps)  # type: ignore[no-any-return]


class MinimalLayer(nn.Module):
    """The recurrence state = (1 - gate) * state before + gate * candidate.

    Gate and candidate depend on the input only.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.parts = nn.Linear(size, 2 * size)

    def forward(self, steps: Tensor) -> Tensor:
        """[batch, steps, size] -> all states, of the same shape."""
        gate, candidate = self.parts(steps).chunk(2, -1)
        gate = torch.sigmoid(gate)
        return Scan.apply(1 - gate, gate * candidate)  # type: ignore[no-untyped-call,no-any-return]


class Scan(torch.autograd.Function):
    """The recurrence ``state[t] = keep[t] * state[t - 1] + new[t]`` on axis 1, from a state of
    0.
    """

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor) -> Tensor:
        states = scan(keep, new)
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = ctx.saved_tensors
        keep_later = padded_steps(keep[:, 1:], after=1)
        before = padded_steps(states[:, :-1], before=1)
        # the same recurrence from the last step to the first
        backwards = scan(keep_later.flip(1), gradient.flip(1))
        of_new = backwards.flip(1)
        return of_new * before, of_new


def scan(keep: Tensor, new: Tensor) -> Tensor:
    """All states of `Scan`, [batch, steps, ...], in log2(steps) operations.

    Two neighbouring steps combine into one step of the same kind, which halves their number again
    and again. This is stable, as it multiplies by numbers from 0 to 1 only.
    """
    steps = new.shape[1]
    if steps == 1:
        return new
    even = slice(0, steps - steps % 2, 2)
    odd = slice(1, None, 2)
    of_both = torch.addcmul(new[:, odd], keep[:, odd], new[:, even])
    later = scan(keep[:, odd] * keep[:, even], of_both)  # states of odd steps

    earlier = new[:, :1]
    if steps > 2:
        rest = slice(2, None, 2)
        before = later[:, : (steps - 1) // 2]
        others = torch.addcmul(new[:, rest], keep[:, rest], before)
        earlier = torch.cat([earlier, others], 1)
    pairs = torch.stack([earlier[:, : later.shape[1]], later], 2)
    pairs = pairs.flatten(1, 2)
    if steps % 2 == 0:
        return pairs
    return torch.cat([pairs, earlier[:, -1:]], 1)

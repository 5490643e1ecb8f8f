"""Minimal GRU: gates from the input alone, all steps at once by a parallel scan (Feng et al. 2024)."""

from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import SegmentModel, SegmentParams, StackParams, StepDecoder
from forecast.windows.windows import Batch


class MinimalParams(SegmentParams, StackParams):
    layers: int = Field(2, ge=1, le=16, description="stacked recurrent layers")


class Network(SegmentModel):
    """Residual blocks over segments of the past; the state after all of them goes to the decoder.

    A gate that knows nothing of the state can only let it fade: the order of single steps is soon lost. So the steps
    of a segment are read side by side, as in segrnn; ``segment=1`` reads step by step.
    """

    Params = MinimalParams

    def __init__(self, params: MinimalParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = params.hidden_size
        self.blocks = nn.Sequential(*(Block(size, params.dropout) for _ in range(params.layers)))
        self.norm = nn.LayerNorm(size)
        self.decoder = StepDecoder(size, self.shape, params.dropout)

    def forward(self, batch: Batch) -> Tensor:
        states = self.blocks(self.segments(batch))  # [batch, segments, hidden]
        return self.decoder(self.norm(states[:, -1]), batch.future_covariates)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A minimal GRU and a perceptron, each added to its normalised input."""

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
    """state = (1 - gate) * state before + gate * candidate, gate and candidate linear in the input."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.parts = nn.Linear(size, 2 * size)

    def forward(
        self, steps: Tensor
    ) -> Tensor:  # [batch, steps, size] -> all states, of the same shape
        gate, candidate = self.parts(steps).chunk(2, -1)
        gate = torch.sigmoid(gate)
        return Scan.apply(1 - gate, gate * candidate)  # type: ignore[no-untyped-call,no-any-return]


class Scan(torch.autograd.Function):
    """``state[t] = keep[t] * state[t - 1] + new[t]`` along dimension 1, from a state of 0."""

    @staticmethod
    def forward(ctx: Any, keep: Tensor, new: Tensor) -> Tensor:
        states = scan(keep, new)
        ctx.save_for_backward(keep, states)
        return states

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        keep, states = ctx.saved_tensors
        later, before = (
            functional.pad(keep[:, 1:], (0, 0, 0, 1)),
            functional.pad(states[:, :-1], (0, 0, 1, 0)),
        )
        to_new = scan(later.flip(1), gradient.flip(1)).flip(
            1
        )  # the same recurrence from the last step to the first
        return to_new * before, to_new


def scan(keep: Tensor, new: Tensor) -> Tensor:
    """The states of ``state[t] = keep[t] * state[t - 1] + new[t]`` [batch, steps, ...], in log2(steps) operations.

    Two neighbouring steps are one step of the same kind, so that half as many are left, and no number grows.
    """
    steps = new.shape[1]
    if steps == 1:
        return new
    even, odd, between = slice(0, steps - steps % 2, 2), slice(1, None, 2), slice(2, None, 2)
    later = scan(
        keep[:, odd] * keep[:, even], torch.addcmul(new[:, odd], keep[:, odd], new[:, even])
    )
    earlier = new[:, :1]
    if steps > 2:
        others = torch.addcmul(new[:, between], keep[:, between], later[:, : (steps - 1) // 2])
        earlier = torch.cat([earlier, others], 1)
    pairs = torch.stack([earlier[:, : later.shape[1]], later], 2).flatten(1, 2)
    return pairs if steps % 2 == 0 else torch.cat([pairs, earlier[:, -1:]], 1)

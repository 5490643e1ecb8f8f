"""The dilated LSTM that several models share: settings, folding, and the stack with shortcuts."""

import math
from itertools import accumulate
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import StackParams, past_segments, recurrent

DENSE = 64  # steps of a past that is read value by value
Dilations = Annotated[
    tuple[Annotated[int, Field(ge=1, le=10_000)], ...], Field(min_length=1, max_length=16)
]


def _listed(given: Any) -> Any:
    """The command line passes one number, or several separated by commas."""
    if isinstance(given, str):
        return tuple(part for part in given.split(",") if part.strip())
    return (given,) if isinstance(given, int) else given


class DilationParams(StackParams):
    dilations: Annotated[Dilations | None, BeforeValidator(_listed)] = Field(
        None, description="dilation of each block, comma-separated; default by season and lookback"
    )


def default_dilations(shape: Shape) -> tuple[int, ...]:
    """1, about the root of the season, and the season; without one, fourfold dilations as far as four steps fit.

    A long past is read in segments from the start: the first dilation is not 1 but the next.
    """
    season = next((season for season in shape.seasons if 2 * season <= shape.lookback), None)
    if season is None:
        fitting = [4**power for power in range(16) if 4 ** (power + 1) <= shape.lookback] or [1]
        return tuple(dilation for dilation in fitting if dilation * DENSE >= shape.lookback) or (
            fitting[-1],
        )
    middle = max(step for step in range(1, math.isqrt(season) + 1) if season % step == 0)
    dilations = (1, middle, season) if middle > 1 else (1, season)
    return dilations if shape.lookback <= DENSE else dilations[-2:]


def dilated(layer: nn.Module, steps: Tensor, dilation: int) -> Tensor:
    """Run an LSTM whose state at a step comes from `dilation` steps before (Chang et al. 2017).

    Each of the `dilation` interleaved sequences is a row of a larger batch, so that one fused call, a
    `dilation`-th as long, computes them all: [batch, steps, size] -> [batch, steps, hidden size].
    """
    if dilation == 1:
        return layer(steps)[0]  # type: ignore[no-any-return]
    rows, count, size = steps.shape[0], int(steps.shape[1]), steps.shape[2]
    padded = functional.pad(
        steps, (0, 0, 0, -count % dilation)
    )  # behind the end, where it changes no state
    folded = (
        padded.view(rows, -1, dilation, size).transpose(1, 2).reshape(rows * dilation, -1, size)
    )
    states: Tensor = layer(folded)[0]
    return (
        states.view(rows, dilation, -1, states.shape[-1]).transpose(1, 2).flatten(1, 2)[:, :count]
    )


class DilatedStack(nn.Module):
    """LSTM blocks, each with its dilation and a shortcut around it, read at the last step (Smyl 2020).

    The last step of a block of dilation 24 depends on every 24th step alone, so the blocks below it need not compute
    the others: each block runs over those steps only that a block above it, or the output, looks at. Where all
    dilations share a factor, no block looks at the steps between; each step then reads a segment of that many.
    """

    def __init__(self, size: int, shape: Shape, params: DilationParams) -> None:
        super().__init__()
        self.dilations = dilations = params.dilations or default_dilations(shape)
        self.strides = list(accumulate(reversed(dilations), math.gcd))[
            ::-1
        ]  # steps between those that count
        self.blocks = nn.ModuleList(
            recurrent("LSTM", params.hidden_size if number else size * self.strides[0], params)
            for number in range(len(dilations))
        )
        self.drop = nn.Dropout(params.dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """[batch, steps, size] -> [batch, hidden size], the state of the last step."""
        states, before = past_segments(steps, self.strides[0]), self.strides[0]
        for number, (block, dilation, stride) in enumerate(
            zip(self.blocks, self.dilations, self.strides, strict=True)
        ):
            skip = stride // before
            states = states[:, (states.shape[1] - 1) % skip :: skip]
            out = dilated(block, self.drop(states) if number else states, dilation // stride)
            states, before = out + states if number else out, stride
        return states[:, -1]

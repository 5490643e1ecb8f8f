"""The dilated LSTM that several models share: settings, folding, and the stack with shortcuts."""

import math
from itertools import accumulate
from typing import Annotated

from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import StackParams, padded_steps, past_segments, recurrent
from forecast.settings import names_in

DENSE = 64  # steps of a past that is read value by value
Dilation = Annotated[int, Field(ge=1, le=10_000)]
Dilations = Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=16)]


class DilationParams(StackParams):
    dilations: Annotated[Dilations, BeforeValidator(names_in)] | None = Field(
        None, description="dilation of each block, comma-separated; default by season and lookback"
    )


def default_dilations(shape: Shape) -> tuple[int, ...]:
    """1, about the root of the season, and the season; without one, 1, 4, 16 while 4 steps fit.

    A long past is read in segments from the start: the first dilation is not 1 but the next.
    """
    for season in shape.seasons:
        if 2 * season <= shape.lookback:
            middle = math.isqrt(season)
            while season % middle:
                middle -= 1
            dilations = tuple(dict.fromkeys([1, middle, season]))
            return dilations if shape.lookback <= DENSE else dilations[-2:]

    dilations = (1,)
    while 16 * dilations[-1] <= shape.lookback:
        dilations = (*dilations, 4 * dilations[-1])
    sparse = tuple(dilation for dilation in dilations if dilation * DENSE >= shape.lookback)
    return sparse or dilations[-1:]


def dilated(layer: nn.Module, steps: Tensor, dilation: int) -> Tensor:
    """Run an LSTM whose state at a step comes from `dilation` steps before (Chang et al. 2017).

    Each of the `dilation` interleaved sequences is a row of a larger batch, so that one fused call,
    a `dilation`-th as long, computes them all: [batch, steps, size] -> [batch, steps, hidden size].
    """
    if dilation == 1:
        return layer(steps)[0]  # type: ignore[no-any-return]
    rows = steps.shape[0]
    count = int(steps.shape[1])
    # filled behind the end, where it changes no state
    padded = padded_steps(steps, after=-count % dilation)
    interleaved = padded.view(rows, -1, dilation, steps.shape[2]).transpose(1, 2)
    sequences = interleaved.reshape(rows * dilation, -1, steps.shape[2])
    states: Tensor = layer(sequences)[0]
    by_sequence = states.view(rows, dilation, -1, states.shape[-1])
    return by_sequence.transpose(1, 2).flatten(1, 2)[:, :count]


class DilatedStack(nn.Module):
    """LSTM blocks, each with its dilation and a shortcut, read at the last step (Smyl 2020).

    The last step of a block of dilation 24 depends on every 24th step alone, so the blocks below it
    need not compute the others: each block runs over those steps only that a block above it, or the
    output, looks at. Where all dilations share a factor, no block looks at the steps between; each
    step then reads a segment of that many.
    """

    def __init__(self, size: int, shape: Shape, params: DilationParams) -> None:
        super().__init__()
        self.dilations = params.dilations or default_dilations(shape)
        # steps between those that count for a block
        strides = list(accumulate(reversed(self.dilations), math.gcd))
        self.strides = strides[::-1]
        self.blocks = nn.ModuleList()
        inputs = size * self.strides[0]
        for _ in self.dilations:
            self.blocks.append(recurrent("LSTM", inputs, params))
            inputs = params.hidden_size
        self.drop = nn.Dropout(params.dropout)

    def forward(self, steps: Tensor) -> Tensor:
        """[batch, steps, size] -> [batch, hidden size], the state of the last step."""
        stride = self.strides[0]
        segments = past_segments(steps, stride)
        states = dilated(self.blocks[0], segments, self.dilations[0] // stride)
        for number in range(1, len(self.blocks)):
            skip = self.strides[number] // stride
            stride = self.strides[number]
            states = states[:, (states.shape[1] - 1) % skip :: skip]
            dilation = self.dilations[number] // stride
            states = dilated(self.blocks[number], self.drop(states), dilation) + states
        return states[:, -1]

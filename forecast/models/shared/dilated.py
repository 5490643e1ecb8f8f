"""The dilated LSTM that several models share: settings, interleaving, and the stack of blocks."""

import math
from itertools import accumulate
from typing import Annotated

from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import StackParams, padded_steps, past_segments, recurrent
from forecast.settings import names_in

DENSE = 64  # a past of at most so many steps is read value by value, a longer one in segments
Dilation = Annotated[int, Field(ge=1, le=10_000)]
Dilations = Annotated[tuple[Dilation, ...], Field(min_length=1, max_length=16)]


class DilationParams(StackParams):
    dilations: Annotated[Dilations, BeforeValidator(names_in)] | None = Field(
        None, description="dilation of each block, comma-separated; default by season and lookback"
    )


def default_dilations(shape: Shape) -> tuple[int, ...]:
    """The dilations of the blocks, by season and lookback.

    With a season they are 1, about the root of the season, and the season. Without one they are 1,
    4, 16 and so on, as long as the lookback holds 4 steps of the dilation. A long past is read in
    segments from the start: small dilations are then left out.
    """
    for season in shape.seasons:
        if 2 * season <= shape.lookback:
            middle = math.isqrt(season)
            while season % middle:
                middle -= 1
            dilations = tuple(dict.fromkeys([1, middle, season]))
            if shape.lookback <= DENSE:
                return dilations
            return dilations[-2:]

    dilations = (1,)
    while 16 * dilations[-1] <= shape.lookback:
        dilations = (*dilations, 4 * dilations[-1])
    sparse = tuple(dilation for dilation in dilations if dilation * DENSE >= shape.lookback)
    return sparse or dilations[-1:]


def dilate(layer: nn.Module, steps: Tensor, dilation: int) -> Tensor:
    """Run an LSTM whose state follows the one `dilation` steps before (Chang et al. 2017).

    Each of the `dilation` interleaved sequences becomes a row of a larger batch, so that one fused
    call over 1 / `dilation` as many steps computes them all: [batch, steps, size] -> [batch, steps,
    hidden size].
    """
    if dilation == 1:
        return layer(steps)[0]  # type: ignore[no-any-return]
    rows = steps.shape[0]
    count = int(steps.shape[1])
    # padding comes after the end, where it changes no state
    padded = padded_steps(steps, after=-count % dilation)
    interleaved = padded.view(rows, -1, dilation, steps.shape[2]).transpose(1, 2)
    sequences = interleaved.reshape(rows * dilation, -1, steps.shape[2])
    states: Tensor = layer(sequences)[0]
    by_sequence = states.view(rows, dilation, -1, states.shape[-1])
    return by_sequence.transpose(1, 2).flatten(1, 2)[:, :count]


class DilatedStack(nn.Module):
    """Residual LSTM blocks, each with a dilation, read at the last step (Smyl 2020).

    The last step of a block of dilation 24 depends on every 24th step only, so the blocks below it
    need not compute the other steps. Each block therefore runs only over the steps that the blocks
    above it, or the output, depend on. If all dilations share a factor, no block depends on the
    steps between; the first block then reads them as segments of that many steps.
    """

    def __init__(self, size: int, shape: Shape, params: DilationParams) -> None:
        super().__init__()
        self.dilations = params.dilations or default_dilations(shape)
        # by block, the distance between the steps that it computes
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
        states = dilate(self.blocks[0], segments, self.dilations[0] // stride)
        for number in range(1, len(self.blocks)):
            skip = self.strides[number] // stride
            stride = self.strides[number]
            first = (states.shape[1] - 1) % skip
            states = states[:, first::skip]
            dilation = self.dilations[number] // stride
            states = dilate(self.blocks[number], self.drop(states), dilation) + states
        return states[:, -1]

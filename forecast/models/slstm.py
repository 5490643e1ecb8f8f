"""sLSTM over segments of the past: exponential gates with a stabiliser and a normaliser (Beck et al. 2024)."""

from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import SegmentModel, SegmentParams, StackParams, zeroed
from forecast.windows.windows import Batch


class HeadParams(SegmentParams, StackParams):
    heads: int = Field(
        1, ge=1, description="independent parts of the recurrent weights; a divisor of hidden_size"
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden_size % self.heads:
            raise ValueError(
                f"heads={self.heads} must divide hidden_size={self.hidden_size}; pass -p heads=1"
            )
        return self


class State(NamedTuple):
    """What a cell carries, each [batch, size]: output, content and normaliser, both times exp(-stabiliser)."""

    output: Tensor
    content: Tensor
    normaliser: Tensor
    stabiliser: Tensor


class Cell(nn.Module):
    """The sLSTM cell: exponential input and forget gates, kept in range by a running maximum of their logarithms."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(size, 4 * size)
        width = size // heads
        self.from_output = nn.Parameter(
            torch.empty(heads, width, 4 * width).uniform_(-(width**-0.5), width**-0.5)
        )

    def start(self, rows: int) -> State:
        zero = self.from_output.new_zeros(rows, self.from_input.in_features)
        # below any gate, so that the first step enters with weight 1 and the normaliser never falls under it
        return State(zero, zero, zero, torch.full_like(zero, -torch.inf))

    def forward(self, driven: Tensor, state: State) -> State:
        """One step, from `from_input` of its input, [batch, 4 * size], and the state before it."""
        heads, width, _ = self.from_output.shape
        split = state.output.view(-1, heads, width).transpose(0, 1)
        fed = torch.bmm(split, self.from_output).view(
            heads, -1, 4, width
        )  # [heads, batch, gates, width]
        gates = driven.view(-1, 4, heads * width) + fed.permute(1, 2, 0, 3).flatten(2)
        content, enter, forget, leave = gates.unbind(1)
        carried = forget + state.stabiliser
        stabiliser = torch.maximum(carried, enter)
        enter, forget = torch.exp(enter - stabiliser), torch.exp(carried - stabiliser)
        held = forget * state.content + enter * torch.tanh(content)
        normaliser = forget * state.normaliser + enter
        return State(torch.sigmoid(leave) * held / normaliser, held, normaliser, stabiliser)


class Block(nn.Module):
    """A cell and then a gated feed-forward layer, both normalised and with a shortcut around them."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        wide = -(-4 * size // 3)  # the paper's factor
        self.before, self.cell, self.after = (
            nn.LayerNorm(size),
            Cell(size, heads),
            nn.GroupNorm(heads, size),
        )
        self.between, self.up, self.down = (
            nn.LayerNorm(size),
            nn.Linear(size, 2 * wide),
            nn.Linear(wide, size),
        )

    def forward(
        self, steps: Tensor
    ) -> tuple[Tensor, State]:  # [batch, steps, size] -> the same, and the last state
        state, outputs = self.cell.start(steps.shape[0]), []
        for driven in self.cell.from_input(self.before(steps)).unbind(1):
            state = self.cell(driven, state)
            outputs.append(state.output)
        return self._finish(steps, torch.stack(outputs, 1)), state

    def each_after(self, steps: Tensor, state: State) -> Tensor:
        """Each step as if it were the one that follows `state`, [batch, steps, size] -> the same."""
        repeated = State(*(part.repeat_interleave(steps.shape[1], 0) for part in state))
        driven = self.cell.from_input(self.before(steps)).flatten(0, 1)
        return self._finish(steps, self.cell(driven, repeated).output.view_as(steps))

    def _finish(self, steps: Tensor, outputs: Tensor) -> Tensor:
        steps = steps + self.after(outputs.flatten(0, 1)).view_as(outputs)
        gate, value = self.up(self.between(steps)).chunk(2, -1)
        return steps + self.down(functional.gelu(gate) * value)  # type: ignore[no-any-return]


class Network(SegmentModel):
    """Blocks over the segments of the past, then one more step for each segment of the horizon, all at once."""

    Params = HeadParams

    def __init__(self, params: HeadParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = params.hidden_size
        self.blocks = nn.ModuleList(Block(size, params.heads) for _ in range(params.layers))
        self.build_queries(size)
        self.decoder = Block(size, params.heads)
        self.drop = nn.Dropout(params.dropout)
        self.last, self.out = nn.LayerNorm(size), nn.Linear(size, self.shape.outputs * self.segment)
        zeroed(self.out)
        nn.init.zeros_(
            self.out.bias
        )  # so that training starts from the seasonal skip: it then ends far better

    def forward(self, batch: Batch) -> Tensor:
        steps = self.segments(batch)
        for number, block in enumerate(self.blocks):
            steps, state = block(self.drop(steps) if number else steps)
        decoded = self.last(self.decoder.each_after(self.queries(batch, steps[:, -1:]), state))
        return self.joined(self.out(self.drop(decoded)), decoded, batch)

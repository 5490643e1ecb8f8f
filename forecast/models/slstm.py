"""sLSTM over segments: exponential gates, a stabiliser and a normaliser (Beck et al. 2024)."""

from typing import NamedTuple, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from forecast.models.shared.model import Shape
from forecast.models.shared.parts import SegmentModel, SegmentParams, StackParams, zero_outputs
from forecast.windows.windows import Batch


class HeadParams(SegmentParams, StackParams):
    heads: int = Field(
        1, ge=1, description="independent parts of the recurrent weights; a divisor of hidden_size"
    )

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.hidden_size % self.heads:
            problem = f"heads={self.heads} must divide hidden_size={self.hidden_size}"
            raise ValueError(f"{problem}; pass -p heads=1")
        return self


class State(NamedTuple):
    """What a cell carries from step to step, [batch, size].

    `content` and `normaliser` are stored as multiples of exp(stabiliser).
    """

    output: Tensor
    content: Tensor
    normaliser: Tensor
    stabiliser: Tensor


class Cell(nn.Module):
    """The sLSTM cell: exponential gates, kept in range by a running maximum of their logarithms."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(size, 4 * size)
        width = size // heads
        weights = torch.empty(heads, width, 4 * width)
        bound = width**-0.5
        self.from_output = nn.Parameter(weights.uniform_(-bound, bound))

    def start(self, rows: int) -> State:
        zero = self.from_output.new_zeros(rows, self.from_input.in_features)
        # a stabiliser below any gate gives the first step weight 1, and a normaliser above 0
        return State(zero, zero, zero, torch.full_like(zero, -torch.inf))

    def forward(self, driven: Tensor, state: State) -> State:
        """One step, from `from_input` of its input, [batch, 4 * size], and the state before it."""
        heads, width, _ = self.from_output.shape
        outputs = state.output.view(-1, heads, width).transpose(0, 1)
        by_head = torch.bmm(outputs, self.from_output)
        by_gate = by_head.view(heads, -1, 4, width).permute(1, 2, 0, 3)
        by_gate = by_gate.flatten(2)  # [batch, gates, size]
        gates = driven.view(-1, 4, heads * width) + by_gate
        content, enter, forget, leave = gates.unbind(1)

        carried = forget + state.stabiliser
        stabiliser = torch.maximum(carried, enter)
        enter = torch.exp(enter - stabiliser)
        forget = torch.exp(carried - stabiliser)
        held = forget * state.content + enter * torch.tanh(content)
        normaliser = forget * state.normaliser + enter
        output = torch.sigmoid(leave) * held / normaliser
        return State(output, held, normaliser, stabiliser)


class SLSTMBlock(nn.Module):
    """A cell, then a gated feed-forward layer; both are normalised and residual."""

    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        wide = -(-4 * size // 3)  # the paper's factor
        self.before = nn.LayerNorm(size)
        self.cell = Cell(size, heads)
        self.after = nn.GroupNorm(heads, size)
        self.between = nn.LayerNorm(size)
        self.up = nn.Linear(size, 2 * wide)
        self.down = nn.Linear(wide, size)

    def forward(self, steps: Tensor) -> tuple[Tensor, State]:
        """[batch, steps, size] -> outputs of the same shape, and the last state."""
        state = self.cell.start(steps.shape[0])
        outputs = []
        for driven in self.cell.from_input(self.before(steps)).unbind(1):
            state = self.cell(driven, state)
            outputs.append(state.output)
        return self._finish(steps, torch.stack(outputs, 1)), state

    def each_after(self, steps: Tensor, state: State) -> Tensor:
        """Each step as if it followed `state`, [batch, steps, size] -> the same."""
        count = steps.shape[1]
        repeated = State(*(tensor.repeat_interleave(count, 0) for tensor in state))
        driven = self.cell.from_input(self.before(steps)).flatten(0, 1)
        after = self.cell(driven, repeated)
        return self._finish(steps, after.output.view_as(steps))

    def _finish(self, steps: Tensor, outputs: Tensor) -> Tensor:
        normalised = self.after(outputs.flatten(0, 1))
        steps = steps + normalised.view_as(outputs)
        gate, value = self.up(self.between(steps)).chunk(2, -1)
        return steps + self.down(functional.gelu(gate) * value)  # type: ignore[no-any-return]


class Network(SegmentModel):
    """Blocks over the segments of the past, then one more step for each segment ahead."""

    Params = HeadParams

    def __init__(self, params: HeadParams, shape: Shape) -> None:
        super().__init__(params, shape)
        size = params.hidden_size
        blocks = [SLSTMBlock(size, params.heads) for _ in range(params.layers)]
        self.blocks = nn.ModuleList(blocks)
        self.build_queries(size)
        self.decoder = SLSTMBlock(size, params.heads)
        self.drop = nn.Dropout(params.dropout)
        self.last = nn.LayerNorm(size)
        self.out = nn.Linear(size, self.shape.outputs * self.segment)
        # training starts from the seasonal skip: it then ends far better
        zero_outputs(self.out)
        nn.init.zeros_(self.out.bias)

    def forward(self, batch: Batch) -> Tensor:
        steps, state = self.blocks[0](self.segments(batch))
        for block in self.blocks[1:]:
            steps, state = block(self.drop(steps))
        queries = self.queries(batch, steps[:, -1:])
        decoded = self.last(self.decoder.each_after(queries, state))
        raw = self.out(self.drop(decoded))
        return self.join_segments(raw, decoded, batch)

"""The pretrained network in torch; `forecast.pretrained.network` computes the same in numpy."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast.pretrained.features import OTHERS, TOKEN_STEPS
from forecast.pretrained.network import MIDDLE, OUTPUTS, TOKEN_INPUTS


class Block(nn.Module):
    """A GRU and a wider feed-forward layer, each with a residual connection."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = nn.LayerNorm(width)
        self.between = nn.LayerNorm(width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.wide = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)

    def forward(self, states: Tensor, newest: int = 0) -> Tensor:
        """[windows, tokens, width] -> the same, or only the last `newest` tokens of it."""
        states = states + self.recurrent(self.before(states))[0]
        if newest:
            states = states[:, -newest:]
        wide = functional.silu(self.wide(self.between(states)))
        return states + self.narrow(wide)  # type: ignore[no-any-return]


class Pretrained(nn.Module):
    """Recurrent blocks that turn tokens into quantiles of the tokens ahead, which are masked."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(TOKEN_INPUTS, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.after = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, TOKEN_STEPS * OUTPUTS)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(
        self, tokens: Tensor, base: Tensor, gated: Tensor, unit: Tensor, more: Tensor | None = None
    ) -> Tensor:
        """Quantiles in scaled units, [windows, horizon, levels]; `more` is added to the tokens."""
        states = self.inputs(tokens)
        if more is not None:
            states = states + more
        for block in self.blocks[:-1]:
            states = block(states)
        horizon = base.shape[1]
        states = self.blocks[-1](states, newest=horizon // TOKEN_STEPS)
        outputs = self.outputs(self.after(states))
        outputs = outputs.reshape(tokens.shape[0], horizon, OUTPUTS)

        gates = outputs[..., :OTHERS]
        raw = outputs[..., OTHERS:]
        weighted = gates * gated
        guess = base + weighted.sum(-1)
        middle = guess + unit[:, None] * raw[..., MIDDLE]
        middle = middle[..., None]
        distances = unit[:, None, None] * functional.softplus(raw - 1)
        above = distances[..., MIDDLE + 1 :].cumsum(-1)
        below = distances[..., :MIDDLE].flip(-1).cumsum(-1)
        return torch.cat([middle - below.flip(-1), middle, middle + above], -1)

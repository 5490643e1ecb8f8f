"""The pretrained network in torch, as it trains; `forecast.pretrained.network` computes the same."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from forecast.pretrained.features import OTHERS, TOKEN
from forecast.pretrained.network import MIDDLE, OUTPUTS, TOKEN_INPUTS


class Block(nn.Module):
    """A GRU and a wider layer, each added to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.recurrent = nn.GRU(width, width, batch_first=True)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(
        self, states: Tensor, newest: int | None = None
    ) -> Tensor:  # [windows, tokens, width] to the newest
        states = states + self.recurrent(self.before(states))[0]
        if newest is not None:
            states = states[:, -newest:]
        return states + self.narrow(functional.silu(self.wide(self.between(states))))  # type: ignore[no-any-return]


class Pretrained(nn.Module):
    """Quantiles of masked future tokens, by recurrent blocks of a width."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        self.inputs = nn.Linear(TOKEN_INPUTS, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.after = nn.LayerNorm(width)
        self.outputs = nn.Linear(width, TOKEN * OUTPUTS)
        nn.init.zeros_(self.outputs.weight)
        nn.init.zeros_(self.outputs.bias)

    def forward(
        self, tokens: Tensor, base: Tensor, gated: Tensor, unit: Tensor, more: Tensor | None = None
    ) -> Tensor:
        """Quantiles in scaled units, [windows, horizon, levels]; `more` is added to the embedded tokens."""
        states = self.inputs(tokens) if more is None else self.inputs(tokens) + more
        horizon, last = base.shape[1], len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            states = block(states, horizon // TOKEN if number == last else None)
        raw = self.outputs(self.after(states)).reshape(tokens.shape[0], horizon, OUTPUTS)
        gates, raw = raw[..., :OTHERS], raw[..., OTHERS:]
        middle = (base + (gates * gated).sum(-1) + unit[:, None] * raw[..., MIDDLE])[..., None]
        away = unit[:, None, None] * functional.softplus(raw - 1)
        upper = middle + away[..., MIDDLE + 1 :].cumsum(-1)
        lower = middle - away[..., :MIDDLE].flip(-1).cumsum(-1).flip(-1)
        return torch.cat([lower, middle, upper], -1)

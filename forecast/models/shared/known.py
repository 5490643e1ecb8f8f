"""Effects of columns that are known in advance, on their own step and on a few around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 3  # a known column also acts on so many steps before and after its own


class KnownEffects(nn.Sequential):
    """By how much known columns move values.

    Effects are subtracted from the past before a network reads it, and added to its forecast.
    """

    def __init__(self, columns: int, hidden: int = 8) -> None:
        first = nn.Linear(columns, hidden)
        last = nn.Linear(hidden, 2 * REACH + 1, bias=False)
        super().__init__(first, nn.ReLU(), last)
        nn.init.zeros_(last.weight)

    def around(self, past: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Effects [batch, steps] on past and on horizon, from known columns [batch, steps,
        columns].
        """
        after = functional.pad(self(ahead), (0, 0, 0, REACH))
        with torch.no_grad():  # gradients through the past would take as long as the network
            before = functional.pad(self(past), (0, 0, REACH, 0))
            around_past = torch.cat([before, after[:, :REACH]], 1)
            of_past = _sum_neighbours(around_past)
        around_horizon = torch.cat([before[:, -REACH:], after], 1)
        return of_past, _sum_neighbours(around_horizon)


def _sum_neighbours(effects: Tensor) -> Tensor:
    """The effect on each step, [batch, steps], summed over the steps around it.

    `effects` has, for each step, its effects on the steps around it, the latest of these first.
    """
    steps = effects.shape[1] - 2 * REACH
    total = effects[:, :steps, 0]
    for offset in range(1, 2 * REACH + 1):
        total = total + effects[:, offset : offset + steps, offset]
    return total  # [batch, steps]

"""What columns that are known in advance do at their own step and a few around it."""

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 3  # steps before and after, on which a known column acts too


class KnownEffects(nn.Sequential):
    """By how much known columns move values: taken from a past, added to its horizon."""

    def __init__(self, columns: int, hidden: int = 8) -> None:
        first = nn.Linear(columns, hidden)
        last = nn.Linear(hidden, 2 * REACH + 1, bias=False)
        super().__init__(first, nn.ReLU(), last)
        nn.init.zeros_(last.weight)

    def around(self, past: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Known columns [batch, steps, columns] of past and horizon -> effects, [batch, steps]."""
        after = functional.pad(self(ahead), (0, 0, 0, REACH))
        with torch.no_grad():  # gradients through the past would take as long as the network
            before = functional.pad(self(past), (0, 0, REACH, 0))
            around_past = torch.cat([before, after[:, :REACH]], 1)
            of_past = _summed(around_past)
        around_horizon = torch.cat([before[:, -REACH:], after], 1)
        return of_past, _summed(around_horizon)


def _summed(effects: Tensor) -> Tensor:
    """What steps do to those around them, the last one first, as what all do to each step."""
    steps = effects.shape[1] - 2 * REACH
    total = effects[:, :steps, 0]
    for offset in range(1, 2 * REACH + 1):
        total = total + effects[:, offset : offset + steps, offset]
    return total  # [batch, steps]

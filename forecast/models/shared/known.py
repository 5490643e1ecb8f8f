"""What columns that are known in advance do at their own step and a few around it, by one map for all steps."""

import torch
from torch import Tensor, nn
from torch.nn import functional

REACH = 3  # steps before and after, on which a known column acts too


class KnownEffects(nn.Sequential):
    """By how much known columns move values: taken from the past of a window, added to its horizon, where it learns."""

    def __init__(self, columns: int, hidden: int = 8) -> None:
        super().__init__(
            nn.Linear(columns, hidden), nn.ReLU(), nn.Linear(hidden, 2 * REACH + 1, bias=False)
        )
        nn.init.zeros_(self.get_parameter("2.weight"))

    def around(self, past: Tensor, ahead: Tensor) -> tuple[Tensor, Tensor]:
        """Known columns, [batch, steps, columns] of past and horizon -> effects, [batch, steps] of each."""
        after = functional.pad(self(ahead), (0, 0, 0, REACH))
        with torch.no_grad():  # gradients through the past would take as long as the network
            before = functional.pad(self(past), (0, 0, REACH, 0))
            taken = _summed(torch.cat([before, after[:, :REACH]], 1))
        return taken, _summed(torch.cat([before[:, -REACH:], after], 1))


def _summed(each: Tensor) -> Tensor:
    """What a step does to those around it, the last one first, as what all do to each, [batch, steps]."""
    steps = each.shape[1] - 2 * REACH
    total = each[:, :steps, 0]
    for offset in range(1, 2 * REACH + 1):
        total = total + each[:, offset : offset + steps, offset]
    return total

"""Gather the batches that a network trains on, drawn at random, and those that validate it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from forecast.training.split import Split
from forecast.windows.windows import Batch, WindowIndex, Windows

VALIDATION_BATCH = 256  # windows

Draw = Callable[[torch.Generator, int, bool], Batch]
"""(generator, windows, whether held-out values may be targets) -> a training batch"""


def sampler(windows: Windows, split: Split) -> Draw:
    """Draw windows of tensors: first a series, each as likely as another, then a position in it."""
    device = windows.values.device

    def table(everything: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count, low = split.count(everything), np.maximum(np.minimum(split.first, split.last(everything)), 1)
        columns = np.flatnonzero(count), low, count, split.end if everything else split.train_end
        a, b, c, d = (torch.from_numpy(np.ascontiguousarray(column)) for column in columns)
        return a, b, c, d

    tables = {everything: table(everything) for everything in (False, True)}

    def draw(generator: torch.Generator, size: int, everything: bool) -> Batch:
        usable, low, count, end = tables[everything]
        series = usable[torch.randint(len(usable), (size,), generator=generator)]
        share = torch.rand(size, generator=generator, dtype=torch.float64)
        position = low[series] + (share * count[series]).long()
        position = torch.minimum(position, low[series] + count[series] - 1)
        return windows.batch(series.to(device), position.to(device), end[series].to(device))

    return draw


def validation_batches(windows: Windows, index: WindowIndex) -> list[Batch]:
    """The windows of an index, gathered in batches."""
    series, position = (torch.from_numpy(part).to(windows.values.device) for part in index)
    size = VALIDATION_BATCH
    return [windows.batch(series[at : at + size], position[at : at + size]) for at in range(0, len(series), size)]

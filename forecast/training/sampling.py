"""Gather the batches that a network trains on, drawn at random, and those that validate it."""

from collections.abc import Callable

import numpy as np
import torch

from forecast.training.devices import on_device
from forecast.training.split import Split
from forecast.windows.scaling import find_device
from forecast.windows.windows import Batch, WindowIndex, Windows

VALIDATION_BATCH = 256  # windows

Draw = Callable[[torch.Generator, int, bool], Batch]
"""(generator, windows, whether held-out values may be targets) -> a training batch"""


def sampler(windows: Windows, split: Split) -> Draw:
    """A function that draws training batches.

    It draws a series first, each with the same chance, and then a position in it.
    """
    device = windows.values.device
    tables = {held_out_too: _table(split, held_out_too) for held_out_too in (False, True)}

    def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        usable, lowest, count, end = tables[held_out_too]
        drawn = torch.randint(len(usable), (size,), generator=generator)
        series = usable[drawn]
        share = torch.rand(size, generator=generator, dtype=torch.float64)
        step = (share * count[series]).long()
        position = lowest[series] + torch.minimum(step, count[series] - 1)
        return windows.batch(series.to(device), position.to(device), end[series].to(device))

    return draw


def _table(split: Split, held_out_too: bool) -> list[torch.Tensor]:
    """Series that have windows; then, by series, lowest position, number of windows, and end."""
    count = split.count(held_out_too)
    last = split.last(held_out_too)
    lowest = np.maximum(np.minimum(split.first, last), 1)
    end = split.end if held_out_too else split.train_end
    columns = np.flatnonzero(count), lowest, count, end
    return [torch.from_numpy(column) for column in columns]


def validation_batches(windows: Windows, index: WindowIndex) -> list[Batch]:
    series, position = map(on_device(find_device(windows.values)), index)
    size = VALIDATION_BATCH
    return [
        windows.batch(series[at : at + size], position[at : at + size])
        for at in range(0, len(series), size)
    ]

"""Gather the batches that a network trains on, drawn at random, and those that validate it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from forecast.parallel import process_rank, processes
from forecast.training.split import Split
from forecast.windows.windows import Batch, WindowIndex, Windows

VALIDATION_BATCH = 256  # windows

Draw = Callable[[torch.Generator, int, bool], Batch]
"""(generator, windows, whether held-out values may be targets) -> a training batch"""


def sampler(windows: Windows, split: Split) -> Draw:
    """Draw windows of tensors: first a series, each as likely as another, then a position in it."""
    device = windows.values.device

    def table(held_out_too: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count, low = (
            split.count(held_out_too),
            np.maximum(np.minimum(split.first, split.last(held_out_too)), 1),
        )
        columns = np.flatnonzero(count), low, count, split.end if held_out_too else split.train_end
        a, b, c, d = (torch.from_numpy(np.ascontiguousarray(column)) for column in columns)
        return a, b, c, d

    tables = {held_out_too: table(held_out_too) for held_out_too in (False, True)}

    def draw(generator: torch.Generator, size: int, held_out_too: bool) -> Batch:
        usable, low, count, end = tables[held_out_too]
        series = usable[torch.randint(len(usable), (size,), generator=generator)]
        share = torch.rand(size, generator=generator, dtype=torch.float64)
        position = low[series] + (share * count[series]).long()
        position = torch.minimum(position, low[series] + count[series] - 1)
        return windows.batch(series.to(device), position.to(device), end[series].to(device))

    return draw


def validation_batches(windows: Windows, index: WindowIndex) -> list[Batch]:
    series, position = (torch.from_numpy(part).to(windows.values.device) for part in index)
    size = VALIDATION_BATCH
    return [
        windows.batch(series[at : at + size], position[at : at + size])
        for at in range(0, len(series), size)
    ]


def part_of_process(draw: Draw) -> Draw:
    """Draw as many windows for each process, all with the same random numbers, and take those of this process."""
    count, rank = processes(), process_rank()
    if count == 1:
        return draw
    return lambda generator, size, held_out_too: draw(generator, count * size, held_out_too).split(
        size
    )[rank]

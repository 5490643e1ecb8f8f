"""What a training step costs, counted so that a plan repeats, or measured where there is a budget."""

import math
import time
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel
from forecast.training.plan import MIN_STEPS
from forecast.training.sampling import Draw
from forecast.training.state import TrainingState
from forecast.windows.windows import Batch

# measured on a machine of two cores: operations a second, seconds a step of a recurrent layer, seconds of anything else
OPERATIONS_A_SECOND, RECURRENT_STEP, OTHER = 4e10, 2e-4, 2e-3

PROBE_STEPS = 3  # the first one is slow, since memory is set up


def default_batch_size(windows: int, estimate: Callable[[int], float], seconds: float) -> int:
    """A power of two from 32 to 128: some steps in every pass over the windows, and many in the time there is.

    A step costs as much as its windows, from about 128 on, and two steps of 128 teach more than one of 256.
    """
    size = max(32, min(128, 1 << max(0, (max(windows, 1) // 8).bit_length() - 1)))
    while size > 64 and seconds / estimate(size) < MIN_STEPS:
        size //= 2
    return size


def estimate_step(network: RecurrentModel, batch: Batch, batch_size: int) -> float:
    """Seconds that one training step would take on two cores.

    Every layer costs its weights times the times that it is applied, forward and twice that backward; a recurrent
    layer costs its steps besides.
    """
    operations, launches = 0.0, 0.0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal operations, launches
        if isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            applied = prod(inputs[0].shape[:-1]) / len(batch)  # times for each window
            operations += 2.0 * sum(p.numel() for p in layer.parameters(recurse=False)) * applied
            launches += applied * layer.num_layers if isinstance(layer, nn.RNNBase) else 1

    leaves = [layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(count) for layer in leaves if layer is not network]
    try:
        with torch.no_grad():
            network.outputs(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return 3.0 * operations * batch_size / OPERATIONS_A_SECOND + launches * RECURRENT_STEP + OTHER


class Probe:
    """Trains a network only to measure how long a step takes; slow steps waited for other work of the machine."""

    def __init__(self, state: TrainingState, draw: Draw, clock: Callable[[], float] = time.monotonic) -> None:
        self.state, self.draw, self.clock = state, draw, clock
        self.seconds = math.inf  # of the fastest step so far
        self.run()

    def run(self) -> None:
        for _ in range(PROBE_STEPS):
            start = self.clock()
            self.state.take(self.draw(self.state.generator, self.state.member.batch_size, False))
            self.seconds = min(self.seconds, self.clock() - start)

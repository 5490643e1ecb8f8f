"""The seconds that a training step takes: estimated from a network's layers, or measured here."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel
from forecast.settings import TrainSettings
from forecast.training.loop import TrainingState
from forecast.training.plan import STEP_PRIORS, Member
from forecast.training.sampling import Draw
from forecast.windows.windows import Batch

PROBE_STEPS = 3  # training steps that are timed; the first is slow, since memory is set up


@dataclass(frozen=True)
class MachineSpeed:
    """Measured on a machine of two cores."""

    operations_a_second: float = 4e10
    # seconds that a recurrent layer takes for each time step, whatever its size
    recurrent_step: float = 2e-4
    other: float = 2e-3  # seconds of a training step for anything else


SPEED = MachineSpeed()


def default_batch_size(windows: int, estimate: Callable[[int], float], seconds: float) -> int:
    """The number of windows in a batch: a power of two from 32 to 128.

    It is small enough for several training steps in a pass over the windows, and for many of them
    in `seconds`.
    """
    size = 128
    while size > 32 and 8 * size > windows:
        size //= 2
    while size > 64 and seconds / estimate(size) < STEP_PRIORS.min_steps:
        size //= 2
    return size


@dataclass
class StepCosts:
    """Seconds that a training step of a candidate takes, by the number of windows in its batch."""

    network: RecurrentModel
    batch: Batch  # an example, to count operations with
    # seconds of the fastest training step, by batch size
    measured: dict[int, float] = field(default_factory=dict)

    def estimate(self, batch_size: int) -> float:
        """Seconds of a training step on two cores, forward and backward, from its operations."""
        if self.network.rows_at_once:
            return self.network.seconds_to_learn(batch_size)
        operations = 0.0  # for one window
        launches = 0.0

        def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            nonlocal operations, launches
            read = inputs[0]
            if isinstance(read, Tensor) and read.is_floating_point():
                times = prod(read.shape[:-1]) / len(self.batch)
                weights = sum(weight.numel() for weight in layer.parameters(recurse=False))
                operations += 2.0 * weights * times
                launches += times * layer.num_layers if isinstance(layer, nn.RNNBase) else 1

        hooks = []
        for layer in self.network.modules():
            if layer is not self.network and list(layer.parameters(recurse=False)):
                hooks.append(layer.register_forward_hook(count))
        try:
            with torch.no_grad():
                self.network.outputs(self.batch)
        finally:
            for hook in hooks:
                hook.remove()
        computing = 3.0 * operations * batch_size / SPEED.operations_a_second
        return computing + launches * SPEED.recurrent_step + SPEED.other

    def measure(self, member: Member, settings: TrainSettings, draw: Draw) -> float:
        """Seconds of a training step, measured once for each batch size by training the network.

        The fastest step counts: slower ones waited for other work of the machine.
        """
        size = member.batch_size
        if size not in self.measured:
            state = TrainingState(self.network, settings, member, 0)
            seconds = []
            for _ in range(PROBE_STEPS):
                start = time.monotonic()
                state.take(draw(state.generator, size, False))
                seconds.append(time.monotonic() - start)
            self.measured[size] = min(seconds)
        return self.measured[size]

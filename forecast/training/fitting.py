"""Fit networks to the windows of a panel: what a step costs, with which plan, and what to do when memory runs out."""

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecast.errors import Setting, Unavailable, Words
from forecast.models import model_class
from forecast.models.shared.building import build, network_shape, to_arrays
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.settings import TrainSettings
from forecast.training.context import TrainingContext
from forecast.training.devices import on_device, out_of_memory, pick_device
from forecast.training.loop import Trained
from forecast.training.members import train_members
from forecast.training.plan import MIN_STEPS, Candidate, Member, enough_steps, plan_member, schedule
from forecast.training.precision import chosen_precision
from forecast.training.rehearsal import PlannedNetwork, Rehearsal
from forecast.training.sampling import Draw, sampler, validation_batches
from forecast.training.split import Split, validation_windows
from forecast.training.state import TrainingState
from forecast.windows.inputs import Inputs
from forecast.windows.windows import Batch, WindowIndex, Windows

log = logging.getLogger("forecast")

STEPS_SHARE = 0.92  # of a budget; the rest is for validation, and for a machine that is busy
PROBE_BATCH = 32  # windows of the batch that an estimate counts with
PROBE_STEPS = 3  # the first one is slow, since memory is set up
PROBE_REPEATS = 2  # a busy neighbour slows a machine for half a second
SLOWER = 1.25  # times that the steps of a training take those of a probe, which find their data in the cache

# measured on a machine of two cores: operations a second, seconds a step of a recurrent layer, seconds of anything else
OPERATIONS_A_SECOND, RECURRENT_STEP, OTHER = 4e10, 2e-4, 2e-3


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


@dataclass(frozen=True)
class Fitter:
    """Plans and trains networks on one panel."""

    inputs: Inputs
    split: Split
    index: WindowIndex  # of the windows that validate
    settings: TrainSettings
    device: torch.device
    windows: Windows  # of tensors on that device
    _probes: dict[tuple[str, int], Probe] = field(default_factory=dict)  # by candidate and windows a step

    @classmethod
    def of(cls, inputs: Inputs, split: Split, settings: TrainSettings) -> "Fitter":
        """The fitter for a panel, on the device that the settings name."""
        device = pick_device(settings.device)
        return cls(inputs, split, validation_windows(split), settings, device, inputs.arrays.to(on_device(device)))

    @property
    def count(self) -> int:
        """Windows that can be drawn."""
        return int(self.split.count(False).sum())

    def shape(self, candidate: Candidate) -> Shape:
        inputs, lookback, loss = self.inputs, candidate.lookback, self.settings.loss
        return network_shape(inputs.schema, inputs.horizon, lookback, inputs.lags, inputs.levels, inputs.series, loss)

    def make_data(self, candidate: Candidate) -> tuple[Shape, Draw, list[Batch]]:
        """The shape of the candidate's network, its training batches and validation batches."""
        windows = self.windows.cut(candidate.lookback, candidate.scaling)
        return self.shape(candidate), sampler(windows, self.split), validation_batches(windows, self.index)

    def plan(
        self, candidates: list[Candidate], seconds: list[float], measure: bool, steps: int | None = None, warm: int = 0
    ) -> list[Member]:
        """Plan the training of one network for each candidate, in at most so many seconds, estimated or measured."""
        members, refit = [], len(self.index[0]) > 0
        for candidate, most in zip(candidates, seconds, strict=True):
            size, step = self._cost(candidate, most, measure and steps is None)
            affordable = int((STEPS_SHARE * most if measure else most) / step)
            taken = steps or max(1, min(affordable, self._enough_steps(candidate, size, warm)))
            precision = chosen_precision(self.settings.precision, candidate, self.device)
            members.append(plan_member(candidate, taken, size, refit, warm, precision))
        return members

    def cost(self, candidate: Candidate, seconds: float, measure: bool) -> float:
        """Seconds that enough steps of a candidate take on one core, measured once or estimated."""
        size, step = self._cost(candidate, seconds, measure)
        return step * self._enough_steps(candidate, size)

    def measure_again(self) -> None:
        """Repeat all measurements; the fastest step counts."""
        for _ in range(PROBE_REPEATS):
            for probe in self._probes.values():
                probe.run()

    def train(self, members: list[Member], context: TrainingContext) -> tuple[list[Member], list[Trained]]:
        """Train networks, with smaller batches where memory runs out; the members that are returned repeat it."""
        if context.rehearsal is not None:
            return members, self._rehearse(members, context, context.rehearsal)
        make_data = replace(self, _probes={}).make_data  # networks that were measured are not sent to other processes
        while True:
            try:
                trained = train_members(members, make_data, self.settings, self.device, context)
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            largest = max(member.batch_size for member in members)
            if largest == 1:
                cure = Words("pass a smaller ", Setting("lookback"))
                raise Unavailable("out of memory at one window a step", cure=cure)
            members = [m.model_copy(update={"batch_size": max(1, m.batch_size // 2)}) for m in members]
            log.warning("out of memory; training starts again with %d windows a step", largest // 2)
        ended = zip(members, trained, strict=True)
        return [member.model_copy(update={"cut": result.cut}) for member, result in ended], trained

    def _rehearse(self, members: list[Member], context: TrainingContext, rehearsal: Rehearsal) -> list[Trained]:
        """Add to a rehearsal what training would take; the networks that are returned know nothing."""
        begun, held_out = time.monotonic(), len(self.index[0])
        rehearsal.windows = self.count, int(self.split.count(True).sum()), held_out
        number = 1 + max((network.round for network in rehearsal.networks), default=0)
        networks, trained = [], []
        for member in members:
            network, draw, batch = self._example(member)
            weights = to_arrays(network.state_dict())
            forecasts = np.zeros((held_out, network.shape.horizon, len(network.shape.levels)))
            trained.append(Trained(weights, weights, None, forecasts, None, member.steps))
            step, on_cpu = estimate_step(network, batch, member.batch_size), self.device.type == "cpu"
            if rehearsal.speed is None:  # other work of the machine does not count
                clock = time.process_time if on_cpu else time.monotonic
                probe = Probe(TrainingState(network, self.settings, member, 0), draw, clock)
                rehearsal.speed = probe.seconds / step
            # a validation only goes forward, a third of a step's work
            validations = (member.steps - member.refit_steps) // member.validate_every + 1
            steps = member.steps + validations * held_out / member.batch_size / 3
            seconds = steps * step * rehearsal.speed * SLOWER * (rehearsal.busy() if on_cpu else 1.0)
            networks.append(PlannedNetwork(member, number, sum(array.size for array in weights.values()), seconds))
        rehearsal.spent += time.monotonic() - begun
        lanes = schedule(context.seconds or [1.0] * len(members), context.jobs)
        rehearsal.add(networks, lanes, context.seconds_left())
        return trained

    def _example(self, candidate: Candidate) -> tuple[RecurrentModel, Draw, Batch]:
        """An untrained network, what draws its batches, and one of them to count with."""
        draw = sampler(self.windows.cut(candidate.lookback, candidate.scaling), self.split)
        network = build(candidate, self.shape(candidate), self.settings.seed).to(self.device)
        return network, draw, draw(torch.Generator().manual_seed(self.settings.seed), PROBE_BATCH, False)

    def _enough_steps(self, candidate: Candidate, batch_size: int, warm: int = 0) -> int:
        return enough_steps(self.count, batch_size, warm > 0, model_class(candidate.model).starts_trained)

    def _cost(self, candidate: Candidate, seconds: float, measure: bool) -> tuple[int, float]:
        """Windows a step, and seconds a step on one core."""
        network, draw, batch = self._example(candidate)
        estimate = partial(estimate_step, network, batch)
        size = self.settings.batch_size or default_batch_size(self.count, estimate, seconds)
        if not measure:
            return size, estimate(size)
        if (candidate.key, size) not in self._probes:
            precision = chosen_precision(self.settings.precision, candidate, self.device)
            member = plan_member(candidate, 1, size, refit=False, precision=precision)
            self._probes[candidate.key, size] = Probe(TrainingState(network, self.settings, member, 0), draw)
        return size, self._probes[candidate.key, size].seconds

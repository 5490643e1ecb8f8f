"""Fit networks to the windows of a panel: what a step costs, with which plan, and what to do when memory runs out."""

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from math import prod
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from forecast.errors import Setting, Unavailable, Words
from forecast.logs import log
from forecast.models import model_class
from forecast.models.shared.building import build, network_shape, to_arrays, to_tensors
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.parallel import on_cluster, processes, side_by_side
from forecast.settings import TrainSettings
from forecast.training.context import PlannedNetwork, Progress, Rehearsal, TrainingContext
from forecast.training.devices import on_device, one_thread, out_of_memory, pick_device
from forecast.training.loop import Trained, train
from forecast.training.plan import (
    AT_ONCE,
    MIN_STEPS,
    Candidate,
    Member,
    enough_steps,
    plan_member,
    schedule,
)
from forecast.training.precision import chosen_precision
from forecast.training.sampling import Draw, part_of_process, sampler, validation_batches
from forecast.training.split import Split, validation_windows
from forecast.training.state import TrainingState, member_seed
from forecast.windows.inputs import Inputs
from forecast.windows.windows import Batch, WindowIndex, Windows

STEPS_SHARE = 0.92  # of a budget; the rest is for validation, and for a machine that is busy
PROBE_BATCH = 32  # windows of the batch that an estimate counts with
PROBE_STEPS = 3  # the first one is slow, since memory is set up
PAST_OF_A_ROW = 24  # steps of the past that take as much memory as a step of the horizon, for models without gradients
PROBE_REPEATS = 2  # a busy neighbour slows a machine for half a second
SLOWER = 1.25  # times that the steps of a training take those of a probe, which find their data in the cache

# measured on a machine of two cores: operations a second, seconds a step of a recurrent layer, seconds of anything else
OPERATIONS_A_SECOND, RECURRENT_STEP, OTHER = 4e10, 2e-4, 2e-3
NetworkData = tuple[Shape, Draw, list[Batch]]  # the network's, to train with, to validate with
MakeData = Callable[[Member], NetworkData]
TrainAll = Callable[
    [TrainingContext, list[int]], list[Trained]
]  # trains members by number, one after another


def default_batch_size(windows: int, estimate: Callable[[int], float], seconds: float) -> int:
    """A power of two from 32 to 128: some steps in every pass over the windows, and many in the time there is."""
    size = max(32, min(128, 1 << max(0, (max(windows, 1) // 8).bit_length() - 1)))
    while size > 64 and seconds / estimate(size) < MIN_STEPS:
        size //= 2
    return size


def estimate_step(network: RecurrentModel, batch: Batch, batch_size: int) -> float:
    """Seconds of one training step on two cores, by the weights and the steps of each layer, forward and backward."""
    if network.rows_at_once:
        return network.seconds_to_learn(batch_size)
    operations, launches = 0.0, 0.0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal operations, launches
        if isinstance(inputs[0], Tensor) and inputs[0].is_floating_point():
            applied = prod(inputs[0].shape[:-1]) / len(batch)  # times for each window
            operations += 2.0 * sum(p.numel() for p in layer.parameters(recurse=False)) * applied
            launches += applied * layer.num_layers if isinstance(layer, nn.RNNBase) else 1

    leaves = [
        layer
        for layer in network.modules()
        if next(layer.parameters(recurse=False), None) is not None
    ]
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

    def __init__(
        self, state: TrainingState, draw: Draw, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.state, self.draw, self.clock = state, draw, clock
        self.seconds = math.inf  # of the fastest step so far
        self.run()

    def run(self) -> None:
        for _ in range(PROBE_STEPS):
            start = self.clock()
            self.state.take(self.draw(self.state.generator, self.state.member.batch_size, False))
            self.seconds = min(self.seconds, self.clock() - start)


def train_members(
    members: Sequence[Member],
    make_data: MakeData,
    settings: TrainSettings,
    device: torch.device,
    context: TrainingContext | None = None,
) -> list[Trained]:
    """Train several networks of one plan, as many side by side as `context.jobs` says, each with seeds of its own."""
    context = context or TrainingContext()
    if processes() > 1:
        context = replace(
            context, jobs=1, checkpoints=None
        )  # all train the same networks, one after another
    train_all = partial(_train_all, list(members), make_data, settings, device)
    groups = schedule(context.seconds or [1.0] * len(members), context.jobs)
    until = None if context.deadline is None else time.time() + context.deadline - time.monotonic()
    silent = replace(context, on_step=None)
    if (
        on_cluster() and context.jobs > 1
    ):  # machines that have neither the clock nor the folders of this one
        there = partial(_train_there, None, train_all, replace(silent, checkpoints=None), until)
        found = list(side_by_side([(there, (group,), {}) for group in groups], len(groups)))
    else:
        there = partial(_train_there, os.getpid(), train_all, silent, until)
        with _elsewhere(there, groups[1:]) as running:
            found = [
                train_all(context, groups[0]),
                *running,
            ]  # the first in this process, so that its progress shows
    results = dict(zip(chain.from_iterable(groups), chain.from_iterable(found), strict=True))
    return [results[number] for number in range(len(members))]


def _train_all(
    members: list[Member],
    make_data: MakeData,
    settings: TrainSettings,
    device: torch.device,
    context: TrainingContext,
    numbers: list[int],
) -> list[Trained]:
    """Train members, given by number; each of those that are left gets its share of the time that is left."""
    trained, costs = [], context.seconds or [1.0] * len(members)
    for at, number in enumerate(numbers):
        now, deadline = time.monotonic(), context.deadline
        share = costs[number] / sum(costs[later] for later in numbers[at:])
        limited = replace(
            context, deadline=None if deadline is None else now + (deadline - now) * share
        )
        member, index = members[number], context.first + number
        shape, draw, validation = make_data(member)
        network = build(member, shape, settings.seed + 104_729 * index).to(device)
        if context.start_weights is not None:
            network.load_state_dict(to_tensors(context.start_weights[number]))
        with one_thread(), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(
                member_seed(settings, member) + index
            )  # dropout draws from the global generator
            part = (
                draw if network.rows_at_once else part_of_process(draw)
            )  # what has no gradients learns from all
            trained.append(train(network, part, validation, settings, member, index, limited))
    return trained


@contextmanager
def _elsewhere(
    there: Callable[[list[int]], list[Trained]], groups: list[list[int]]
) -> Iterator[Any]:
    """What other processes train in the meantime, group after group."""
    if not groups:
        yield ()
        return
    # two at least: with one job joblib would train in this process, and only when asked
    running = Parallel(n_jobs=max(2, len(groups)), return_as="generator")(
        delayed(there)(group) for group in groups
    )
    try:
        yield running
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that others are cancelled where one failed is no news
            running.close()


def _train_there(
    parent: int | None,
    train_all: TrainAll,
    context: TrainingContext,
    until: float | None,
    numbers: list[int],
) -> list[Trained]:
    """Train in another process until `until`, a `time.time()`, and no longer than its process `parent` lives."""
    above = os.getppid()

    def leave_with_parent(progress: Progress) -> None:
        if os.getppid() != above:
            os._exit(1)  # nobody is there to catch an exception

    deadline = None if until is None else time.monotonic() + until - time.time()
    watched = parent not in (None, os.getpid())
    return train_all(
        replace(context, deadline=deadline, on_step=leave_with_parent if watched else None), numbers
    )


@dataclass(frozen=True)
class Fitter:
    inputs: Inputs
    split: Split
    index: WindowIndex  # of the windows that validate
    settings: TrainSettings
    device: torch.device
    windows: Windows  # of tensors on that device
    _probes: dict[tuple[str, int], Probe] = field(
        default_factory=dict
    )  # by candidate and windows a step

    @classmethod
    def of(cls, inputs: Inputs, split: Split, settings: TrainSettings) -> "Fitter":
        device = pick_device(settings.device)
        return cls(
            inputs,
            split,
            validation_windows(split),
            settings,
            device,
            inputs.arrays.to(on_device(device)),
        )

    @property
    def count(self) -> int:
        """Windows that can be drawn."""
        return int(self.split.count(False).sum())

    def shape(self, candidate: Candidate) -> Shape:
        inputs, lookback, loss = self.inputs, candidate.lookback, self.settings.loss
        return network_shape(
            inputs.schema, inputs.horizon, lookback, inputs.lags, inputs.levels, inputs.series, loss
        )

    def make_data(self, candidate: Candidate) -> NetworkData:
        windows = self.windows.cut(candidate.lookback, candidate.scaling)
        return (
            self.shape(candidate),
            sampler(windows, self.split),
            validation_batches(windows, self.index),
        )

    def plan(
        self,
        candidates: list[Candidate],
        seconds: list[float],
        measure: bool,
        steps: int | None = None,
        warm: int = 0,
    ) -> list[Member]:
        """Plan the training of one network for each candidate, in at most so many seconds, estimated or measured."""
        members, refit = [], len(self.index[0]) > 0
        for candidate, most in zip(candidates, seconds, strict=True):
            size, step = self._cost(candidate, most, measure and steps is None)
            affordable = int((STEPS_SHARE * most if measure else most) / step)
            taken = steps or max(1, min(affordable, self._enough_steps(candidate, size, warm)))
            precision = chosen_precision(self.settings.precision, candidate, self.device)
            at_once = model_class(candidate.model).rows_at_once > 0
            members.append(plan_member(candidate, taken, size, refit, warm, precision, at_once))
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

    def train(
        self, members: list[Member], context: TrainingContext
    ) -> tuple[list[Member], list[Trained]]:
        """Train networks, with smaller batches where memory runs out; the members that are returned repeat it."""
        if context.rehearsal is not None:
            return members, self._rehearse(members, context, context.rehearsal)
        make_data = replace(
            self, _probes={}
        ).make_data  # networks that were measured are not sent to other processes
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
            members = [
                m.model_copy(update={"batch_size": max(1, m.batch_size // 2)}) for m in members
            ]
            log.warning("out of memory; training starts again with %d windows a step", largest // 2)
        ended = zip(members, trained, strict=True)
        return [member.model_copy(update={"cut": result.cut}) for member, result in ended], trained

    def _rehearse(
        self, members: list[Member], context: TrainingContext, rehearsal: Rehearsal
    ) -> list[Trained]:
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
            step, on_cpu = (
                estimate_step(network, batch, member.batch_size),
                self.device.type == "cpu",
            )
            if (
                rehearsal.speed is None and not network.rows_at_once
            ):  # other work of the machine does not count
                clock = time.process_time if on_cpu else time.monotonic
                probe = Probe(TrainingState(network, self.settings, member, 0), draw, clock)
                rehearsal.speed = probe.seconds / step
            # a validation only goes forward, a third of a step's work
            validations = (member.steps - member.refit_steps) // member.validate_every + 1
            steps = member.steps + validations * held_out / member.batch_size / 3
            seconds = (
                steps
                * step
                * (rehearsal.speed or 1.0)
                * SLOWER
                * (rehearsal.busy() if on_cpu else 1.0)
            )
            networks.append(
                PlannedNetwork(
                    member, number, sum(array.size for array in weights.values()), seconds
                )
            )
        rehearsal.spent += time.monotonic() - begun
        lanes = schedule(context.seconds or [1.0] * len(members), context.jobs)
        rehearsal.add(networks, lanes, context.seconds_left())
        return trained

    def _example(self, candidate: Candidate) -> tuple[RecurrentModel, Draw, Batch]:
        """An untrained network, what draws its batches, and one of them to count with."""
        draw = sampler(self.windows.cut(candidate.lookback, candidate.scaling), self.split)
        network = build(candidate, self.shape(candidate), self.settings.seed).to(self.device)
        return (
            network,
            draw,
            draw(torch.Generator().manual_seed(self.settings.seed), PROBE_BATCH, False),
        )

    def _enough_steps(self, candidate: Candidate, batch_size: int, warm: int = 0) -> int:
        if model_class(candidate.model).rows_at_once:
            return AT_ONCE
        return enough_steps(
            self.count, batch_size, warm > 0, model_class(candidate.model).starts_trained
        )

    def _cost(self, candidate: Candidate, seconds: float, measure: bool) -> tuple[int, float]:
        """Windows a step, and seconds a step on one core."""
        network, draw, batch = self._example(candidate)
        if network.rows_at_once:
            rows = max(self.inputs.horizon, candidate.lookback // PAST_OF_A_ROW)
            size = max(1, min(self.count, network.rows_at_once // rows))
            return size, estimate_step(network, batch, size)
        estimate = partial(estimate_step, network, batch)
        size = self.settings.batch_size or default_batch_size(self.count, estimate, seconds)
        if not measure:
            return size, estimate(size)
        if (candidate.key, size) not in self._probes:
            precision = chosen_precision(self.settings.precision, candidate, self.device)
            member = plan_member(candidate, 1, size, refit=False, precision=precision)
            self._probes[candidate.key, size] = Probe(
                TrainingState(network, self.settings, member, 0), draw
            )
        return size, self._probes[candidate.key, size].seconds

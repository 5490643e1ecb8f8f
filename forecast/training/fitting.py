"""Fit networks to the windows of a panel: plan them, and train them in one or more processes."""

import os
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain

import torch

from forecast.errors import Setting, Unavailable
from forecast.logs import log
from forecast.models import model_class
from forecast.models.shared.building import build, network_shape, to_tensors
from forecast.models.shared.model import Shape
from forecast.parallel import Task, on_cluster, side_by_side
from forecast.settings import TrainSettings
from forecast.training.costs import StepCosts, default_batch_size
from forecast.training.devices import on_device, one_thread, out_of_memory, pick_device
from forecast.training.loop import Trained, member_seed, train
from forecast.training.plan import (
    STEPS_WITHOUT_GRADIENTS,
    Candidate,
    Member,
    Progress,
    TrainingContext,
    enough_steps,
    plan_member,
    schedule,
)
from forecast.training.sampling import Draw, sampler, validation_batches
from forecast.training.split import Split, validation_windows
from forecast.windows.inputs import Inputs
from forecast.windows.windows import Batch, WindowIndex, Windows

PROBE_BATCH = 32  # windows of the example batch that costs are estimated with
# share of a time budget for training steps; the rest is for validation, and for a busy machine
STEPS_SHARE = 0.92
# for models without gradients: so many steps of the past need as much memory as a step ahead
PAST_OF_A_ROW = 24

NetworkData = tuple[Shape, Draw, list[Batch]]  # network shape, training draws, validation batches
MakeData = Callable[[Member], NetworkData]


def train_members(
    members: Sequence[Member],
    make_data: MakeData,
    settings: TrainSettings,
    device: torch.device,
    context: TrainingContext | None = None,
) -> list[Trained]:
    """Train several networks of one plan, `context.jobs` side by side, each with its own seed."""
    context = context or TrainingContext()
    costs = context.seconds or [1.0] * len(members)
    work = _Work(members, make_data, settings, device, costs)
    groups = schedule(work.costs, context.jobs)

    until = None
    if context.deadline is not None:
        until = time.time() + context.deadline - time.monotonic()
    remote = on_cluster() and context.jobs > 1
    silent = replace(context, on_step=None)
    parent = None if remote else os.getpid()
    there = partial(work.train_there, silent, until, parent)
    # without a cluster, the first group trains in this process, so that its progress shows
    here = [] if remote else groups[:1]
    tasks: list[Task] = [(there, (group,), {}) for group in groups[len(here) :]]
    with warnings.catch_warnings(), closing(side_by_side(tasks, len(groups))) as running:
        # if one task fails, the others are cancelled; a warning about that would add nothing
        warnings.filterwarnings("ignore", ".*cancelled")
        trained = [*(work.train(context, group) for group in here), *running]

    results = dict(zip(chain(*groups), chain(*trained), strict=True))
    return [results[number] for number in range(len(members))]


@dataclass(frozen=True)
class _Work:
    """Networks to train, referred to by number; any process may train them."""

    members: Sequence[Member]
    make_data: MakeData
    settings: TrainSettings
    device: torch.device
    costs: Sequence[float]  # expected seconds

    def train(self, context: TrainingContext, numbers: list[int]) -> list[Trained]:
        """Train networks one after another; each gets its share of the time left, by cost."""
        trained = []
        for position, number in enumerate(numbers):
            deadline = context.deadline
            if deadline is not None:
                now = time.monotonic()
                left = sum(self.costs[later] for later in numbers[position:])
                share = self.costs[number] / left
                deadline = now + (deadline - now) * share
            trained.append(self._train(number, replace(context, deadline=deadline)))
        return trained

    def _train(self, number: int, context: TrainingContext) -> Trained:
        member = self.members[number]
        index = context.first + number
        shape, draw, validation = self.make_data(member)
        seed = self.settings.seed + 104_729 * index
        network = build(member, shape, seed).to(self.device)
        if context.start_weights is not None:
            network.load_state_dict(to_tensors(context.start_weights[number]))

        devices = [self.device] if self.device.type == "cuda" else []
        with one_thread(), torch.random.fork_rng(devices=devices):
            # dropout draws from the global generator
            torch.manual_seed(member_seed(self.settings, member) + index)
            return train(network, draw, validation, self.settings, member, index, context)

    def train_there(
        self, context: TrainingContext, until: float | None, parent: int | None, numbers: list[int]
    ) -> list[Trained]:
        """Train in another process until `until`, a `time.time()`, while process `parent` lives."""
        above = os.getppid()

        def leave_with_parent(progress: Progress) -> None:
            if os.getppid() != above:
                os._exit(1)  # nobody is there to catch an exception

        if until is not None:
            context = replace(context, deadline=time.monotonic() + until - time.time())
        if parent not in (None, os.getpid()):
            context = replace(context, on_step=leave_with_parent)
        return self.train(context, numbers)


@dataclass(frozen=True)
class Fitter:
    """Plans and trains the networks of one fit."""

    inputs: Inputs
    split: Split
    index: WindowIndex  # of the windows that validate
    settings: TrainSettings
    device: torch.device
    windows: Windows  # of tensors on that device
    _step_costs: dict[str, StepCosts] = field(default_factory=dict)  # by key of a candidate

    @classmethod
    def prepare(cls, inputs: Inputs, split: Split, settings: TrainSettings) -> "Fitter":
        device = pick_device(settings.device)
        windows = inputs.arrays.to(on_device(device))
        return cls(inputs, split, validation_windows(split), settings, device, windows)

    @property
    def count(self) -> int:
        """How many windows can be drawn for training."""
        return int(self.split.count(False).sum())

    def shape(self, candidate: Candidate) -> Shape:
        return network_shape(
            self.inputs.schema,
            self.inputs.horizon,
            candidate.lookback,
            self.inputs.lags,
            self.inputs.levels,
            self.inputs.series,
            self.settings.loss,
        )

    def make_data(self, candidate: Candidate) -> NetworkData:
        windows = self.windows.cut(candidate.lookback, candidate.scaling)
        draw = sampler(windows, self.split)
        return self.shape(candidate), draw, validation_batches(windows, self.index)

    def plan(
        self,
        candidates: list[Candidate],
        seconds: list[float],
        measure: bool,
        steps: int | None = None,
        warm: int = 0,
    ) -> list[Member]:
        """Plan a network for each candidate, which trains for at most its `seconds`.

        With `measure`, training steps are timed on this machine; otherwise their time is estimated.
        """
        members = []
        for candidate, most in zip(candidates, seconds, strict=True):
            size = self._batch_size(candidate, most)
            step = self._step_seconds(candidate, size, measure and steps is None)
            training_seconds = STEPS_SHARE * most if measure else most
            affordable = int(training_seconds / step)
            enough = self._enough_steps(candidate, size, warm)
            member = plan_member(
                candidate,
                steps or max(1, min(affordable, enough)),
                size,
                refit=len(self.index[0]) > 0,
                warm=warm,
                at_once=model_class(candidate.model).rows_at_once > 0,
            )
            members.append(member)
        return members

    def cost(self, candidate: Candidate, seconds: float, measure: bool) -> float:
        """Seconds of a candidate's full training on one core, measured once or estimated."""
        size = self._batch_size(candidate, seconds)
        step = self._step_seconds(candidate, size, measure)
        return step * self._enough_steps(candidate, size)

    def train(
        self, members: list[Member], context: TrainingContext
    ) -> tuple[list[Member], list[Trained]]:
        """Train networks, and return them with their results.

        If memory runs out, all start again with half the batch size, which the returned members
        have.
        """
        # networks that were measured are not sent to other processes
        make_data = replace(self, _step_costs={}).make_data
        while True:
            try:
                trained = train_members(members, make_data, self.settings, self.device, context)
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
            members = _halve_batches(members)
        return members, trained

    def _draw(self, candidate: Candidate) -> Draw:
        windows = self.windows.cut(candidate.lookback, candidate.scaling)
        return sampler(windows, self.split)

    def _costs(self, candidate: Candidate) -> StepCosts:
        if candidate.key not in self._step_costs:
            seed = self.settings.seed
            network = build(candidate, self.shape(candidate), seed).to(self.device)
            draw = self._draw(candidate)
            generator = torch.Generator().manual_seed(seed)
            batch = draw(generator, PROBE_BATCH, False)
            self._step_costs[candidate.key] = StepCosts(network, batch)
        return self._step_costs[candidate.key]

    def _batch_size(self, candidate: Candidate, seconds: float) -> int:
        rows_at_once = model_class(candidate.model).rows_at_once
        if rows_at_once:
            rows = max(self.inputs.horizon, candidate.lookback // PAST_OF_A_ROW)
            return max(1, min(self.count, rows_at_once // rows))
        estimated = self._costs(candidate).estimate
        return self.settings.batch_size or default_batch_size(self.count, estimated, seconds)

    def _step_seconds(self, candidate: Candidate, batch_size: int, measure: bool) -> float:
        costs = self._costs(candidate)
        if not measure or model_class(candidate.model).rows_at_once:
            return costs.estimate(batch_size)
        member = plan_member(candidate, 1, batch_size, refit=False)
        return costs.measure(member, self.settings, self._draw(candidate))

    def _enough_steps(self, candidate: Candidate, batch_size: int, warm: int = 0) -> int:
        model = model_class(candidate.model)
        if model.rows_at_once:
            return STEPS_WITHOUT_GRADIENTS
        return enough_steps(self.count, batch_size, warm > 0, model.starts_trained)


def _halve_batches(members: list[Member]) -> list[Member]:
    largest = max(member.batch_size for member in members)
    if largest == 1:
        cure = f"pass a smaller {Setting('lookback')}"
        raise Unavailable("out of memory at one window a step", cure=cure)
    log.warning("out of memory; training starts again with %d windows a step", largest // 2)
    sizes = [max(1, member.batch_size // 2) for member in members]
    pairs = zip(members, sizes, strict=True)
    return [member.model_copy(update={"batch_size": size}) for member, size in pairs]

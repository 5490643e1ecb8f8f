"""Train several networks of one plan, side by side in processes, each with seeds of its own."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from joblib import Parallel, delayed

from forecast.models.shared.building import build, to_tensors
from forecast.models.shared.model import Shape
from forecast.parallel import on_cluster, processes, side_by_side
from forecast.settings import TrainSettings
from forecast.training.context import OnStep, Progress, TrainingContext
from forecast.training.devices import threads
from forecast.training.distributed import part_of_process
from forecast.training.loop import Trained, train
from forecast.training.plan import Member, schedule
from forecast.training.sampling import Draw
from forecast.training.state import member_seed
from forecast.windows.windows import Batch

MakeData = Callable[[Member], tuple[Shape, Draw, list[Batch]]]
"""The shape that a member's network is built for, the batches that train it and those that validate it."""


def train_members(
    members: Sequence[Member],
    make_data: MakeData,
    settings: TrainSettings,
    device: torch.device,
    context: TrainingContext | None = None,
) -> list[Trained]:
    """Train networks, as many side by side as `context.jobs` says."""
    context = context or TrainingContext()
    if processes() > 1:
        context = replace(context, jobs=1, checkpoints=None)  # all train the same networks, one after another
    costs = list(context.seconds or [1.0] * len(members))
    groups = schedule(costs, context.jobs)
    worker = _Worker(list(members), costs, make_data, settings, device, context)
    silent = replace(worker, context=replace(context, on_step=None))
    if on_cluster() and context.jobs > 1:
        found = _on_cluster(silent, groups)
    else:
        with _elsewhere(silent, groups[1:]) as running:
            found = [worker.train_all(groups[0]), *running]  # the first in this process, so that its progress shows
    order = [number for group in groups for number in group]
    results = [result for trained in found for result in trained]
    return [results[order.index(number)] for number in range(len(members))]


@dataclass(frozen=True)
class _Worker:
    """Trains some of the members one after another."""

    members: list[Member]
    costs: list[float]  # of all members, in any unit
    make_data: MakeData
    settings: TrainSettings
    device: torch.device
    context: TrainingContext

    def train_all(self, numbers: list[int]) -> list[Trained]:
        """Train members, given by number; each of those that are left gets its share of the time that is left."""
        trained = []
        for at, number in enumerate(numbers):
            now, deadline = time.monotonic(), self.context.deadline
            share = self.costs[number] / sum(self.costs[later] for later in numbers[at:])
            trained.append(self._train(number, None if deadline is None else now + (deadline - now) * share))
        return trained

    def _train(self, number: int, deadline: float | None) -> Trained:
        member, place = self.members[number], self.context.first + number
        shape, draw, validation = self.make_data(member)
        network = build(member, shape, self.settings.seed + 104_729 * place).to(self.device)
        if self.context.start_weights is not None:
            network.load_state_dict(to_tensors(self.context.start_weights[number]))
        with threads(1), torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(member_seed(self.settings, member) + place)  # dropout draws from the global generator
            context = replace(self.context, deadline=deadline)
            return train(network, part_of_process(draw), validation, self.settings, member, place, context)


def _on_cluster(worker: _Worker, groups: list[list[int]]) -> list[list[Trained]]:
    """Train on machines that have neither the clock nor the folders of this one."""
    deadline = worker.context.deadline
    until = None if deadline is None else time.time() + deadline - time.monotonic()
    there = replace(worker, context=replace(worker.context, checkpoints=None))
    return list(side_by_side(((_train_until, (there, numbers, until), {}) for numbers in groups), len(groups)))


def _train_until(worker: _Worker, numbers: list[int], until: float | None) -> list[Trained]:
    """Train until `until`, a `time.time()`, which machines share."""
    deadline = None if until is None else time.monotonic() + until - time.time()
    return replace(worker, context=replace(worker.context, deadline=deadline)).train_all(numbers)


@contextmanager
def _elsewhere(worker: _Worker, groups: list[list[int]]) -> Iterator[Any]:
    """What other processes train in the meantime, group after group."""
    if not groups:
        yield ()
        return
    # two at least: with one job joblib would train in this process, and only when asked
    running = Parallel(n_jobs=max(2, len(groups)), return_as="generator")(
        delayed(_train_elsewhere)(worker, numbers, os.getpid()) for numbers in groups
    )
    try:
        yield running
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that others are cancelled where one failed is no news
            running.close()


def _train_elsewhere(worker: _Worker, numbers: list[int], parent: int) -> list[Trained]:
    return replace(worker, context=replace(worker.context, on_step=_leave_with(parent))).train_all(numbers)


def _leave_with(parent: int) -> OnStep | None:
    """Ends this process after the next step once the one that started it has gone; None in that process itself."""
    if os.getpid() == parent:
        return None
    above = os.getppid()

    def check(progress: Progress) -> None:
        if os.getppid() != above:
            os._exit(1)  # nobody is there to catch an exception

    return check

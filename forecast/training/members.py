"""Train several networks of one plan, side by side in processes, each with seeds of its own."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import torch
from joblib import Parallel, delayed

from forecast.models.shared.building import build, to_tensors
from forecast.models.shared.model import Shape
from forecast.parallel import Task, on_cluster, processes, side_by_side
from forecast.settings import TrainSettings
from forecast.training.context import OnStep, Progress, TrainingContext
from forecast.training.devices import threads
from forecast.training.distributed import part_of_process
from forecast.training.loop import Trained, train
from forecast.training.plan import Member, schedule
from forecast.training.sampling import Draw
from forecast.training.state import member_seed
from forecast.windows.windows import Batch

MakeData = Callable[[Member], tuple[Shape, Draw, list[Batch]]]  # the network's, to train with, to validate with
TrainAll = Callable[[TrainingContext, list[int]], list[Trained]]  # trains members by number, one after another


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
    train_all = partial(_train_all, list(members), make_data, settings, device)
    groups = schedule(context.seconds or [1.0] * len(members), context.jobs)
    silent = replace(context, on_step=None)
    if on_cluster() and context.jobs > 1:  # machines that have neither the clock nor the folders of this one
        there = replace(silent, checkpoints=None)
        until = None if context.deadline is None else time.time() + context.deadline - time.monotonic()
        tasks: list[Task] = [(_train_until, (train_all, there, group, until), {}) for group in groups]
        found = list(side_by_side(tasks, len(groups)))
    else:
        with _elsewhere(train_all, silent, groups[1:]) as running:
            found = [train_all(context, groups[0]), *running]  # the first in this process, so that its progress shows
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
        limited = replace(context, deadline=None if deadline is None else now + (deadline - now) * share)
        member, index = members[number], context.first + number
        shape, draw, validation = make_data(member)
        network = build(member, shape, settings.seed + 104_729 * index).to(device)
        if context.start_weights is not None:
            network.load_state_dict(to_tensors(context.start_weights[number]))
        with threads(1), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(member_seed(settings, member) + index)  # dropout draws from the global generator
            trained.append(train(network, part_of_process(draw), validation, settings, member, index, limited))
    return trained


def _train_until(
    train_all: TrainAll, context: TrainingContext, numbers: list[int], until: float | None
) -> list[Trained]:
    """Train until `until`, a `time.time()`, which machines share."""
    deadline = None if until is None else time.monotonic() + until - time.time()
    return train_all(replace(context, deadline=deadline), numbers)


@contextmanager
def _elsewhere(train_all: TrainAll, context: TrainingContext, groups: list[list[int]]) -> Iterator[Any]:
    """What other processes train in the meantime, group after group."""
    if not groups:
        yield ()
        return
    # two at least: with one job joblib would train in this process, and only when asked
    running = Parallel(n_jobs=max(2, len(groups)), return_as="generator")(
        delayed(_train_below)(os.getpid(), train_all, context, numbers) for numbers in groups
    )
    try:
        yield running
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that others are cancelled where one failed is no news
            running.close()


def _train_below(parent: int, train_all: TrainAll, context: TrainingContext, numbers: list[int]) -> list[Trained]:
    return train_all(replace(context, on_step=_leave_with(parent)), numbers)


def _leave_with(parent: int) -> OnStep | None:
    """Ends this process after the next step once the one that started it has gone; None in that process itself."""
    if os.getpid() == parent:
        return None
    above = os.getppid()

    def check(progress: Progress) -> None:
        if os.getppid() != above:
            os._exit(1)  # nobody is there to catch an exception

    return check

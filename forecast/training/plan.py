"""The plan of a fit: what training does, as a function of data, settings and an estimate of cost, not of a clock."""

import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel
from forecast.panel.windows import Batch
from forecast.settings import ScalingName

SECONDS = 25.0  # what an estimated fit without a budget may take on two cores
LEAST, PASSES = 500, 1.5  # steps, and passes over the windows, that train a network enough; then it learns by heart
RATE, LAUNCH, STEP = 4e10, 2e-4, 2e-3  # operations a second, seconds a recurrent step, seconds a step of anything else
MOST_MEMBERS = 128  # of a plan
REFIT = 0.2  # share of the steps that train on all data, the newest values included
WARM = 0.25  # share of the steps of a fit from nothing that are enough for one that goes on from another


class Candidate(BaseModel):
    """A network that may be trained, and how the windows it reads are cut and scaled."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(description="name of the model")
    params: dict[str, Any] = Field(default_factory=dict, description="the model's own knobs")
    scaling: ScalingName = Field("standard", description="how each window is scaled by its own past")
    lookback: int = Field(ge=1, le=100_000, description="steps of the past")

    @property
    def key(self) -> str:
        """What tells candidates apart; members that share it differ in their seed and their training only."""
        return self.model_dump_json(include=set(Candidate.model_fields))


class Member(Candidate):
    """One network of a fit: a candidate, and what its training does."""

    batch_size: int = Field(ge=1, description="windows a step")
    steps: int = Field(ge=1, description="steps, the refit on all data included")
    refit_steps: int = Field(ge=0, description="the last of them, which train on all data")
    validate_every: int = Field(ge=1, description="steps between two validations")
    cut: int | None = Field(None, description="the step at which a deadline cut it, if it did")
    warm: int = Field(0, ge=0, description="fits before this one, each of which the next went on from")


class Plan(BaseModel):
    """All that a fit repeats, beside data, settings and seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    members: tuple[Member, ...] = Field(
        max_length=MOST_MEMBERS, description="the networks, whose median is the forecast"
    )
    started_from: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="hash of the artifact whose networks it goes on from"
    )

    def groups(self) -> list[list[int]]:
        """The members, by number, that differ in their seed only; the median of each group is one forecast."""
        found: dict[str, list[int]] = {}
        for number, member in enumerate(self.members):
            found.setdefault(member.key, []).append(number)
        return list(found.values())


def plan_member(
    candidate: Candidate,
    windows: int,
    seconds_a_step: float,
    *,
    refit: bool,
    batch_size: int,
    seconds: float,
    steps: int | None = None,
    warm: int = 0,
) -> Member:
    """Lay out the training of one network.

    Parameters
    ----------
    windows : windows that can be drawn
    seconds_a_step : estimated, or measured where there is a budget
    refit : whether the last steps train on what was held out too
    batch_size : windows a step
    seconds : for this network at the most; some passes over the windows are enough
    steps : wanted by the user
    warm : fits that it goes on from; a share of the steps is enough then
    """
    if steps is None:
        enough = int((WARM if warm else 1) * enough_steps(windows, batch_size))
        steps = max(1, min(int(seconds / seconds_a_step), enough))
    return Member(
        **candidate.model_dump(),
        batch_size=batch_size,
        steps=steps,
        refit_steps=int(REFIT * steps) if refit else 0,
        validate_every=max(10, steps // 16),
        warm=warm,
    )


def enough_steps(windows: int, batch_size: int) -> int:
    """Steps after which another network is worth more than more steps: some passes over the windows."""
    return max(LEAST, int(PASSES * windows / batch_size))


def lanes(costs: Sequence[float], jobs: int) -> list[list[int]]:
    """Which networks, by number, train one after another where `jobs` train side by side; the longest come first.

    Each in turn joins the lane that ends first (Graham 1969).
    """
    found: list[list[int]] = [[] for _ in range(max(1, min(jobs, len(costs))))]
    ends = [0.0] * len(found)
    for number in sorted(range(len(costs)), key=lambda one: -costs[one]):
        at = ends.index(min(ends))
        found[at].append(number)
        ends[at] += costs[number]
    return found


def longest(costs: Sequence[float], jobs: int) -> float:
    """The sum of the costs in the lane that takes longest."""
    return max((sum(costs[number] for number in lane) for lane in lanes(costs, jobs)), default=0.0)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_batch_size(windows: int, estimate: Callable[[int], float], seconds: float) -> int:
    """A power of two from 32 to 128: some steps in every pass over the windows, and many in the time there is.

    A step costs as much as its windows, from about 128 on, and two steps of 128 teach more than one of 256.
    """
    size = max(32, min(128, 1 << max(0, (max(windows, 1) // 8).bit_length() - 1)))
    while size > 64 and seconds / estimate(size) < LEAST:
        size //= 2
    return size


def estimate_step(network: RecurrentModel, batch: Batch, batch_size: int) -> float:
    """Seconds that one training step would take on two cores: counted, not timed, so that a plan repeats.

    Every layer costs its weights times the places where it is applied, forward and twice that backward; a recurrent
    layer costs its steps besides.
    """
    operations, launches = 0.0, 0.0

    def count(layer: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal operations, launches
        weights = sum(p.numel() for p in layer.parameters(recurse=False))
        first = inputs[0]
        if not isinstance(first, Tensor) or not first.is_floating_point():
            return
        places = prod(first.shape[:-1]) / len(batch)  # applications for each window
        operations += 2.0 * weights * places
        launches += places * getattr(layer, "num_layers", 1) if isinstance(layer, nn.RNNBase) else 1

    leaves = [layer for layer in network.modules() if next(layer.parameters(recurse=False), None) is not None]
    hooks = [layer.register_forward_hook(count) for layer in leaves if layer is not network]
    try:
        with torch.no_grad():
            network.outputs(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return 3.0 * operations * batch_size / RATE + launches * LAUNCH + STEP

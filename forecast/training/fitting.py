"""Fit networks to the windows of a panel: with which plan, and what to do where time or memory runs out."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from forecast.errors import Unavailable
from forecast.models.shared.model import Shape
from forecast.series.windows import Batch
from forecast.settings import TrainSettings
from forecast.training.devices import out_of_memory, threads
from forecast.training.holding import Spans, batches_of, sampler
from forecast.training.inputs import Inputs
from forecast.training.loop import Draw, Progress, Trained
from forecast.training.members import Places, build, train_members
from forecast.training.plan import Candidate, Member, Plan, cores, default_batch_size, estimate_step, plan_member

log = logging.getLogger("forecast")

USED = 0.92  # share of a budget that training steps may take; the rest: validation, and a machine that is busy
THREADS = 4  # threads that may be worth trying; recurrent steps are too small to feed more


@dataclass(frozen=True)
class Fitter:
    """Plans and trains networks on one panel.

    Attributes
    ----------
    inputs : the panel made ready
    spans : which windows train
    places : which are held out
    settings : of training
    """

    inputs: Inputs
    spans: Spans
    places: Places
    settings: TrainSettings

    def make(self, candidate: Candidate) -> tuple[Shape, Draw, list[Batch]]:
        """What a network of this candidate is built for, drawn from and held against."""
        windows = self.inputs.windows(candidate)
        return self.inputs.shape(candidate), sampler(windows, self.spans), batches_of(windows, self.places)

    def plan(
        self,
        candidates: list[Candidate],
        seconds: float,
        *,
        budget: bool,
        jobs: int,
        steps: int | None = None,
        refit: bool = True,
    ) -> Plan:
        """Lay out the training of one network for each candidate.

        Parameters
        ----------
        seconds : for all of them, `jobs` side by side
        budget : whether to time a step, and to use all seconds
        steps : of each, wanted by the user
        refit : whether the last steps train on what was held out too
        """
        rounds = -(-len(candidates) // jobs)
        measured: dict[str, tuple[int, float, int]] = {}
        members: list[Member] = []
        for candidate in candidates:
            key = candidate.model_dump_json()
            if key not in measured:
                alone = jobs == 1 and len(candidates) == 1
                measured[key] = self._cost(candidate, seconds / rounds, budget and steps is None, alone)
            size, step, _ = measured[key]
            members.append(
                plan_member(
                    candidate,
                    int(self.spans.count(False).sum()),
                    step,
                    refit=refit and len(self.places[0]) > 0,
                    batch_size=size,
                    seconds=USED * seconds / rounds if budget else seconds / rounds,
                    budget=budget,
                    steps=steps,
                )
            )
        return Plan(members=tuple(members), threads=max(count for _, _, count in measured.values()))

    def train(
        self,
        plan: Plan,
        *,
        jobs: int = 1,
        deadline: float | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> tuple[Plan, list[Trained]]:
        """Train the networks of a plan; the plan that comes back repeats the fit.

        Parameters
        ----------
        deadline : `time.monotonic()` at which training must be over

        Raises
        ------
        Unavailable
            If memory runs out even with the smallest batch.
        """
        device = self.inputs.device
        while True:
            try:
                trained = train_members(
                    plan.members,
                    self.make,
                    self.settings,
                    device,
                    count_threads=plan.threads,
                    jobs=jobs,
                    deadline=deadline,
                    on_step=on_step,
                )
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                largest = max(member.batch_size for member in plan.members)
                if largest == 1:
                    raise Unavailable("memory ran out at one window a step; pass a smaller --lookback") from None
                plan = _each(plan, [{"batch_size": max(1, member.batch_size // 2)} for member in plan.members])
                log.warning("memory ran out; training starts again with %d windows a step", largest // 2)
        if any(one.cut is not None for one in trained):
            plan = _each(plan, [{"cut": one.cut} for one in trained])
        return plan, trained

    def cost(self, candidate: Candidate, seconds: float) -> float:
        """Estimated seconds of one step."""
        return self._cost(candidate, seconds, False, False)[1]

    def _cost(self, candidate: Candidate, seconds: float, measure: bool, alone: bool) -> tuple[int, float, int]:
        """Windows a step, seconds a step, and threads to use."""
        shape, draw, _ = self.make(candidate)
        network = build(candidate, shape).to(self.inputs.device)
        probe = draw(torch.Generator().manual_seed(self.settings.seed), 32, False)

        def estimate(size: int) -> float:
            return estimate_step(network, probe, size)

        count = int(self.spans.count(False).sum())
        size = self.settings.batch_size or default_batch_size(count, estimate, seconds)
        if not measure:
            return size, estimate(size), 1
        tried = {
            n: self._measure(candidate, shape, draw, size, n)
            for n in sorted({1, min(THREADS, cores()) if alone else 1})
        }
        best = min(tried, key=lambda n: tried[n])
        return size, tried[best], best

    def _measure(self, candidate: Candidate, shape: Shape, draw: Draw, size: int, count: int) -> float:
        """Seconds of one training step with `count` threads, the median of a few; the network is thrown away."""
        network = build(candidate, shape).to(self.inputs.device).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
        generator = torch.Generator().manual_seed(self.settings.seed)
        times: list[float] = []
        with threads(count):
            while len(times) < 3 or (len(times) < 8 and sum(times) < 1.0):
                start = time.monotonic()
                loss = network.loss(draw(generator, size, False))
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                optimizer.zero_grad()
                loss.item()
                times.append(time.monotonic() - start)
        return float(np.median(times[1:]))  # the first one pays for what is set up once


def _each(plan: Plan, changes: list[dict[str, int | None]]) -> Plan:
    members = [member.model_copy(update=one) for member, one in zip(plan.members, changes, strict=True)]
    return plan.model_copy(update={"members": tuple(members)})

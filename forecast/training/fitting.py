"""Fit networks to the windows of a panel: with which plan, and what to do where time or memory runs out."""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from forecast.errors import Setting, Unavailable, Words
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.panel.windows import Batch
from forecast.settings import TrainSettings
from forecast.training.devices import out_of_memory
from forecast.training.holding import Spans, batches_of, sampler
from forecast.training.inputs import Inputs
from forecast.training.loop import Draw, Progress, Trained
from forecast.training.members import Places, build, train_members
from forecast.training.optimizer import AdamW
from forecast.training.plan import (
    Candidate,
    Member,
    default_batch_size,
    enough_steps,
    estimate_step,
    plan_member,
)
from forecast.training.states import Keeper

log = logging.getLogger("forecast")

USED = 0.92  # share of a budget that training steps may take; the rest: validation, and a machine that is busy

PROBED = 3  # steps of a probe at a time; the first one pays for what is set up once


@dataclass(frozen=True)
class Start:
    """Networks that a fit goes on from.

    Attributes
    ----------
    candidates : what each of them is
    weights : of each
    warm : fits before, each of which the next went on from
    hash : of the artifact that they come from
    """

    candidates: list[Candidate]
    weights: list[dict[str, Tensor]]
    warm: int
    hash: str


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
    _probes: dict[tuple[str, int], "_Probe"] = field(default_factory=dict)  # by candidate and windows a step

    def make(self, candidate: Candidate) -> tuple[Shape, Draw, list[Batch]]:
        """What a network of this candidate is built for, drawn from and held against."""
        windows = self.inputs.windows(candidate)
        return self.inputs.shape(candidate), sampler(windows, self.spans), batches_of(windows, self.places)

    def lay_out(
        self,
        candidates: list[Candidate],
        seconds: Sequence[float],
        *,
        measure: bool,
        steps: int | None = None,
        warm: int = 0,
    ) -> list[Member]:
        """Plan the training of one network for each candidate.

        Parameters
        ----------
        seconds : for each of them at the most
        measure : whether to time a step; by default its cost is estimated
        steps : of each, wanted by the user
        warm : fits before, each of which the next went on from
        """
        count = int(self.spans.count(False).sum())
        refit = len(self.places[0]) > 0
        members = []
        for candidate, most in zip(candidates, seconds, strict=True):
            size, step = self._cost(candidate, most, measure and steps is None)
            members.append(
                plan_member(
                    candidate,
                    count,
                    step,
                    refit=refit,
                    batch_size=size,
                    seconds=USED * most if measure else most,
                    steps=steps,
                    warm=warm,
                )
            )
        return members

    def cost(self, candidate: Candidate, seconds: float, measure: bool) -> float:
        """Seconds that enough steps of a candidate take on one core, measured once or estimated."""
        size, step = self._cost(candidate, seconds, measure)
        return step * enough_steps(int(self.spans.count(False).sum()), size)

    def measure_again(self) -> None:
        """Measure once more what was measured; the fastest counts, for what else the machine did is no cost of ours."""
        for probe in self._probes.values():
            probe.run()

    def train(
        self,
        members: list[Member],
        *,
        first: int = 0,
        jobs: int = 1,
        deadline: float | None = None,
        on_step: Callable[[Progress], None] | None = None,
        keep: Keeper | None = None,
        start: list[dict[str, Tensor]] | None = None,
        seconds: Sequence[float] | None = None,
    ) -> tuple[list[Member], list[Trained]]:
        """Train networks; the members that come back repeat it.

        Parameters
        ----------
        first : number of the first member in the whole plan: seeds go by it
        jobs : trained side by side
        deadline : `time.monotonic()` at which training must be over
        keep : where each network keeps its state
        start : weights that each network goes on from
        seconds : that each is thought to take

        Raises
        ------
        Unavailable
            If memory runs out even with the smallest batch.
        """
        make = replace(self, _probes={}).make  # what other processes are sent holds no networks that were measured
        while True:
            try:
                trained = train_members(
                    members,
                    make,
                    self.settings,
                    self.inputs.device,
                    first=first,
                    jobs=jobs,
                    deadline=deadline,
                    on_step=on_step,
                    keep=keep,
                    start=start,
                    seconds=seconds,
                )
                break
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                largest = max(member.batch_size for member in members)
                if largest == 1:
                    cure = Words("pass a smaller ", Setting("lookback"))
                    raise Unavailable("out of memory at one window a step", cure=cure) from None
                members = [one.model_copy(update={"batch_size": max(1, one.batch_size // 2)}) for one in members]
                log.warning("out of memory; training starts again with %d windows a step", largest // 2)
        return [one.model_copy(update={"cut": made.cut}) for one, made in zip(members, trained, strict=True)], trained

    def _cost(self, candidate: Candidate, seconds: float, measure: bool) -> tuple[int, float]:
        """Windows a step, and seconds a step on one core."""
        shape, draw, _ = self.make(candidate)
        network = build(candidate, shape).to(self.inputs.device)
        probe = draw(torch.Generator().manual_seed(self.settings.seed), 32, False)

        def estimate(size: int) -> float:
            return estimate_step(network, probe, size)

        count = int(self.spans.count(False).sum())
        size = self.settings.batch_size or default_batch_size(count, estimate, seconds)
        if not measure:
            return size, estimate(size)
        if (candidate.key, size) not in self._probes:
            self._probes[candidate.key, size] = _Probe(network, draw, size, self.settings.seed)
            self._probes[candidate.key, size].run()
        return size, self._probes[candidate.key, size].seconds


class _Probe:
    """A network that is trained for nothing, to see how long a step takes."""

    def __init__(self, network: RecurrentModel, draw: Draw, size: int, seed: int) -> None:
        self.network, self.draw, self.size = network.train(), draw, size
        self.optimizer = AdamW(network.parameters(), 0.0)
        self.generator = torch.Generator().manual_seed(seed)
        self.seconds = math.inf  # of the fastest step

    def run(self) -> None:
        """Take a few steps."""
        for _ in range(PROBED):
            start = time.monotonic()
            loss = self.network.loss(self.draw(self.generator, self.size, False))
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step(1e-4)
            self.optimizer.zero_grad()
            loss.item()
            self.seconds = min(self.seconds, time.monotonic() - start)

"""Fit networks to the windows of a panel: with which plan, and what to do when memory runs out."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from forecast.errors import Setting, Unavailable, Words
from forecast.models import model_class
from forecast.models.shared.building import build, network_shape
from forecast.models.shared.model import Shape
from forecast.settings import Precision, TrainSettings
from forecast.training.context import TrainingContext
from forecast.training.cost import Probe, default_batch_size, estimate_step
from forecast.training.devices import on_device, out_of_memory, pick_device
from forecast.training.loop import Trained
from forecast.training.members import train_members
from forecast.training.plan import Candidate, Member, enough_steps, plan_member
from forecast.training.precision import chosen_precision
from forecast.training.sampling import Draw, sampler, validation_batches
from forecast.training.split import Split, validation_windows
from forecast.windows.inputs import Inputs
from forecast.windows.windows import Batch, WindowIndex, Windows

log = logging.getLogger("forecast")

STEPS_SHARE = 0.92  # of a budget; the rest is for validation, and for a machine that is busy
PROBE_BATCH = 32  # windows of the batch that an estimate counts with


@dataclass(frozen=True)
class Fitter:
    """Plans and trains networks on one panel.

    Attributes
    ----------
    inputs : the panel made ready
    split : which windows train
    index : the validation windows
    settings : of training
    device : where networks train
    windows : of tensors on that device
    """

    inputs: Inputs
    split: Split
    index: WindowIndex
    settings: TrainSettings
    device: torch.device
    windows: Windows
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
        """What a network of this candidate is built for."""
        inputs, lookback, loss = self.inputs, candidate.lookback, self.settings.loss
        return network_shape(inputs.schema, inputs.horizon, lookback, inputs.lags, inputs.levels, inputs.series, loss)

    def make_data(self, candidate: Candidate) -> tuple[Shape, Draw, list[Batch]]:
        """The shape that a network of this candidate is built for, its training batches and validation batches."""
        windows = self.windows.cut(candidate.lookback, candidate.scaling)
        return self.shape(candidate), sampler(windows, self.split), validation_batches(windows, self.index)

    def plan(
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
        seconds : upper bound for each of them
        measure : whether to time a step; by default its cost is estimated
        steps : of each, as set by the user
        warm : earlier fits that they continue
        """
        refit = len(self.index[0]) > 0
        members = []
        for candidate, most in zip(candidates, seconds, strict=True):
            size, step = self._cost(candidate, most, measure and steps is None)
            member = plan_member(
                candidate,
                self._enough_steps(candidate, size, warm),
                step,
                refit=refit,
                batch_size=size,
                seconds=STEPS_SHARE * most if measure else most,
                steps=steps,
                warm=warm,
            )
            members.append(member.model_copy(update={"precision": self._precision(candidate)}))
        return members

    def cost(self, candidate: Candidate, seconds: float, measure: bool) -> float:
        """Seconds that enough steps of a candidate take on one core, measured once or estimated."""
        size, step = self._cost(candidate, seconds, measure)
        return step * self._enough_steps(candidate, size)

    def measure_again(self) -> None:
        """Repeat all measurements; the fastest step counts."""
        for probe in self._probes.values():
            probe.run()

    def train(self, members: list[Member], context: TrainingContext) -> tuple[list[Member], list[Trained]]:
        """Train networks; the members that are returned repeat it.

        Raises
        ------
        Unavailable
            If memory runs out even with the smallest batch.
        """
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
                    raise Unavailable("out of memory at one window a step", cure=cure) from None
                halved = [max(1, member.batch_size // 2) for member in members]
                members = [
                    member.model_copy(update={"batch_size": size}) for member, size in zip(members, halved, strict=True)
                ]
                log.warning("out of memory; training starts again with %d windows a step", largest // 2)
        cuts = [result.cut for result in trained]
        return [member.model_copy(update={"cut": cut}) for member, cut in zip(members, cuts, strict=True)], trained

    def _enough_steps(self, candidate: Candidate, batch_size: int, warm: int = 0) -> int:
        return enough_steps(self.count, batch_size, warm > 0 or model_class(candidate.model).starts_trained)

    def _precision(self, candidate: Candidate) -> Precision:
        return chosen_precision(self.settings.precision, candidate, self.device)

    def _cost(self, candidate: Candidate, seconds: float, measure: bool) -> tuple[int, float]:
        """Windows a step, and seconds a step on one core."""
        shape, draw, _ = self.make_data(candidate)
        network = build(candidate, shape).to(self.device)
        batch = draw(torch.Generator().manual_seed(self.settings.seed), PROBE_BATCH, False)

        def estimate(size: int) -> float:
            return estimate_step(network, batch, size)

        size = self.settings.batch_size or default_batch_size(self.count, estimate, seconds)
        if not measure:
            return size, estimate(size)
        if (candidate.key, size) not in self._probes:
            self._probes[candidate.key, size] = Probe(
                network, draw, size, self.settings.seed, self._precision(candidate)
            )
            self._probes[candidate.key, size].run()
        return size, self._probes[candidate.key, size].seconds

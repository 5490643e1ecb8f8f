"""The training loop: draw, step, validate, keep the best, refit on all data; it can be stopped between two steps."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from forecast.errors import Setting, Words
from forecast.models.shared.model import RecurrentModel
from forecast.panel.windows import Batch
from forecast.settings import TrainSettings
from forecast.training.plan import Member
from forecast.training.run import Run, diverged
from forecast.training.states import Keeper, State, Watch, form, from_arrays, to_arrays
from forecast.training.stopping import Deferred

log = logging.getLogger("forecast")

Draw = Callable[[torch.Generator, int, bool], Batch]
"""(generator, windows, whether held-out values may be targets) -> a training batch"""


@dataclass(frozen=True)
class Progress:
    """Where a fit stands; `loss` is that of the last training batch."""

    member: int
    step: int
    steps: int
    loss: float
    validation: float | None


class Ended(BaseModel):
    """The numbers among what a trained member is."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    ended: Member
    validation: float | None
    cut: int | None = Field(ge=1)
    steps: int = Field(ge=1)


@dataclass(frozen=True)
class Trained:
    """One trained member.

    Attributes
    ----------
    weights : by name
    base : those that never saw what was held out, from which a later fit can go on
    validation : best held-out loss
    held_out : [windows, horizon, levels], quantiles of the held-out windows by weights that never saw them, in the
        unit of the windows' values
    cut : the step at which a deadline cut it
    steps : taken
    """

    weights: dict[str, Tensor]
    base: dict[str, Tensor]
    validation: float | None
    held_out: Tensor
    cut: int | None
    steps: int

    def state(self, member: Member) -> State:
        """All of it, as it is kept."""
        facts = Ended(ended=member, validation=self.validation, cut=self.cut, steps=self.steps)
        weights, base = to_arrays("weights", self.weights), to_arrays("base", self.base)
        return State(facts.model_dump(mode="json"), {**weights, **base, "held_out": self.held_out.numpy()})

    @classmethod
    def of(cls, state: State, member: Member, network: RecurrentModel, windows: int) -> Self | None:
        """What `state` gave; None where it belongs to another member.

        Parameters
        ----------
        windows : held out
        """
        try:
            facts = Ended.model_validate(state.facts)
        except ValidationError:
            return None
        arrays, own = form(state.arrays), network.state_dict()
        held_out = arrays.pop("held_out", ((), None))[0]
        shape = (windows, network.shape.horizon, len(network.shape.levels))
        alike = arrays == form({**to_arrays("weights", own), **to_arrays("base", own)})
        if facts.ended != member or not alike or held_out != shape:
            return None
        weights, base = from_arrays("weights", state.arrays), from_arrays("base", state.arrays)
        quantiles = torch.from_numpy(state.arrays["held_out"]).clone()
        return cls(weights, base, facts.validation, quantiles, facts.cut, facts.steps)


def train(
    network: RecurrentModel,
    draw: Draw,
    validation: list[Batch],
    settings: TrainSettings,
    member: Member,
    *,
    number: int = 0,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
    keep: Keeper | None = None,
) -> Trained:
    """Train one network, in place.

    Until the last `member.refit_steps` steps the held-out values are no targets and the best weights on them are kept;
    then training goes on from those with all values, at the end of the same learning rate schedule.

    A member that goes on from another fit is given its network as that one left it; the weights that it brings are
    the first that are held against what is held out.

    SIGINT and SIGTERM act between two steps, after the state was kept; a second one acts at once.

    Parameters
    ----------
    validation : held-out batches, may be empty
    number : of the member, for its seed and for the progress
    deadline : `time.monotonic()` at which training is cut; where it was cut is returned, so that a plan repeats it
    keep : where the state is kept every few seconds, at a stop and at the end, and taken up from

    Raises
    ------
    BadData
        If the loss is not a number even at a fraction of the learning rate.
    """
    run, name, windows = Run(network, settings, member, number), f"member-{number}", sum(map(len, validation))
    with Deferred() as signals:
        found = keep.read(name) if keep is not None else None
        if found is not None:
            trained = Trained.of(found, member, network, windows)
            if trained is not None:
                return trained
            if run.go_on(found, windows):
                log.info("network %d goes on from step %d of %d", number + 1, run.step, member.steps)
            else:
                log.warning("what was kept of network %d belongs to another plan; its training starts anew", number + 1)
        watch = Watch()
        cut = None
        while run.step < member.steps:
            if keep is not None and (signals.came is not None or watch.due()):
                watch.write(keep, name, run.state)
            if signals.came is not None:
                kept = "" if keep is None else Words("; ", Setting("resume", True), " goes on from what is kept")
                log.info("training stops at step %d of network %d%s", run.step, number + 1, kept)
                signals.deliver()
            if run.done > 0 and (run.done == member.cut or (deadline is not None and time.monotonic() > deadline)):
                cut = run.done
                break
            loss = _step(run, draw, validation)
            if on_step is not None:
                on_step(Progress(number, run.step, member.steps, loss, run.best))
        trained = _end(run, validation, cut)
        if keep is not None:
            keep.write(name, trained.state(member))
    return trained


def _step(run: Run, draw: Draw, validation: list[Batch]) -> float:
    """One step, and what comes before and after it where the schedule says so."""
    member, refit_from = run.member, run.refit_from
    if member.warm and run.done == 0 and validation:
        run.validate(validation)
    if run.step == refit_from and validation:
        run.restore_best(validation)
    loss = run.take(draw(run.generator, member.batch_size, run.step >= refit_from or not validation))
    if validation and run.step < refit_from and (run.step % member.validate_every == 0 or run.step == refit_from - 1):
        run.stale = 0 if run.validate(validation) else run.stale + 1
        if run.stale >= run.settings.patience:
            run.step = refit_from
    return loss


def _end(run: Run, validation: list[Batch], cut: int | None) -> Trained:
    network = run.network
    if validation and run.step <= run.refit_from:
        run.validate(validation)
        run.restore_best(validation)
    if not all(bool(p.isfinite().all()) for p in network.parameters()):
        raise diverged()
    network.eval()
    weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    base = {name: value.detach().cpu().clone() for name, value in run.kept.items()} if validation else weights
    return Trained(weights, base, run.best, run.held_out, cut, run.done)

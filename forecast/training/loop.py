"""The training loop: draw, step, validate, keep the best weights, refit on all data; it can stop between two steps."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from forecast.errors import Setting, Words
from forecast.models.shared.building import to_arrays
from forecast.models.shared.model import RecurrentModel
from forecast.settings import Stored, TrainSettings
from forecast.training.checkpoint import Checkpoint, CheckpointTimer, layout_of
from forecast.training.context import Progress, TrainingContext, Weights
from forecast.training.plan import Member
from forecast.training.sampling import Draw
from forecast.training.state import TrainingState, diverged, prefixed, unprefixed
from forecast.training.stopping import Deferred
from forecast.windows.windows import Batch

log = logging.getLogger("forecast")


class _StoredNumbers(Stored):
    """The numbers of a trained member, under the names that a checkpoint has for them."""

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
    base : those before held-out values became targets, from which a later fit can continue
    validation : best loss on held-out values
    held_out : [windows, horizon, levels], quantiles of the held-out windows by the base weights, in the unit of the
        windows' values
    cut : the step at which a deadline cut it
    steps : taken
    """

    weights: Weights
    base: Weights
    validation: float | None
    held_out: NDArray[np.float64]
    cut: int | None
    steps: int

    def checkpoint(self, member: Member) -> Checkpoint:
        """All of it."""
        numbers = _StoredNumbers(ended=member, validation=self.validation, cut=self.cut, steps=self.steps)
        weights, base = prefixed("weights", self.weights), prefixed("base", self.base)
        return Checkpoint(numbers.model_dump(mode="json"), {**weights, **base, "held_out": self.held_out})

    @classmethod
    def of(cls, checkpoint: Checkpoint, member: Member, network: RecurrentModel, windows: int) -> Self | None:
        """The trained member of a checkpoint; None where it is of another member.

        Parameters
        ----------
        windows : held out
        """
        try:
            numbers = _StoredNumbers.model_validate(checkpoint.facts)
        except ValidationError:
            return None
        layout, initial = layout_of(checkpoint.arrays), to_arrays(network.state_dict())
        held_out = layout.pop("held_out", ((), None))[0]
        shape = (windows, network.shape.horizon, len(network.shape.levels))
        alike = layout == layout_of({**prefixed("weights", initial), **prefixed("base", initial)})
        if not member.continues(numbers.ended) or not alike or held_out != shape:
            return None
        arrays: dict[str, NDArray[Any]] = checkpoint.arrays
        weights, base = unprefixed("weights", arrays), unprefixed("base", arrays)
        return cls(weights, base, numbers.validation, arrays["held_out"], numbers.cut, numbers.steps)


def train(
    network: RecurrentModel,
    draw: Draw,
    validation: list[Batch],
    settings: TrainSettings,
    member: Member,
    number: int = 0,
    context: TrainingContext | None = None,
) -> Trained:
    """Train one network, in place.

    Until the last `member.refit_steps` steps, held-out values are no targets and the best weights on them are
    remembered; then training continues from those with all values, at the end of the same learning rate schedule.

    A member that continues another fit brings its weights in `network`; they are validated first.

    SIGINT and SIGTERM act between two steps, after a checkpoint was written; a second one acts at once.

    Parameters
    ----------
    validation : held-out batches, may be empty
    number : of the member, for its seed and for the progress
    context : `start`, `jobs`, `first` and `seconds` do not matter here; where the deadline cut training is returned,
        so that a plan repeats it

    Raises
    ------
    BadData
        If the loss is not a number even at a fraction of the learning rate.
    """
    context = context or TrainingContext()
    state, name = TrainingState(network, settings, member, number), f"member-{number}"
    store, deadline = context.checkpoints, context.deadline
    with Deferred() as signals:
        finished = _resume(state, number, name, context, sum(map(len, validation)))
        if finished is not None:
            return finished
        timer = CheckpointTimer()
        cut = None
        while state.step < member.steps:
            if store is not None and (signals.came is not None or timer.due()):
                timer.write(store, name, state.checkpoint)
            if signals.came is not None:
                resume = "" if store is None else Words("; ", Setting("resume", True), " goes on from there")
                log.info("training stops at step %d of network %d%s", state.step, number + 1, resume)
                signals.deliver()
            if state.done > 0 and (state.done == member.cut or (deadline is not None and time.monotonic() > deadline)):
                cut = state.done
                break
            loss = _step(state, draw, validation)
            if context.on_step is not None:
                context.on_step(Progress(number, state.step, member.steps, loss, state.best))
        trained = _end(state, validation, cut)
        if store is not None:
            store.write(name, trained.checkpoint(member))
    return trained


def _resume(state: TrainingState, number: int, name: str, context: TrainingContext, windows: int) -> Trained | None:
    """Continue from a checkpoint where there is one; returns the trained member where it was finished already."""
    checkpoint = context.checkpoints.read(name) if context.checkpoints is not None else None
    if checkpoint is None:
        return None
    trained = Trained.of(checkpoint, state.member, state.network, windows)
    if trained is None:
        if state.resume(checkpoint, windows):
            log.info("network %d goes on from step %d of %d", number + 1, state.step, state.member.steps)
        else:
            log.warning("the checkpoint of network %d belongs to another plan; its training starts anew", number + 1)
    return trained


def _step(state: TrainingState, draw: Draw, validation: list[Batch]) -> float:
    """One step, with the validation or the return to the best weights that is due around it."""
    member, refit_from = state.member, state.refit_from
    if state.starts_trained and state.done == 0 and validation:
        state.validate(validation)
    if state.step == refit_from and validation:
        state.restore_best(validation)
    loss = state.take(draw(state.generator, member.batch_size, state.step >= refit_from or not validation))
    due = state.step % member.validate_every == 0 or state.step == refit_from - 1
    if validation and state.step < refit_from and due:
        state.stale = 0 if state.validate(validation) else state.stale + 1
        if state.stale >= state.settings.patience:
            state.step = refit_from
    return loss


def _end(state: TrainingState, validation: list[Batch], cut: int | None) -> Trained:
    network = state.network
    if validation and state.step <= state.refit_from:
        state.validate(validation)
        state.restore_best(validation)
    if not all(bool(p.isfinite().all()) for p in network.parameters()):
        raise diverged()
    network.eval()
    weights = {name: array.copy() for name, array in to_arrays(network.state_dict()).items()}
    base = {name: array.copy() for name, array in to_arrays(state.best_weights).items()} if validation else weights
    return Trained(weights, base, state.best, state.held_out.numpy(), cut, state.done)

"""The training loop: draw, step, validate, keep the best weights, refit on all data; it can stop between two steps."""

import signal
import threading
import time
from dataclasses import dataclass
from types import FrameType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting, Words
from forecast.logs import log
from forecast.models.shared.building import to_arrays
from forecast.models.shared.model import RecurrentModel
from forecast.settings import TrainSettings
from forecast.training.context import Progress, TrainingContext, Weights
from forecast.training.plan import Member
from forecast.training.resume import NetworkCheckpoint
from forecast.training.sampling import Draw
from forecast.training.state import TrainingState, diverged
from forecast.windows.windows import Batch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Trained:
    weights: Weights
    base: Weights  # before held-out values became targets, from which a later fit can continue
    validation: float | None  # best loss on held-out values
    held_out: NDArray[
        np.float64
    ]  # [windows, horizon, levels], forecast by the base weights, in the values' unit
    cut: int | None  # the step at which a deadline ended training
    steps: int  # taken


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

    A member that continues another fit brings its weights in `network`; they are validated first. `validation` may be
    empty. SIGINT and SIGTERM act between two steps, after a checkpoint was written; a second one acts at once.
    """
    context = context or TrainingContext()
    state = TrainingState(network, settings, member, number, sum(map(len, validation)))
    store, deadline = context.checkpoints, context.deadline
    checkpoint = NetworkCheckpoint(store, state, number)
    with Deferred() as signals:
        checkpoint.restore()
        while state.step < member.steps and not state.finished:
            checkpoint.write(now=signals.pending is not None)
            if signals.pending is not None:
                resume = (
                    ""
                    if store is None
                    else Words("; ", Setting("resume", True), " goes on from there")
                )
                log.info(
                    "training stops at step %d of network %d%s", state.step, number + 1, resume
                )
                signals.deliver()
            if state.done > 0 and (
                state.done == member.cut or (deadline is not None and time.monotonic() > deadline)
            ):
                state.cut = state.done
                break
            loss = _step(state, draw, validation)
            if context.on_step is not None:
                context.on_step(Progress(number, state.step, member.steps, loss, state.best))
        if not state.finished:
            if validation and state.step <= state.refit_from:
                state.validate(validation)
                state.restore_best(validation)
            if not all(bool(p.isfinite().all()) for p in network.parameters()):
                raise diverged()
            state.finished = True
            checkpoint.write(now=True)
    network.eval()
    weights = to_arrays(network.state_dict())
    base = to_arrays(state.best_weights) if len(state.held_out) else weights
    return Trained(weights, base, state.best, state.held_out.numpy(), state.cut, state.done)


def _step(state: TrainingState, draw: Draw, validation: list[Batch]) -> float:
    """One step, with the validation or the return to the best weights that is due around it."""
    member, refit_from = state.member, state.refit_from
    if state.starts_trained and state.done == 0 and validation:
        state.validate(validation)
    if state.step == refit_from and validation:
        state.restore_best(validation)
    everything, at_once = state.step >= refit_from or not validation, state.network.rows_at_once > 0
    batch = draw(state.generator, member.batch_size, everything)
    loss = (
        state.learn_at_once(batch, [] if everything else validation)
        if at_once
        else state.take(batch)
    )
    due = state.step % member.validate_every == 0 or state.step == refit_from - 1
    if validation and at_once and state.step == refit_from:
        state.validate(validation)
    if validation and state.step < refit_from and due:
        state.stale = 0 if state.validate(validation) else state.stale + 1
        if state.stale >= state.settings.patience:
            state.step = refit_from
    return loss


class Deferred:
    """A block of the main thread in which the first SIGINT or SIGTERM is only noted; a second one acts at once."""

    def __init__(self) -> None:
        self.pending: int | None = (
            None  # acts, as it would outside, when it is delivered or the block ends
        )
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                if handler not in (
                    None,
                    signal.SIG_IGN,
                ):  # None was set by C code and could not be restored
                    self._before[number] = handler  # first, as a signal may come at once
                    signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._release()
        if kind is None and self.pending is not None:
            signal.raise_signal(self.pending)

    def deliver(self) -> None:
        """Let the pending signal act; where that does not end the block, the next one is deferred again."""
        number, self.pending = self.pending, None
        if number is not None:
            self._release()
            signal.raise_signal(number)
            self.__enter__()

    def _release(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pending = number
        self._release()  # the next one acts at once

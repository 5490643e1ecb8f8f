"""The training loop: draw, step, validate, keep the best weights, refit on all data."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.logs import log
from forecast.models.shared.building import to_arrays
from forecast.models.shared.model import RecurrentModel
from forecast.settings import TrainSettings
from forecast.training.context import Progress, TrainingContext, Weights
from forecast.training.plan import Member
from forecast.training.sampling import Draw
from forecast.training.state import TrainingState, build_divergence_error
from forecast.windows.windows import Batch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Trained:
    """The result of training one network."""

    weights: Weights
    # weights before held-out values became targets, from which a later fit can continue
    base: Weights
    validation: float | None  # best loss on held-out values
    # quantiles of validation windows by the base weights, [windows, horizon, levels], not scaled
    held_out: NDArray[np.float64]
    cut: int | None  # the training step at which a deadline ended training
    steps: int  # training steps taken


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

    Held-out values are no targets until the last `member.refit_steps` training steps, and the
    weights with the least loss on them are remembered. In these last steps training continues from
    those weights with all values as targets, at the end of the same learning rate schedule.
    `validation` may be empty.

    A member that continues another fit brings its weights in `network`; they are validated first.
    SIGINT and SIGTERM take effect between two training steps; a second signal takes effect at once.
    """
    context = context or TrainingContext()
    held_out = sum(map(len, validation))
    state = TrainingState(network, settings, member, number, held_out)
    while not state.finished:
        # a signal whose handler returns lets training go on
        with deferred_signals() as signals:
            while not signals and state.step < member.steps and not _is_over(state, context):
                loss = _step(state, draw, validation)
                if context.on_step is not None:
                    context.on_step(Progress(number, state.step, member.steps, loss, state.best))
            if signals:
                log.info("training stops at step %d of network %d", state.step, number + 1)
            else:
                _finish(state, validation)

    network.eval()
    weights = to_arrays(network.state_dict())
    base = to_arrays(state.best_weights) if len(state.held_out) else weights
    return Trained(weights, base, state.best, state.held_out.numpy(), state.cut, state.done)


def _is_over(state: TrainingState, context: TrainingContext) -> bool:
    """Whether the deadline has passed, after one training step at least."""
    late = context.deadline is not None and time.monotonic() > context.deadline
    if state.done > 0 and late:
        state.cut = state.done
    return state.cut is not None


def _step(state: TrainingState, draw: Draw, validation: list[Batch]) -> float:
    """Take one training step, with the validation or return to the best weights that is due."""
    member = state.member
    refit_from = state.refit_from
    if validation and state.done == 0 and state.starts_trained:
        state.validate(validation)
    if validation and state.step == refit_from:
        state.restore_best(validation)

    refits = state.step >= refit_from or not validation
    batch = draw(state.generator, member.batch_size, refits)
    if state.network.rows_at_once:
        loss = state.learn_at_once(batch, [] if refits else validation)
        if not refits:
            state.validate(validation)
        return loss

    loss = state.take(batch)
    due = state.step % member.validate_every == 0 or state.step == refit_from - 1
    if validation and due and state.step < refit_from:
        improved = state.validate(validation)
        state.stale = 0 if improved else state.stale + 1
        if state.stale >= state.settings.patience:
            state.step = refit_from
    return loss


def _finish(state: TrainingState, validation: list[Batch]) -> None:
    if validation and state.step <= state.refit_from:
        state.validate(validation)
        state.restore_best(validation)
    is_finite = all(bool(weights.isfinite().all()) for weights in state.network.parameters())
    if not is_finite:
        raise build_divergence_error()
    state.finished = True


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Hold back a SIGINT or SIGTERM in the main thread until the block ends; a second acts at once.

    Yields a list, which holds the number of the first signal once it has arrived.
    """
    received: list[int] = []
    handlers: dict[int, Any] = {}  # as they are outside the block

    def release() -> None:
        while handlers:
            signal.signal(*handlers.popitem())

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)
        release()

    try:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                handler = signal.getsignal(number)
                # None was set by C code and could not be restored
                if handler not in (None, signal.SIG_IGN):
                    handlers[number] = handler  # first, as a signal may come at once
                    signal.signal(number, note)
        yield received
    finally:
        release()
    if received:
        signal.raise_signal(received[0])

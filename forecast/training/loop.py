"""The training loop: draw, step, validate, keep the best weights, refit on all data."""

import copy
import math
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forecast.errors import BadData, Setting
from forecast.logs import log
from forecast.models.shared.building import to_arrays
from forecast.models.shared.model import RecurrentModel
from forecast.settings import TrainSettings
from forecast.training.plan import Member, Progress, TrainingContext, Weights
from forecast.training.sampling import Draw
from forecast.windows.windows import Batch

WARM_RATE = 0.25  # share of the learning rate for a network that starts from trained weights
BETAS = 0.9, 0.999
EPSILON = 1e-8
TRAINING_RETRIES = 4  # times that training continues from the best weights after it diverged
WARM_UP = 100  # training steps in which the learning rate rises to its peak, at most
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


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    It changes weights exactly as torch's own AdamW does. But the first use of torch's imports a
    compiler, which takes as long as a fit of a short series, and each of its steps takes one and a
    half times as long.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.decay = decay
        self.steps = torch.zeros(1, dtype=torch.int64)
        self.exp_avg = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.exp_avg_sq = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Update all parameters that have gradients, at the learning rate `rate`."""
        self.steps += 1
        parameters: list[Tensor] = []
        gradients: list[Tensor] = []
        exp_avg: list[Tensor] = []
        exp_avg_sq: list[Tensor] = []
        for number, parameter in enumerate(self.parameters):
            if parameter.grad is not None:
                parameters.append(parameter)
                gradients.append(parameter.grad)
                exp_avg.append(self.exp_avg[number])
                exp_avg_sq.append(self.exp_avg_sq[number])

        if self.decay:
            torch._foreach_mul_(parameters, 1 - rate * self.decay)
        torch._foreach_lerp_(exp_avg, gradients, 1 - BETAS[0])
        torch._foreach_mul_(exp_avg_sq, BETAS[1])
        torch._foreach_addcmul_(exp_avg_sq, gradients, gradients, 1 - BETAS[1])

        steps = int(self.steps)
        deviation = torch._foreach_sqrt(exp_avg_sq)
        torch._foreach_div_(deviation, math.sqrt(1 - BETAS[1] ** steps))
        torch._foreach_add_(deviation, EPSILON)
        step_size = -rate / (1 - BETAS[0] ** steps)
        torch._foreach_addcdiv_(parameters, exp_avg, deviation, step_size)


class TrainingState:
    """Weights, optimizer, best weights, learning rate and random numbers of a network."""

    def __init__(
        self,
        network: RecurrentModel,
        settings: TrainSettings,
        member: Member,
        number: int,
        held_out: int = 0,
    ) -> None:
        self.network = network
        self.settings = settings
        self.member = member
        self.device = next(network.parameters()).device
        seed = member_seed(settings, member) + 7919 * (number + 1)
        self.generator = torch.Generator().manual_seed(seed)
        self.step = 0  # the next training step of the schedule
        self.done = 0  # training steps taken; fewer than `step` after early stopping
        self.stale = 0  # validations in a row that did not improve the loss
        self.best: float | None = None
        self.best_weights = copy.deepcopy(network.state_dict())
        self.factor = 1.0  # multiplies the learning rate; halved when the loss becomes NaN
        self.retries = TRAINING_RETRIES
        self.cut: int | None = None  # the step at which a deadline ended training
        self.finished = False
        shape = network.shape
        self.held_out = torch.zeros(held_out, shape.horizon, len(shape.levels), dtype=torch.float64)
        self.optimizer = AdamW(network.parameters(), settings.weight_decay)

    @property
    def refit_from(self) -> int:
        """The training step from which on held-out values are targets too."""
        return self.member.steps - self.member.refit_steps

    @property
    def starts_trained(self) -> bool:
        """Whether training starts from weights that were trained before."""
        return self.network.starts_trained or self.member.warm > 0

    def learn_at_once(self, batch: Batch, held_out: list[Batch]) -> float:
        """Train a network without gradients; values of `held_out` are not learned from."""
        self.network.eval().learn(batch, held_out)
        self._count_step()
        return math.nan

    def take(self, batch: Batch) -> float:
        """Take one training step; returns the loss of the batch."""
        self.network.train()
        self.network.zero_grad()
        loss = self.network.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.optimizer.parameters, self.settings.clip)

        warm_share = WARM_RATE if self.starts_trained else 1.0
        share = self.network.rate_share * warm_share
        peak = self.settings.learning_rate * share * self.factor
        rate = peak * rate_at(self.step, self.member.steps)
        self._count_step()
        if not bool(torch.isfinite(norm + loss)):
            self._retry()
            return math.nan
        self.optimizer.step(rate)
        return float(loss.detach())

    def _count_step(self) -> None:
        self.step += 1
        self.done += 1

    def validate(self, batches: list[Batch]) -> bool:
        """Measure the loss on held-out values; returns whether it is the lowest so far."""
        self.network.eval()
        losses: list[float] = []
        sizes: list[float] = []
        with torch.no_grad():
            for batch in batches:
                weight = batch.target_mask * batch.weight[:, None]
                size = float(weight.sum())
                losses.append(float(self.network.loss(batch)) * size)
                sizes.append(size)
        loss = sum(losses) / max(sum(sizes), 1e-6)

        if not math.isfinite(loss):
            self._retry()
            return False
        better = self.best is None or loss < self.best
        if better:
            self.best = loss
            self.best_weights = copy.deepcopy(self.network.state_dict())
        return better

    def restore_best(self, batches: list[Batch]) -> None:
        """Return to the best weights, and forecast the held-out windows with them."""
        if self.best is not None:
            self._return_to_best()
        self.network.eval()
        levels = self.network.shape.levels
        forecasts = []
        with torch.no_grad():
            for batch in batches:
                quantiles = self.network.quantiles(batch, levels)
                forecasts.append(batch.unscale(quantiles).cpu())
        self.held_out = torch.cat(forecasts)

    def _return_to_best(self) -> None:
        self.network.load_state_dict(self.best_weights)
        # the old momentum belongs to other weights
        self.optimizer = AdamW(self.network.parameters(), self.settings.weight_decay)

    def _retry(self) -> None:
        if self.retries == 0:
            raise build_divergence_error()
        if self.retries == TRAINING_RETRIES:  # the first time only
            problem = "the loss became NaN; training goes on from the best weights"
            log.warning("%s with half the learning rate", problem)
        self.retries -= 1
        self.factor /= 2
        self._return_to_best()


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


def member_seed(settings: TrainSettings, member: Member) -> int:
    """The seed of a member's draws; each fit that continues another draws other windows."""
    return settings.seed + 15_485_863 * member.warm


def rate_at(step: int, steps: int) -> float:
    """Share of the peak learning rate at a training step: linear warm-up, then a cosine to zero."""
    warm_up = min(WARM_UP, max(1, steps // 10))
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, steps - warm_up)
    return 0.5 * (1 + math.cos(math.pi * done))


def build_divergence_error() -> BadData:
    cure = f"look for extreme values, or pass a smaller {Setting('learning_rate')}"
    return BadData("the loss became NaN and stays so", cure=cure)

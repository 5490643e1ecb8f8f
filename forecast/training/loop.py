"""The training loop: draw, step, validate, keep the best, refit on all data."""

import copy
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from forecast.errors import BadData
from forecast.models.shared.model import RecurrentModel
from forecast.series.windows import Batch
from forecast.settings import TrainSettings
from forecast.training.optimizer import AdamW, clip_norm
from forecast.training.plan import Member

log = logging.getLogger("forecast")

RETRIES = 4  # times a diverged run is taken up from its best weights with half the rate

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


@dataclass(frozen=True)
class Trained:
    """One trained member.

    Attributes
    ----------
    weights : by name
    validation : best held-out loss
    held_out : [windows, horizon, levels], quantiles of the held-out windows by weights that never saw them, in the
        unit of the windows' values
    cut : the step at which a deadline cut it
    steps : taken
    """

    weights: dict[str, Tensor]
    validation: float | None
    held_out: Tensor
    cut: int | None
    steps: int


def rate_at(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    warm = min(100, max(1, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


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
) -> Trained:
    """Train one network, in place.

    Until the last `member.refit_steps` steps the held-out values are no targets and the best weights on them are kept;
    then training goes on from those with all values, at the end of the same learning rate schedule.

    Parameters
    ----------
    validation : held-out batches, may be empty
    number : of the member, for its seed and for the progress
    deadline : `time.monotonic()` at which training is cut; where it was cut is returned, so that a plan repeats it

    Raises
    ------
    BadData
        If the loss is not a number even at a fraction of the learning rate.
    """
    run = _Run(network, settings, member.steps)
    generator = torch.Generator().manual_seed(settings.seed + 7919 * (number + 1))
    refit_from = member.steps - member.refit_steps
    step, done, stale = 0, 0, 0
    cut, held_out = None, torch.zeros(0, network.shape.horizon, len(network.shape.levels))
    while step < member.steps:
        if done > 0 and (done == member.cut or (deadline is not None and time.monotonic() > deadline)):
            cut = done
            break
        if step == refit_from and validation:
            held_out = run.restore_best(validation)
        loss = run.step(draw(generator, member.batch_size, step >= refit_from or not validation), step)
        step, done = step + 1, done + 1
        if on_step is not None:
            on_step(Progress(number, step, member.steps, loss, run.best))
        if validation and step < refit_from and (step % member.validate_every == 0 or step == refit_from - 1):
            stale = 0 if run.validate(validation) else stale + 1
            if stale >= settings.patience:
                step = refit_from
    if validation and step <= refit_from:
        run.validate(validation)
        held_out = run.restore_best(validation)
    if not all(bool(p.isfinite().all()) for p in network.parameters()):
        raise _diverged()
    network.eval()
    weights = {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
    return Trained(weights, run.best, held_out, cut, done)


class _Run:
    """What one run carries from step to step: optimizer, best weights, rate."""

    def __init__(self, network: RecurrentModel, settings: TrainSettings, steps: int) -> None:
        self.network, self.settings, self.steps = network, settings, steps
        self.best: float | None = None
        self.kept = copy.deepcopy(network.state_dict())
        self.factor, self.retries = 1.0, RETRIES
        self._new_optimizer()

    def _new_optimizer(self) -> None:
        decay = self.settings.weight_decay if self.settings.optimizer == "adamw" else 0.0
        self.optimizer = AdamW(self.network.parameters(), decay)

    def step(self, batch: Batch, step: int) -> float:
        self.network.train()
        self.optimizer.zero_grad()
        loss = self.network.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_norm(self.optimizer.parameters, self.settings.clip)
        if not bool(torch.isfinite(norm + loss)):
            self._retry()
            return math.nan
        self.optimizer.step(self.settings.learning_rate * self.factor * rate_at(step, self.steps))
        return float(loss.detach())

    def validate(self, batches: list[Batch]) -> bool:
        """Measure the held-out loss; keep the weights and say True where it is the best so far."""
        self.network.eval()
        with torch.no_grad():
            losses = [float(self.network.loss(batch)) for batch in batches]
        sizes = [float((batch.target_mask * batch.weight[:, None]).sum()) for batch in batches]
        loss = sum(a * b for a, b in zip(losses, sizes, strict=True)) / max(sum(sizes), 1e-6)
        if not math.isfinite(loss):
            self._retry()
            return False
        if self.best is None or loss < self.best:
            self.best, self.kept = loss, copy.deepcopy(self.network.state_dict())
            return True
        return False

    def restore_best(self, batches: list[Batch]) -> Tensor:
        """Go back to the best weights, and return what they make of the held-out windows."""
        if self.best is not None:
            self.network.load_state_dict(self.kept)
            self._new_optimizer()  # its momentum belongs to other weights
        self.network.eval()
        with torch.no_grad():
            levels = self.network.shape.levels
            return torch.cat([batch.unscaled(self.network.quantiles(batch, levels)).cpu() for batch in batches])

    def _retry(self) -> None:
        if self.retries == 0:
            raise _diverged()
        self.retries -= 1
        self.factor /= 2
        log.warning("the loss became NaN; training goes on from the best weights with half the learning rate")
        self.network.load_state_dict(self.kept)
        self._new_optimizer()


def _diverged() -> BadData:
    return BadData("the loss became NaN and stays so; look for extreme values, or pass a smaller --learning-rate")

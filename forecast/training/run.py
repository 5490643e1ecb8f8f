"""One run of training: all that it carries from step to step, and how that is kept."""

import copy
import logging
import math
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from forecast.errors import BadData, Setting, Words
from forecast.models.shared.model import RecurrentModel
from forecast.panel.windows import Batch
from forecast.settings import TrainSettings
from forecast.training.optimizer import AdamW, clip_norm
from forecast.training.plan import Member
from forecast.training.states import State, form, from_arrays, random_states, set_random_states, to_arrays

log = logging.getLogger("forecast")

WARM_RATE = 0.5  # share of the learning rate with which a network goes on that has learned already
RETRIES = 4  # times a diverged run is taken up from its best weights with half the rate


class Facts(BaseModel):
    """The numbers among what a run carries."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    member: Member
    step: int = Field(ge=0, description="of the schedule, where the next one goes on")
    done: int = Field(ge=0, description="steps taken; fewer than `step` where patience ended")
    stale: int = Field(ge=0, description="validations without gain")
    best: float | None
    factor: float = Field(gt=0, le=1, description="of the learning rate, halved when the loss became NaN")
    retries: int = Field(ge=0, le=RETRIES)
    moments: int = Field(ge=0, description="steps of the optimizer since its moments were zero")


class Run:
    """What one run carries from step to step: weights, optimizer, best weights, rate, random numbers.

    Parameters
    ----------
    number : of the member, for its seed
    """

    def __init__(self, network: RecurrentModel, settings: TrainSettings, member: Member, number: int) -> None:
        self.network, self.settings, self.member = network, settings, member
        self.generator = torch.Generator().manual_seed(member_seed(settings, member) + 7919 * (number + 1))
        self.step, self.done, self.stale = 0, 0, 0
        self.best: float | None = None
        self.kept = copy.deepcopy(network.state_dict())
        self.factor, self.retries = 1.0, RETRIES
        self.held_out = torch.zeros(0, network.shape.horizon, len(network.shape.levels))
        self._new_optimizer()

    @property
    def refit_from(self) -> int:
        """The step from which on held-out values are targets too."""
        return self.member.steps - self.member.refit_steps

    def take(self, batch: Batch) -> float:
        """Take one step; the loss of the batch comes back."""
        self.network.train()
        self.optimizer.zero_grad()
        loss = self.network.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = clip_norm(self.optimizer.parameters, self.settings.clip)
        at, value = self.step, float(loss.detach())
        self.step, self.done = self.step + 1, self.done + 1
        if not bool(torch.isfinite(norm + loss)):
            self._retry()
            return math.nan
        rate = self.settings.learning_rate * (WARM_RATE if self.member.warm else 1.0)
        self.optimizer.step(rate * self.factor * rate_at(at, self.member.steps))
        return value

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

    def restore_best(self, batches: list[Batch]) -> None:
        """Go back to the best weights, and note what they make of the held-out windows."""
        if self.best is not None:
            self.network.load_state_dict(self.kept)
            self._new_optimizer()  # its momentum belongs to other weights
        self.network.eval()
        with torch.no_grad():
            levels = self.network.shape.levels
            self.held_out = torch.cat([one.unscaled(self.network.quantiles(one, levels)).cpu() for one in batches])

    def state(self) -> State:
        """All of it, between two steps."""
        facts = Facts(
            member=self.member,
            step=self.step,
            done=self.done,
            stale=self.stale,
            best=self.best,
            factor=self.factor,
            retries=self.retries,
            moments=self.optimizer.steps,
        )
        arrays = {
            **to_arrays("network", self.network.state_dict()),
            **to_arrays("kept", self.kept),
            **to_arrays("first", _numbered(self.optimizer.first)),
            **to_arrays("second", _numbered(self.optimizer.second)),
            **to_arrays("random", {"draw": self.generator.get_state(), **random_states(self._device)}),
            "held_out": self.held_out.numpy(),
        }
        return State(facts.model_dump(mode="json"), arrays)

    def go_on(self, state: State, windows: int) -> bool:
        """Take up a state of the same run; False, and nothing is changed, where it belongs to another one.

        Parameters
        ----------
        windows : held out
        """
        arrays, own = form(state.arrays), form(self.state().arrays)
        (_, *rest), _ = own.pop("held_out")
        held_out = arrays.pop("held_out", ((), None))[0]
        if arrays != own or held_out not in ((0, *rest), (windows, *rest)):
            return False
        random = from_arrays("random", state.arrays)
        try:
            facts = Facts.model_validate(state.facts)
            for name in ("draw", "cpu"):
                torch.Generator().set_state(random[name])
        except (ValidationError, RuntimeError):
            return False
        if facts.member != self.member or facts.step > self.member.steps:
            return False
        self.step, self.done, self.stale = facts.step, facts.done, facts.stale
        self.best, self.factor, self.retries = facts.best, facts.factor, facts.retries
        self.network.load_state_dict(from_arrays("network", state.arrays))
        self.kept = {name: one.to(self._device) for name, one in from_arrays("kept", state.arrays).items()}
        self.optimizer.steps = facts.moments
        for moments, kind in ((self.optimizer.first, "first"), (self.optimizer.second, "second")):
            for number, one in from_arrays(kind, state.arrays).items():
                moments[int(number)].copy_(one)
        self.held_out = torch.from_numpy(state.arrays["held_out"]).clone()
        self.generator.set_state(random.pop("draw"))
        set_random_states(self._device, random)
        return True

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _new_optimizer(self) -> None:
        decay = self.settings.weight_decay if self.settings.optimizer == "adamw" else 0.0
        self.optimizer = AdamW(self.network.parameters(), decay)

    def _retry(self) -> None:
        if self.retries == 0:
            raise diverged()
        if self.retries == RETRIES:  # said once
            log.warning("the loss became NaN; training goes on from the best weights with half the learning rate")
        self.retries -= 1
        self.factor /= 2
        self.network.load_state_dict(self.kept)
        self._new_optimizer()


def member_seed(settings: TrainSettings, member: Member) -> int:
    """The seed of what a member draws; each fit that goes on from another sees other windows."""
    return settings.seed + 15_485_863 * member.warm


def rate_at(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    warm = min(100, max(1, steps // 10))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def diverged() -> BadData:
    """The error that training leads nowhere."""
    cure = Words("look for extreme values, or pass a smaller ", Setting("learning_rate"))
    return BadData("the loss became NaN and stays so", cure=cure)


def _numbered(tensors: list[Tensor]) -> dict[str, Any]:
    return {str(number): one for number, one in enumerate(tensors)}

"""The state of one network's training: read and changed by steps, validations and checkpoints."""

import copy
import logging
import math

import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from forecast.errors import BadData, Setting, Words
from forecast.models.shared.building import to_arrays, to_tensors
from forecast.models.shared.model import RecurrentModel
from forecast.settings import Stored, TrainSettings
from forecast.training.checkpoint import Checkpoint, layout_of
from forecast.training.context import Weights
from forecast.training.distributed import shared_loss
from forecast.training.optimizer import AdamW
from forecast.training.plan import Member
from forecast.training.precision import lowered
from forecast.windows.windows import Batch

log = logging.getLogger("forecast")

WARM_RATE = 0.5  # share of the learning rate for a network that has been trained before
RETRIES = 4  # times that training continues from the best weights, with half the rate, after it diverged


class _StoredNumbers(Stored):
    """The numbers of a training state, under the names that a checkpoint has for them."""

    member: Member
    step: int = Field(ge=0, description="of the schedule, the next to be taken")
    done: int = Field(ge=0, description="steps taken; fewer than `step` where training stopped early")
    stale: int = Field(ge=0, description="validations without gain")
    best: float | None
    factor: float = Field(gt=0, le=1, description="of the learning rate, halved when the loss became NaN")
    retries: int = Field(ge=0, le=RETRIES)
    moments: int = Field(ge=0, description="steps of the optimizer since its moments were zero")


class TrainingState:
    """Weights, optimizer, best weights, learning rate and random numbers of one network in training.

    Parameters
    ----------
    number : of the member, for its seed
    """

    def __init__(self, network: RecurrentModel, settings: TrainSettings, member: Member, number: int) -> None:
        self.network, self.settings, self.member = network, settings, member
        self.loss = shared_loss(network)
        self.generator = torch.Generator().manual_seed(member_seed(settings, member) + 7919 * (number + 1))
        self.step, self.done, self.stale = 0, 0, 0
        self.best: float | None = None
        self.best_weights = copy.deepcopy(network.state_dict())
        self.factor, self.retries = 1.0, RETRIES
        self.held_out = torch.zeros(0, network.shape.horizon, len(network.shape.levels))
        self._new_optimizer()

    @property
    def refit_from(self) -> int:
        """The step from which on held-out values are targets too."""
        return self.member.steps - self.member.refit_steps

    @property
    def starts_trained(self) -> bool:
        """Whether the first weights come from another training."""
        return self.network.starts_trained or self.member.warm > 0

    def take(self, batch: Batch) -> float:
        """Take one step; returns the loss of the batch."""
        self.network.train()
        self.optimizer.zero_grad()
        with lowered(self.member.precision, self._device):
            loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.optimizer.parameters, self.settings.clip)
        at, value = self.step, float(loss.detach())
        self.step, self.done = self.step + 1, self.done + 1
        if not bool(torch.isfinite(norm + loss)):
            self._retry()
            return math.nan
        share = self.network.rate_share * (WARM_RATE if self.starts_trained else 1.0)
        rate = self.settings.learning_rate * share
        self.optimizer.step(rate * self.factor * rate_at(at, self.member.steps))
        return value

    def validate(self, batches: list[Batch]) -> bool:
        """Measure the loss on held-out values; the best weights so far are remembered, and True is returned."""
        self.network.eval()
        with torch.no_grad():
            losses = [float(self.network.loss(batch)) for batch in batches]
        sizes = [float((batch.target_mask * batch.weight[:, None]).sum()) for batch in batches]
        loss = sum(a * b for a, b in zip(losses, sizes, strict=True)) / max(sum(sizes), 1e-6)
        if not math.isfinite(loss):
            self._retry()
            return False
        if self.best is None or loss < self.best:
            self.best, self.best_weights = loss, copy.deepcopy(self.network.state_dict())
            return True
        return False

    def restore_best(self, batches: list[Batch]) -> None:
        """Return to the best weights, and forecast the held-out windows with them."""
        if self.best is not None:
            self.network.load_state_dict(self.best_weights)
            self._new_optimizer()  # its momentum belongs to other weights
        self.network.eval()
        with torch.no_grad():
            levels = self.network.shape.levels
            quantiles = [batch.unscaled(self.network.quantiles(batch, levels)).cpu() for batch in batches]
            self.held_out = torch.cat(quantiles)

    def checkpoint(self) -> Checkpoint:
        """All of it, between two steps."""
        numbers = _StoredNumbers(
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
            **prefixed("network", to_arrays(self.network.state_dict())),
            **prefixed("kept", to_arrays(self.best_weights)),
            **prefixed("first", to_arrays(_numbered(self.optimizer.first))),
            **prefixed("second", to_arrays(_numbered(self.optimizer.second))),
            **prefixed("random", to_arrays({"draw": self.generator.get_state(), **_random_states(self._device)})),
            "held_out": self.held_out.numpy(),
        }
        return Checkpoint(numbers.model_dump(mode="json"), arrays)

    def resume(self, checkpoint: Checkpoint, windows: int) -> bool:
        """Continue from a checkpoint of the same training; False, and nothing changes, where it is of another one.

        Parameters
        ----------
        windows : held out
        """
        layout, expected = layout_of(checkpoint.arrays), layout_of(self.checkpoint().arrays)
        (_, *rest), _ = expected.pop("held_out")
        held_out = layout.pop("held_out", ((), None))[0]
        if layout != expected or held_out not in ((0, *rest), (windows, *rest)):
            return False
        random = _part("random", checkpoint)
        try:
            numbers = _StoredNumbers.model_validate(checkpoint.facts)
            for name in ("draw", "cpu"):
                torch.Generator().set_state(random[name])
        except (ValidationError, RuntimeError):
            return False
        if not self.member.continues(numbers.member) or numbers.step > self.member.steps:
            return False
        self.step, self.done, self.stale = numbers.step, numbers.done, numbers.stale
        self.best, self.factor, self.retries = numbers.best, numbers.factor, numbers.retries
        self.network.load_state_dict(_part("network", checkpoint))
        self.best_weights = {name: tensor.to(self._device) for name, tensor in _part("kept", checkpoint).items()}
        self.optimizer.steps = numbers.moments
        for moments, kind in ((self.optimizer.first, "first"), (self.optimizer.second, "second")):
            for number, tensor in _part(kind, checkpoint).items():
                moments[int(number)].copy_(tensor)
        self.held_out = torch.tensor(checkpoint.arrays["held_out"])
        self.generator.set_state(random.pop("draw"))
        _set_random_states(self._device, random)
        return True

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _new_optimizer(self) -> None:
        self.optimizer = AdamW(self.network.parameters(), self.settings.decay)

    def _retry(self) -> None:
        if self.retries == 0:
            raise diverged()
        if self.retries == RETRIES:  # the first time only
            log.warning("the loss became NaN; training goes on from the best weights with half the learning rate")
        self.retries -= 1
        self.factor /= 2
        self.network.load_state_dict(self.best_weights)
        self._new_optimizer()


def member_seed(settings: TrainSettings, member: Member) -> int:
    """The seed of a member's draws; each fit that continues another sees other windows."""
    return settings.seed + 15_485_863 * member.warm


def rate_at(step: int, steps: int) -> float:
    """Share of the peak learning rate at a step: linear warm-up, then a cosine to zero."""
    warmup = min(100, max(1, steps // 10))
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))


def diverged() -> BadData:
    """The error for a loss that stays NaN."""
    cure = Words("look for extreme values, or pass a smaller ", Setting("learning_rate"))
    return BadData("the loss became NaN and stays so", cure=cure)


def prefixed(prefix: str, arrays: Weights) -> Weights:
    """The arrays with a prefix and a slash before each name."""
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def unprefixed(prefix: str, arrays: Weights) -> Weights:
    """The arrays whose names have the prefix, without it."""
    start = f"{prefix}/"
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _part(prefix: str, checkpoint: Checkpoint) -> dict[str, Tensor]:
    return to_tensors(unprefixed(prefix, checkpoint.arrays))


def _numbered(tensors: list[Tensor]) -> dict[str, Tensor]:
    return {str(number): tensor for number, tensor in enumerate(tensors)}


def _random_states(device: torch.device) -> dict[str, Tensor]:
    """The states of torch's global generators, from which dropout draws."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["device"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["device"] = torch.mps.get_rng_state()
    return states


def _set_random_states(device: torch.device, states: dict[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["device"], device)
    elif device.type == "mps":
        torch.mps.set_rng_state(states["device"])

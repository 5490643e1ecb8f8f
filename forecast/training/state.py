"""The state of one network's training: how a step or a validation changes it, and how a stopped fit is resumed."""

import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.models.shared.building import layout_of, to_arrays, to_tensors
from forecast.models.shared.model import RecurrentModel
from forecast.panel.panel import ARRAYS, Panel
from forecast.panel.schema import Schema
from forecast.parallel import processes
from forecast.settings import Stored, TrainSettings
from forecast.training.context import Checkpoint, CheckpointStore
from forecast.training.devices import lowered
from forecast.training.plan import Member, Plan
from forecast.windows.windows import Batch

WARM_RATE = 0.5  # share of the learning rate for a network that has been trained before
BETAS, EPSILON = (0.9, 0.999), 1e-8
RETRIES = 4  # times that training continues from the best weights, with half the rate, after it diverged
INTERVAL = 10.0  # seconds between two checkpoints of a network
WRITING_SHARE = 0.01  # of the time that writing them may take
FORMAT = 2
UNKEYED = {"jobs", "device", "plan", "warm_start"}  # settings that change nothing, or whose result is in the key
PLAN = "plan"  # name of the checkpoint of the decisions


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); that of torch first imports its slow compiler."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = [parameter for parameter in parameters if parameter.requires_grad]
        self.decay, self.steps = decay, torch.zeros(1, dtype=torch.int64)
        self.exp_avg = [torch.zeros_like(parameter) for parameter in self.parameters]
        self.exp_avg_sq = [torch.zeros_like(parameter) for parameter in self.parameters]

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move the parameters that have gradients along them."""
        self.steps += 1
        steps = int(self.steps)
        used = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        every = self.parameters, self.exp_avg, self.exp_avg_sq
        parameters, mean, square = ([tensors[i] for i in used] for tensors in every)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.decay:
            torch._foreach_mul_(parameters, 1 - rate * self.decay)
        torch._foreach_lerp_(mean, gradients, 1 - BETAS[0])
        torch._foreach_mul_(square, BETAS[1])
        torch._foreach_addcmul_(square, gradients, gradients, 1 - BETAS[1])
        size = torch._foreach_sqrt(square)
        torch._foreach_div_(size, math.sqrt(1 - BETAS[1] ** steps))
        torch._foreach_add_(size, EPSILON)
        torch._foreach_addcdiv_(parameters, mean, size, -rate / (1 - BETAS[0] ** steps))


class TrainingState:
    """Weights, optimizer, best weights, learning rate and random numbers of one network in training."""

    def __init__(
        self, network: RecurrentModel, settings: TrainSettings, member: Member, number: int, held_out: int = 0
    ) -> None:
        self.network, self.settings, self.member = network, settings, member
        self.device = next(network.parameters()).device
        self.loss = network.loss if network.rows_at_once else shared_loss(network)
        self.generator = torch.Generator().manual_seed(member_seed(settings, member) + 7919 * (number + 1))
        self.step = 0  # of the schedule, the next to be taken
        self.done = 0  # steps taken; fewer than `step` where training stopped early
        self.stale = 0  # validations without gain
        self.best: float | None = None
        self.best_weights = copy.deepcopy(network.state_dict())
        self.factor, self.retries = 1.0, RETRIES  # of the learning rate, halved when the loss becomes NaN
        self.cut: int | None = None  # the step at which a deadline ended training
        self.finished = False
        shape = network.shape
        self.held_out = torch.zeros(held_out, shape.horizon, len(shape.levels), dtype=torch.float64)
        self.optimizer = AdamW(network.parameters(), settings.decay)

    @property
    def refit_from(self) -> int:
        """The step from which on held-out values are targets too."""
        return self.member.steps - self.member.refit_steps

    @property
    def starts_trained(self) -> bool:
        """Whether the first weights come from another training."""
        return self.network.starts_trained or self.member.warm > 0

    def learn_at_once(self, batch: Batch, held_out: list[Batch]) -> float:
        """Take a step of a network without gradients; `held_out` are windows that it does not learn from."""
        self.network.eval().learn(batch, held_out)
        self.step, self.done = self.step + 1, self.done + 1
        return math.nan

    def take(self, batch: Batch) -> float:
        """Take one step; returns the loss of the batch."""
        self.network.train()
        self.optimizer.zero_grad()
        with lowered(self.member.precision, self.device):
            loss = self.loss(batch)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.optimizer.parameters, self.settings.clip)
        at, value = self.step, float(loss.detach())
        self.step, self.done = self.step + 1, self.done + 1
        if not bool(torch.isfinite(norm + loss)):
            self._retry()
            return math.nan
        rate = self.settings.learning_rate * (self.network.rate_share * (WARM_RATE if self.starts_trained else 1.0))
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
        better = self.best is None or loss < self.best
        if better:
            self.best, self.best_weights = loss, copy.deepcopy(self.network.state_dict())
        return better

    def restore_best(self, batches: list[Batch]) -> None:
        """Return to the best weights, and forecast the held-out windows with them."""
        if self.best is not None:
            self._return_to_best()
        self.network.eval()
        with torch.no_grad():
            levels = self.network.shape.levels
            quantiles = [batch.unscaled(self.network.quantiles(batch, levels)).cpu() for batch in batches]
            self.held_out = torch.cat(quantiles)

    def _return_to_best(self) -> None:
        self.network.load_state_dict(self.best_weights)
        self.optimizer = AdamW(self.network.parameters(), self.settings.decay)  # the old momentum is of other weights

    def _retry(self) -> None:
        if self.retries == 0:
            raise diverged()
        if self.retries == RETRIES:  # the first time only
            log.warning("the loss became NaN; training goes on from the best weights with half the learning rate")
        self.retries -= 1
        self.factor /= 2
        self._return_to_best()


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
    cure = Words("look for extreme values, or pass a smaller ", Setting("learning_rate"))
    return BadData("the loss became NaN and stays so", cure=cure)


def shared_loss(network: RecurrentModel) -> Callable[[Batch], Tensor]:
    """The loss of a network whose gradients are the means over all processes."""
    if processes() == 1:
        return network.loss
    return nn.parallel.DistributedDataParallel(_Loss(network), find_unused_parameters=True)


class _Loss(nn.Module):
    """A network whose output is its loss, which is what DistributedDataParallel can watch."""

    def __init__(self, network: RecurrentModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Batch) -> Tensor:
        return self.network.loss(batch)


def data_key(panel: Panel, schema: Schema) -> str:
    """The sha256 of all that a fit sees of the data, in hexadecimal."""
    digest = hashlib.sha256(schema.model_dump_json().encode())
    digest.update(json.dumps([panel.ids, panel.status, panel.ahead]).encode())
    arrays = {name: getattr(panel, name) for name in ARRAYS}
    arrays |= {} if panel.vintages is None else vars(panel.vintages)
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def plan_key(settings: TrainSettings, plan: Plan | None, device: torch.device, started_from: str | None = None) -> str:
    """The sha256 of all but the data that decides a fit; `started_from` is the hash of what it continues."""
    facts = {
        "format": FORMAT,
        "settings": settings.model_dump(mode="json", exclude=UNKEYED),
        "plan": None if plan is None else plan.model_dump(mode="json"),
        "device": device.type,
        "started_from": started_from,
        "machine": [torch.backends.cpu.get_cpu_capability(), str(torch.__version__), np.__version__],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class Decisions(Stored):
    """What a fit decided so far: a resumed one repeats it, and does not measure again."""

    rounds: tuple[tuple[Member, ...], ...] = Field((), description="networks of each round; an empty one ends training")
    costs: dict[str, float] = Field(default_factory=dict, description="seconds of each candidate")
    left: float | None = Field(None, description="seconds of the budget that were left")

    @classmethod
    def read(cls, store: CheckpointStore | None) -> "Decisions":
        checkpoint = store.read(PLAN) if store is not None else None
        try:
            return cls.model_validate(checkpoint.facts if checkpoint is not None else {})
        except ValidationError:
            log.warning("the checkpoint of the plan cannot be read; training starts anew")
            return cls()

    def write(self, store: CheckpointStore | None) -> None:
        if store is not None:
            store.write(PLAN, Checkpoint(self.model_dump(mode="json"), {}))


class _Numbers(Stored):
    """The numbers of a training state, under the names that it has for them."""

    member: Member
    step: int = Field(ge=0)
    done: int = Field(ge=0)
    stale: int = Field(ge=0)
    best: float | None
    factor: float = Field(gt=0, le=1)
    retries: int = Field(ge=0, le=RETRIES)
    cut: int | None = Field(ge=1)
    finished: bool


class NetworkCheckpoint:
    """The checkpoint of one network: continues its training from there, and writes where it stands now and then."""

    def __init__(self, store: CheckpointStore | None, state: TrainingState, number: int) -> None:
        self.store, self.state, self.name, self.number = store, state, f"member-{number}", number + 1
        self._next = time.monotonic() + INTERVAL

    def restore(self) -> None:
        """Continue from the checkpoint where there is one of the same training."""
        checkpoint = self.store.read(self.name) if self.store is not None else None
        if checkpoint is not None and not restore(self.state, checkpoint):
            log.warning("the checkpoint of network %d belongs to another plan; its training starts anew", self.number)
        elif checkpoint is not None and not self.state.finished:
            log.info("network %d goes on from step %d of %d", self.number, self.state.step, self.state.member.steps)

    def write(self, now: bool) -> None:
        """Write where training stands, `now` or if it is time; the longer that takes, the longer until the next one."""
        start = time.monotonic()
        if self.store is not None and (now or start > self._next):
            numbers = _Numbers(**{name: getattr(self.state, name) for name in _Numbers.model_fields})
            self.store.write(self.name, Checkpoint(numbers.model_dump(mode="json"), to_arrays(_tensors(self.state))))
            end = time.monotonic()
            self._next = end + max(INTERVAL, (end - start) / WRITING_SHARE)


def restore(state: TrainingState, checkpoint: Checkpoint) -> bool:
    """Continue from a checkpoint of the same training; False, and nothing changes, where it is of another one."""
    saved, tensors = to_tensors(checkpoint.arrays), _tensors(state)
    if layout_of(saved) != layout_of(tensors):
        return False
    try:
        numbers = _Numbers.model_validate(checkpoint.facts)
        for name in ("random/draw", "random/cpu"):
            torch.Generator().set_state(saved[name])
    except (ValidationError, RuntimeError):
        return False
    if not state.member.continues(numbers.member) or numbers.step > state.member.steps:
        return False
    for name in _Numbers.model_fields.keys() - {"member"}:
        setattr(state, name, getattr(numbers, name))
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(saved[name])
    state.generator.set_state(saved["random/draw"])
    torch.set_rng_state(saved["random/cpu"])
    if state.device.type != "cpu":
        torch.cuda.set_rng_state(saved["random/device"])
    return True


def _tensors(state: TrainingState) -> dict[str, Tensor]:
    """The tensors of a state by name, not copies of them; the states of random generators, which are."""
    random = {"draw": state.generator.get_state(), "cpu": torch.get_rng_state()}  # dropout draws from torch's own
    if state.device.type != "cpu":
        random["device"] = torch.cuda.get_rng_state()
    parts: dict[str, dict[Any, Tensor]] = {
        "network": state.network.state_dict(),
        "best": state.best_weights,
        "exp_avg": dict(enumerate(state.optimizer.exp_avg)),
        "exp_avg_sq": dict(enumerate(state.optimizer.exp_avg_sq)),
        "optimizer": {"steps": state.optimizer.steps},
        "held_out": {"quantiles": state.held_out},
        "random": random,
    }
    return {f"{part}/{name}": tensor for part, named in parts.items() for name, tensor in named.items()}

"""The state of one network's training, and how a step or a validation changes it."""

import copy
import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from forecast.errors import BadData, Setting, Words
from forecast.logs import log
from forecast.models.shared.model import RecurrentModel
from forecast.parallel import processes
from forecast.settings import TrainSettings
from forecast.training.plan import Member
from forecast.training.precision import lowered
from forecast.windows.windows import Batch

WARM_RATE = 0.25  # share of the learning rate for a network that has been trained before
BETAS, EPSILON = (0.9, 0.999), 1e-8
RETRIES = (
    4  # times that training continues from the best weights, with half the rate, after it diverged
)


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); that of torch first imports its slow compiler."""

    def __init__(self, parameters: Iterable[nn.Parameter], decay: float) -> None:
        self.parameters: list[Tensor] = [
            parameter for parameter in parameters if parameter.requires_grad
        ]
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
        self,
        network: RecurrentModel,
        settings: TrainSettings,
        member: Member,
        number: int,
        held_out: int = 0,
    ) -> None:
        self.network, self.settings, self.member = network, settings, member
        self.device = next(network.parameters()).device
        self.loss = network.loss if network.rows_at_once else shared_loss(network)
        self.generator = torch.Generator().manual_seed(
            member_seed(settings, member) + 7919 * (number + 1)
        )
        self.step = 0  # of the schedule, the next to be taken
        self.done = 0  # steps taken; fewer than `step` where training stopped early
        self.stale = 0  # validations without gain
        self.best: float | None = None
        self.best_weights = copy.deepcopy(network.state_dict())
        self.factor, self.retries = (
            1.0,
            RETRIES,
        )  # of the learning rate, halved when the loss becomes NaN
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
        rate = self.settings.learning_rate * (
            self.network.rate_share * (WARM_RATE if self.starts_trained else 1.0)
        )
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
            quantiles = [
                batch.unscaled(self.network.quantiles(batch, levels)).cpu() for batch in batches
            ]
            self.held_out = torch.cat(quantiles)

    def _return_to_best(self) -> None:
        self.network.load_state_dict(self.best_weights)
        self.optimizer = AdamW(
            self.network.parameters(), self.settings.decay
        )  # the old momentum is of other weights

    def _retry(self) -> None:
        if self.retries == 0:
            raise diverged()
        if self.retries == RETRIES:  # the first time only
            log.warning(
                "the loss became NaN; training goes on from the best weights with half the learning rate"
            )
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

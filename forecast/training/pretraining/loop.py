"""The pretraining loop: batches by number, AdamW, an average of the weights, checkpoints that go on where they end."""

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from forecast.durable import replace_file
from forecast.models.shared.pretrained import Pretrained
from forecast.pretrained.network import ARCHITECTURE, LEVELS, inputs_of
from forecast.synthetic.mixing import VERSION
from forecast.training.pretraining.windows import Sample, draw_sample

AHEAD = 6  # batches that are drawn while others train
LARGEST = 20.0  # error from which on it counts no more


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a pretraining."""

    width: int = 128  # of a state
    blocks: int = 2  # recurrent layers
    seed: int = 0  # of weights and batches
    rate: float = 2e-3  # largest learning rate
    warm: int = 500  # steps until it is reached
    average: float = 0.9995  # share that the running average of the weights keeps at each step
    cooling_average: float = 0.998  # while the learning rate falls, when the newest weights are the best ones
    decay: float = 0.01  # of the weights


class Pretraining:
    """A pretraining under way: the network, the running average of its weights, the optimizer, and steps done."""

    def __init__(self, recipe: Recipe, device: str = "cpu") -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.step = recipe, torch.device(device), 0
        self.network = Pretrained(recipe.width, recipe.blocks).to(self.device)
        self.averaged = Pretrained(recipe.width, recipe.blocks).to(self.device)
        self.averaged.load_state_dict(self.network.state_dict())
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), recipe.rate, betas=(0.9, 0.95), weight_decay=recipe.decay
        )

    def learn(self, sample: Sample, rate: float, cooling: bool = False) -> float:
        """Take one step at a learning rate, which may be falling to nothing; the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(self.network, sample, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        average = self.recipe.cooling_average if cooling else self.recipe.average
        keep = min(average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, weight in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(weight, 1 - keep)
        return float(loss.detach())

    def write(self, path: Path) -> None:
        """Write a checkpoint that `read` goes on from."""
        parts = {name: getattr(self, name).state_dict() for name in ("network", "averaged", "optimizer")}
        file = io.BytesIO()
        torch.save({"step": self.step, **parts}, file)
        replace_file(path, file.getvalue())

    def read(self, path: Path) -> None:
        """Go on from a checkpoint."""
        parts = torch.load(path, self.device, weights_only=True)
        self.step = parts.pop("step")
        for name, state in parts.items():
            getattr(self, name).load_state_dict(state)

    def export(self, path: Path, cool: int) -> None:
        """Write the averaged weights in half precision, and beside them how they were made, as JSON."""
        arrays = {name: array.half().contiguous() for name, array in self.averaged.cpu().state_dict().items()}
        data = save(arrays, {"architecture": str(ARCHITECTURE)})
        digest, recipe = hashlib.sha256(data).hexdigest(), asdict(self.recipe)
        made = {"sha256": digest, "generator": VERSION, "steps": self.step, "cool": cool, "recipe": recipe}
        replace_file(path, data)
        replace_file(path.with_suffix(".json"), json.dumps(made, indent=2).encode() + b"\n")


def loss_of(network: nn.Module, sample: Sample, device: torch.device) -> Tensor:
    """Mean pinball loss of a batch in units of each window's seasonal error, less for far steps."""
    inputs = [torch.from_numpy(array).to(device) for array in inputs_of(sample.features)]
    target, weight = (torch.from_numpy(array).to(device) for array in (sample.target, sample.weight))
    error = (target[..., None] - network(*inputs)) / inputs[-1][:, None, None]  # [windows, horizon, levels]
    levels = torch.tensor(LEVELS, device=device)
    pinball = torch.maximum(levels * error, (levels - 1) * error).clamp(max=LARGEST)
    return 2 * (pinball.mean(-1) * weight).mean()


def run(training: Pretraining, until: int, cool: int, on_step: Callable[[int, float], None]) -> None:
    """Train until step `until`; over the last `cool` of them the learning rate falls to nothing."""
    recipe = training.recipe
    for sample in _samples(recipe.seed, training.step, until):
        done = training.step
        falling = 1.0 if cool <= 0 else min(1.0, max((until - done) / cool, 0.01))
        rate = recipe.rate * min(1.0, (done + 1) / recipe.warm) * falling
        loss = training.learn(sample, rate, cooling=falling < 1)
        on_step(training.step, loss)


def _samples(seed: int, start: int, end: int) -> Iterator[Sample]:
    """Batches by number, drawn by another process in the meantime."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        waiting: list[Future[Sample]] = []
        for number in range(start, end):
            while len(waiting) < AHEAD and number + len(waiting) < end:
                waiting.append(pool.submit(draw_sample, seed, number + len(waiting)))
            yield waiting.pop(0).result()

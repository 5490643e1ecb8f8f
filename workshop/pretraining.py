"""Pretrain the network that ships, on synthetic series: ``python -m workshop.pretraining CHECKPOINT``.

A second call goes on from the checkpoint. Windows have pasts of every length, with gaps, and what came after them.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from forecast.durable import replace_file
from forecast.models.shared.building import to_tensors
from forecast.models.shared.pretrained import Pretrained
from forecast.panel.panel import Flags, Floats, Numbers
from forecast.pretrained.features import Features, compute_features, squash
from forecast.pretrained.forecasting import (
    MIRRORED,
    NEWEST_STEPS,
    Network,
    find_sign,
    load_network,
    predict_quantiles,
)
from forecast.pretrained.network import ARCHITECTURE, LEVELS, MIDDLE, build_inputs
from forecast.training.devices import one_thread
from workshop.kind import Counts, Seasons
from workshop.mixing import VERSION, draw_series
from workshop.specialists import SPECIALISTS

SHORTEST = 5  # values of a past
WITHHELD, SECOND_WITHHELD = 0.08, 0.3  # share of windows whose seasons are withheld
FAR, FAR_SEASONS = (
    6,
    2,
)  # steps and seasons ahead, beyond both of which an error counts less than half
CONSTANT = 1e-5  # share of the location; a past of a smaller scale is constant, and teaches nothing
AHEAD = 6  # batches that are drawn while others train
MAX_ERROR, MAX_DISTANCE = (
    20.0,
    5.0,
)  # error, and distance from a teacher, from which on they count no more
# of an outer quantile's distance from the teacher's; that of the median is 1
LEAST_IMPORTANCE = 0.05
SAVE_EVERY = 250  # steps
FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Sample:
    features: Features  # of the pasts
    target: Floats  # [windows, horizon], in scaled units
    weight: Floats  # [windows, horizon], what an error counts: less in the far future, nothing after a constant past
    # [windows, horizon, levels], quantiles of another network, in scaled units
    taught: Floats | None = None


def draw_sample(
    seed: int, number: int, teacher: Network | None = None, recipe: "Recipe | None" = None
) -> Sample:
    """Batch `number` of a pretraining from `seed`; the same two numbers give the same batch."""
    rng = np.random.default_rng([seed, number])
    recipe = recipe or Recipe()
    kept = SPECIALISTS[recipe.specialist]
    sizes, horizons = kept.sizes, kept.horizons
    context, rows, _ = sizes[rng.choice(len(sizes), p=[share for *_, share in sizes])]
    horizon, _ = horizons[rng.choice(len(horizons), p=[share for _, share in horizons])]
    series, seasons = draw_series(rng, rows, context + horizon, kept)
    observed = _observed(rng, rows, context, kept.shortened)
    # what is trained further reads more than a forecast at once
    newest = None if teacher is None else 2 * NEWEST_STEPS if number % 4 == 3 else NEWEST_STEPS
    given = _given_seasons(rng, seasons, observed)
    if teacher is not None:  # its pupil forecasts series below zero by their mirror images
        series = find_sign(series[:, :-horizon], observed)[:, None] * series
    teaches = teacher if recipe.taught > 0 else None
    return sample_of(series, observed, given, horizon, newest, teaches)


def sample_of(
    series: Numbers,
    observed: Flags,
    seasons: Counts,
    horizon: int,
    newest: int | None = None,
    teacher: Network | None = None,
) -> Sample:
    """A batch from series [windows, context + horizon], of whose past some values are observed, [windows, context]."""
    past, future = series[:, :-horizon], series[:, -horizon:]
    features = compute_features(past, observed, seasons, horizon, newest)
    varies = features.scale > CONSTANT * (1e-6 + np.abs(features.location))
    location = features.location[:, None]
    future = np.where(varies[:, None], future, location)  # in units of nothing it would have no end
    far = FAR + FAR_SEASONS * seasons[:, 0]
    weight = varies[:, None] / (1 + np.arange(horizon) / far[:, None])
    weight /= np.maximum(weight.mean(1, keepdims=True), 1e-9)
    taught = None
    if teacher is not None:
        quantiles = predict_quantiles(teacher, past, observed, horizon, seasons)
        of_windows = np.where(varies[:, None], quantiles.reshape(len(past), -1), location)
        taught = _scaled(features, of_windows).reshape(quantiles.shape)
    return Sample(features, _scaled(features, future), weight.astype(np.float32), taught)


def _scaled(features: Features, values: Numbers) -> Floats:
    """Values [windows, ...] in scaled units."""
    distance = values - features.location[:, None]
    return squash(distance / features.scale[:, None]).astype(np.float32)


def _observed(rng: np.random.Generator, rows: int, context: int, shortened: float) -> Flags:
    """Which values of pasts the network sees; always the last one."""
    length = np.exp(rng.uniform(np.log(SHORTEST), np.log(context), rows)).astype(np.int64)
    length = np.where(rng.random(rows) < shortened, length, context)
    step = np.arange(context)
    blank = (
        rng.random((rows, context))
        < np.where(rng.random(rows) < 0.12, rng.uniform(0, 0.4, rows), 0)[:, None]
    )
    start, width = (
        rng.integers(0, context, rows)[:, None],
        rng.integers(1, context // 4, rows)[:, None],
    )
    hole = (step >= start) & (step < start + width) & (rng.random(rows) < 0.05)[:, None]
    observed: Flags = (step >= context - length[:, None]) & ~blank & ~hole
    observed[:, -1] = True
    return observed


def _given_seasons(rng: np.random.Generator, seasons: Seasons, observed: Flags) -> Counts:
    """The seasons as `features_of` takes them, [windows, 3]; some are withheld, as users do not know all."""
    length = observed.shape[1] - observed.argmax(1)
    calendar = np.where(rng.random(len(seasons.season)) < WITHHELD, 1, seasons.season)
    first = np.where(length < calendar, 1, calendar)
    second = np.where(
        (rng.random(len(seasons.season)) < SECOND_WITHHELD) | (first == 1), 0, seasons.second
    )
    return np.stack([first, np.where(length < second, 0, second), calendar], 1)


@dataclass(frozen=True)
class Recipe:
    width: int = 128  # of a state
    blocks: int = 2  # recurrent layers
    seed: int = 0  # of weights and batches
    batches: int = 1_000_000  # distinct ones, after which the first one comes again
    rate: float = 2e-3  # largest learning rate
    warm: int = 500  # steps until it is reached
    average: float = 0.9995  # share that the running average of the weights keeps at each step
    # while the learning rate falls, when the newest weights are the best ones
    cooling_average: float = 0.998
    decay: float = 0.01  # of the weights
    taught: float = 0.5  # share of the distance from the quantiles of a teacher, where there is one, in the loss
    specialist: str = "all"  # for which series: a name of `SPECIALISTS`


class Pretraining:
    """A pretraining under way: the network, the running average of its weights, the optimizer, and steps done."""

    def __init__(self, recipe: Recipe, device: str = "cpu", teacher: Network | None = None) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.device, self.step, self.teacher = recipe, torch.device(device), 0, teacher
        self.network, self.averaged = (
            Pretrained(recipe.width, recipe.blocks).to(self.device) for _ in range(2)
        )
        if teacher is not None:
            self.network.load_state_dict(to_tensors(teacher.weights))
        self.averaged.load_state_dict(self.network.state_dict())
        parameters, rates = self.network.parameters(), (0.9, 0.95)
        self.optimizer = torch.optim.AdamW(
            parameters, recipe.rate, rates, weight_decay=recipe.decay
        )

    def learn(self, sample: Sample, rate: float, cooling: bool = False) -> float:
        """Take one step at a learning rate, which may be falling to nothing; the loss."""
        self.optimizer.param_groups[0]["lr"] = rate
        loss = loss_of(self.network, sample, self.device, self.recipe.taught)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        average = self.recipe.cooling_average if cooling else self.recipe.average
        keep = min(average, self.step / (self.step + 10))
        with torch.no_grad():
            for mean, weight in zip(
                self.averaged.parameters(), self.network.parameters(), strict=True
            ):
                mean.lerp_(weight, 1 - keep)
        return float(loss.detach())

    def run(self, until: int, cool: int) -> Iterator[float]:
        """Train until step `until`, and yield each loss; over the last `cool` of them the rate falls to nothing."""
        for sample in _samples(self.recipe, self.step, until, self.teacher):
            falling = 1.0 if cool <= 0 else min(1.0, max((until - self.step) / cool, 0.01))
            rate = self.recipe.rate * min(1.0, (self.step + 1) / self.recipe.warm) * falling
            yield self.learn(sample, rate, cooling=falling < 1)

    def write(self, path: Path) -> None:
        parts = {
            name: getattr(self, name).state_dict() for name in ("network", "averaged", "optimizer")
        }
        file = io.BytesIO()
        torch.save({"step": self.step, **parts}, file)
        replace_file(path, file.getvalue())

    def read(self, path: Path) -> None:
        parts = torch.load(path, self.device, weights_only=True)
        self.step = parts.pop("step")
        for name, state in parts.items():
            getattr(self, name).load_state_dict(state)

    def export(self, path: Path, cool: int) -> None:
        """Write the averaged weights in half precision, and beside them how they were made, as JSON."""
        arrays = {
            name: array.half().contiguous()
            for name, array in self.averaged.cpu().state_dict().items()
        }
        data = save(
            arrays, {"architecture": str(MIRRORED if self.teacher is None else ARCHITECTURE)}
        )
        digest, recipe = hashlib.sha256(data).hexdigest(), asdict(self.recipe)
        made = {
            "sha256": digest,
            "generator": VERSION,
            "steps": self.step,
            "cool": cool,
            "recipe": recipe,
        }
        made |= {} if self.teacher is None else {"teacher": self.teacher.hash}
        replace_file(path, data)
        replace_file(path.with_suffix(".json"), json.dumps(made, indent=2).encode() + b"\n")


def loss_of(
    network: nn.Module, sample: Sample, device: torch.device, share: float = Recipe.taught
) -> Tensor:
    """Mean pinball loss in units of seasonal errors; with a teacher a share is the distance from its quantiles."""
    inputs = [torch.from_numpy(array).to(device) for array in build_inputs(sample.features)]
    target, weight = (
        torch.from_numpy(array).to(device) for array in (sample.target, sample.weight)
    )
    unit, levels = inputs[-1][:, None, None], torch.tensor(LEVELS, device=device)
    quantiles = network(*inputs)  # [windows, horizon, levels]
    error = (target[..., None] - quantiles) / unit
    pinball = torch.maximum(levels * error, (levels - 1) * error).clamp(max=MAX_ERROR)
    loss: Tensor = 2 * (pinball.mean(-1) * weight).mean()
    if sample.taught is None:
        return loss
    taught = torch.from_numpy(sample.taught).to(device)
    width = (
        taught[..., MIDDLE + 2 :][..., :1] - taught[..., MIDDLE - 2 :][..., :1]
    ) / unit  # of 80 %
    importance = (4 * levels * (1 - levels)).clamp(min=LEAST_IMPORTANCE)
    apart = ((quantiles - taught) / unit).abs() / (1 + width.abs()) * importance / importance.mean()
    distance: Tensor = (apart.mean(-1).clamp(max=MAX_DISTANCE) * weight).mean()
    return (1 - share) * loss + share * distance


def _samples(recipe: Recipe, start: int, end: int, teacher: Network | None) -> Iterator[Sample]:
    """Batches by number, drawn by another process in the meantime."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        waiting: list[Future[Sample]] = []
        for step in range(start, end):
            while len(waiting) < AHEAD and step + len(waiting) < end:
                number = (step + len(waiting)) % recipe.batches
                waiting.append(pool.submit(draw_sample, recipe.seed, number, teacher, recipe))
            yield waiting.pop(0).result()


PART = (click.Choice([field.name for field in fields(Recipe)]), str)


@click.command(context_settings={"show_default": True})
@click.argument("checkpoint", type=FILE)
@click.option("--steps", default=30_000, help="train until this step")
@click.option("--cool", default=0, help="last steps, over which the learning rate falls to nothing")
@click.option(
    "--recipe",
    "changes",
    multiple=True,
    type=PART,
    metavar="NAME VALUE",
    help="a part of the recipe",
)
@click.option(
    "--teacher",
    "taught_by",
    type=FILE,
    help="weights to start from, whose quantiles are learned as well",
)
@click.option("--device", default="cpu", help="cpu or cuda")
@click.option("--weights", type=FILE, help="write the averaged weights here")
def main(
    checkpoint: Path,
    steps: int,
    cool: int,
    changes: tuple[tuple[str, str], ...],
    taught_by: Path | None,
    device: str,
    weights: Path | None,
) -> None:
    """Train the network that ships, on synthetic series alone, and write a checkpoint now and then."""
    recipe = Recipe(**{name: type(getattr(Recipe, name))(value) for name, value in changes})
    training = Pretraining(
        recipe, device, None if taught_by is None else load_network(taught_by.read_bytes())
    )
    if checkpoint.exists():
        training.read(checkpoint)
    recent: list[float] = []
    with one_thread():
        for loss in training.run(steps, cool):
            recent.append(loss)
            if training.step % SAVE_EVERY == 0 or training.step == steps:
                training.write(checkpoint)
                click.echo(f"{training.step} {sum(recent) / len(recent):.4f}")
                recent.clear()
    if weights is not None:
        training.export(weights, cool)


if __name__ == "__main__":
    main()

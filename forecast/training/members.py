"""Several networks of one plan, differing in their seed, whose median is the forecast."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from numpy.typing import NDArray
from torch import Tensor

from forecast.models import model_class
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.series.transforms import undo_power
from forecast.series.windows import Batch, Windows
from forecast.settings import TrainSettings
from forecast.training.devices import threads
from forecast.training.loop import Draw, Progress, Trained, train
from forecast.training.plan import Plan

PREDICT_BATCH = 128


def build(settings: TrainSettings, shape: Shape, member: int = 0) -> RecurrentModel:
    """A new network, initialised by the seed and the member's number, on the CPU."""
    network = model_class(settings.model)
    knobs = network.Knobs.check(settings.params or {}, f"model {settings.model}: ")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed + 104_729 * member)
        return network(knobs, shape)


def rebuild(settings: TrainSettings, shape: Shape, weights: dict[str, Any], device: torch.device) -> RecurrentModel:
    """A network with saved weights, ready to predict."""
    network = build(settings, shape)
    network.load_state_dict(weights)
    return network.to(device).eval()


def predict_quantiles(
    networks: list[RecurrentModel],
    windows: Windows,
    series: Tensor,
    position: Tensor,
    *,
    margins: NDArray[np.float32],
    power: float,
    seed: int,
) -> NDArray[np.float64]:
    """Quantiles of windows in the target's own unit, the median over the networks moved by the margins.

    Windows go through in batches of one size, filled up where need be: a forecast then does not depend, not even in
    its last bit, on which others are made with it.

    Parameters
    ----------
    series, position : [windows]
    margins : [horizon, levels], of calibration, in units of each window's scale
    power : exponent of the target's transform, undone here
    seed : of models that sample paths

    Returns
    -------
    [windows, horizon, levels], ascending along the last axis
    """
    parts = []
    for start in range(0, len(series), PREDICT_BATCH):
        batch = windows.batch(series[start : start + PREDICT_BATCH], position[start : start + PREDICT_BATCH])
        rows = len(batch)
        full = batch.padded(PREDICT_BATCH)
        members = []
        for network in networks:
            generator = torch.Generator(device=windows.device).manual_seed(seed)
            with torch.no_grad():
                members.append(network.quantiles(full, network.shape.levels, generator)[:rows].cpu().double().numpy())
        scaled = moved_by(median_of_members(members), margins)
        location, scale, weight = (
            part[:rows].cpu().double().numpy() for part in (full.location, full.scale, full.weight)
        )
        # a series that never moved is forecast not to move
        scaled = np.where((weight > 0)[:, None, None], scaled, 0.0)
        parts.append(undo_power(location[..., None] + scale[..., None] * scaled, power))
    return np.concatenate(parts)


def median_of_members(members: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The median over members of each quantile; it keeps them in order."""
    return members[0] if len(members) == 1 else np.median(np.stack(members), axis=0)


def moved_by(quantiles: NDArray[np.float64], margins: NDArray[np.float32]) -> NDArray[np.float64]:
    """Quantiles moved by margins and put in order again, outwards from the middle one, [..., levels]."""
    moved = quantiles + margins
    middle = moved.shape[-1] // 2
    upper = np.maximum.accumulate(moved[..., middle:], -1)
    lower = np.minimum.accumulate(moved[..., middle::-1], -1)[..., ::-1]
    return np.concatenate([lower[..., :-1], upper], -1)


def train_members(
    settings: TrainSettings,
    shape: Shape,
    draw: Draw,
    validation: list[Batch],
    plan: Plan,
    device: torch.device,
    *,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> list[Trained]:
    """Train all members of the plan, `settings.jobs` side by side."""

    def one(member: int, report: Callable[[Progress], None] | None, last: float | None) -> Trained:
        network = build(settings, shape, member).to(device)
        with threads(plan.threads), torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(settings.seed + member)  # dropout draws from the global generator
            return train(network, draw, validation, settings, plan, member=member, deadline=last, on_step=report)

    if settings.jobs == 1 or plan.members == 1:
        trained = []
        for member in range(plan.members):
            # each of those that are left gets the same share of the time that is left
            now = time.monotonic()
            last = None if deadline is None else now + (deadline - now) / (plan.members - member)
            trained.append(one(member, on_step, last))
        return trained
    # a progress bar cannot follow into other processes
    return list(Parallel(n_jobs=settings.jobs)(delayed(one)(member, None, deadline) for member in range(plan.members)))

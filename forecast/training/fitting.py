"""Fit networks to the windows of a panel: what is held out, what is drawn, with which plan."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import Unavailable
from forecast.models.shared.model import Shape
from forecast.series.windows import Batch, Windows
from forecast.settings import TrainSettings
from forecast.training.devices import out_of_memory, threads
from forecast.training.loop import Draw, Progress, Trained
from forecast.training.members import build, median_of_members, train_members
from forecast.training.plan import Plan, default_batch_size, estimate_step, make_plan, most_threads

log = logging.getLogger("forecast")

VALIDATION_WINDOWS, ORIGINS = 1024, 32  # windows held out in all, and of one series
HELD_SHARE = 10  # a long series holds out a tenth of its past, a short one a horizon


@dataclass(frozen=True)
class HeldOut:
    """What was held out, and the median over members of the quantiles that the best weights gave it, scaled by window.

    Attributes
    ----------
    quantiles : [windows, horizon, levels]
    actual, observed : [windows, horizon]
    """

    quantiles: NDArray[np.float64]
    actual: NDArray[np.float64]
    observed: NDArray[np.bool_]


@dataclass(frozen=True)
class Spans:
    """Which windows of each series train.

    Attributes
    ----------
    first : [series], lowest position a window is drawn at
    train_end : [series], past slots that are not held out
    end : [series], past slots
    horizon : steps
    """

    first: NDArray[np.int64]
    train_end: NDArray[np.int64]
    end: NDArray[np.int64]
    horizon: int

    @property
    def held(self) -> NDArray[np.bool_]:
        """[series], whether values are held out."""
        return self.train_end < self.end

    def last(self, everything: bool) -> NDArray[np.int64]:
        """[series], highest position: a whole horizon before the end, or less where the series is short."""
        end = self.end if everything else self.train_end
        return np.maximum(end - self.horizon, np.minimum(end - 1, (end + 1) // 2))

    def count(self, everything: bool) -> NDArray[np.int64]:
        """[series], windows that can be drawn."""
        return np.maximum(self.last(everything) - np.minimum(self.first, self.last(everything)) + 1, 0) * (
            self.last(everything) >= 1
        )


def choose_spans(lengths: NDArray[np.int64], lookback: int, horizon: int, season: int) -> Spans:
    """Hold out the newest values of each series that can spare them; validation is by time.

    Parameters
    ----------
    lengths : [series], past slots
    season : the shortest one, 1 where there is none
    """
    wanted = np.maximum(horizon, np.minimum(lengths // HELD_SHARE, 10 * horizon))
    spare = lengths - wanted >= horizon + max(season, min(lookback, 8))
    return Spans(
        first=np.full(len(lengths), max(1, min(lookback // 2, max(season, 8)))),
        train_end=np.where(spare, lengths - wanted, lengths),
        end=lengths,
        horizon=horizon,
    )


def sampler(windows: Windows, spans: Spans) -> Draw:
    """Draw windows: first a series, each as likely as another, then a place in it."""
    device = windows.device

    def table(everything: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        count = spans.count(everything)
        low = np.minimum(spans.first, spans.last(everything))
        end = spans.end if everything else spans.train_end
        columns = np.flatnonzero(count), np.maximum(low, 1), count, end
        a, b, c, d = (torch.from_numpy(np.ascontiguousarray(column)) for column in columns)
        return a, b, c, d

    tables = {everything: table(everything) for everything in (False, True)}

    def draw(generator: torch.Generator, size: int, everything: bool) -> Batch:
        usable, low, count, end = tables[everything]
        series = usable[torch.randint(len(usable), (size,), generator=generator)]
        share = torch.rand(size, generator=generator, dtype=torch.float64)
        position = low[series] + (share * count[series]).long()
        position = torch.minimum(position, low[series] + count[series] - 1)
        return windows.batch(series.to(device), position.to(device), end[series].to(device))

    return draw


def validation_batches(windows: Windows, spans: Spans, size: int = 256) -> list[Batch]:
    """Held-out windows: origins spread evenly over what each series holds out, the newest always among them."""
    held = np.flatnonzero(spans.held)
    if not len(held):
        return []
    if len(held) > VALIDATION_WINDOWS:
        held = held[np.linspace(0, len(held) - 1, VALIDATION_WINDOWS).astype(np.int64)]
    origins = int(np.clip(VALIDATION_WINDOWS // len(held), 1, ORIGINS))
    newest, oldest = spans.end[held] - spans.horizon, spans.train_end[held]
    steps = np.linspace(0, 1, origins) if origins > 1 else np.zeros(1)
    position = newest[:, None] - np.round(steps * (newest - oldest)[:, None]).astype(np.int64)  # [series, origins]
    pairs = np.unique(np.stack([np.repeat(held, origins), position.ravel()], 1), axis=0)
    index, place = (torch.from_numpy(np.ascontiguousarray(column)).to(windows.device) for column in pairs.T)
    return [windows.batch(index[c : c + size], place[c : c + size]) for c in range(0, len(pairs), size)]


def fit_networks(
    windows: Windows,
    spans: Spans,
    shape: Shape,
    settings: TrainSettings,
    *,
    plan: Plan | None = None,
    deadline: float | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> tuple[Plan, list[Trained], HeldOut]:
    """Plan and train; the plan that comes back repeats the fit.

    Parameters
    ----------
    plan : to be repeated; by default one is made
    deadline : `time.monotonic()` at which training must be over

    Raises
    ------
    Unavailable
        If memory runs out even with the smallest batch.
    """
    draw, validation = sampler(windows, spans), validation_batches(windows, spans)
    made = plan or _plan(windows, spans, shape, settings, draw, bool(validation), deadline)
    while True:
        try:
            trained = train_members(
                settings, shape, draw, validation, made, windows.device, deadline=deadline, on_step=on_step
            )
            break
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if made.batch_size == 1:
                raise Unavailable("memory ran out at one window a step; pass a smaller --lookback") from None
            made = made.model_copy(update={"batch_size": made.batch_size // 2})
            log.warning("memory ran out; training starts again with %d windows a step", made.batch_size)
    if any(member.cut is not None for member in trained):
        made = made.model_copy(update={"cuts": tuple(member.cut for member in trained)})
    return made, trained, _held_out(validation, trained)


def _held_out(validation: list[Batch], trained: list[Trained]) -> HeldOut:
    quantiles = median_of_members([member.held_out.double().numpy() for member in trained])
    none = torch.zeros(quantiles.shape[:2])
    actual = torch.cat([batch.target for batch in validation]) if validation else none
    observed = (
        torch.cat([batch.target_mask * (batch.weight > 0)[:, None] for batch in validation]) if validation else none
    )
    return HeldOut(quantiles, actual.cpu().double().numpy(), observed.cpu().numpy() > 0)


def _plan(
    windows: Windows,
    spans: Spans,
    shape: Shape,
    settings: TrainSettings,
    draw: Draw,
    held_out: bool,
    deadline: float | None,
) -> Plan:
    count = int(spans.count(False).sum())
    generator = torch.Generator().manual_seed(settings.seed)
    network = build(settings, shape).to(windows.device)
    probe = draw(generator, 32, False)
    seconds = None if deadline is None else max(deadline - time.monotonic(), 0.5)

    def estimate(size: int) -> float:
        return estimate_step(network, probe, size)

    size = settings.batch_size or default_batch_size(count, estimate, seconds)
    step, count_threads = estimate(size), 1
    if deadline is not None and settings.steps is None:
        tried = {n: _measure(windows, shape, settings, draw, size, n) for n in sorted({1, most_threads()})}
        count_threads = min(tried, key=lambda n: tried[n])
        step, seconds = tried[count_threads], max(deadline - time.monotonic(), 0.5)
    return make_plan(
        count,
        step,
        held_out=held_out,
        batch_size=size,
        steps=settings.steps,
        seconds=None if seconds is None else 0.92 * seconds,  # the rest: validation, and a machine that is busy
        members=settings.members or 1,
        threads=count_threads,
    )


def _measure(windows: Windows, shape: Shape, settings: TrainSettings, draw: Draw, size: int, count: int) -> float:
    """Seconds of one training step with `count` threads, the median of a few; the network is thrown away."""
    network = build(settings, shape).to(windows.device).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(settings.seed)
    times: list[float] = []
    with threads(count):
        while len(times) < 3 or (len(times) < 8 and sum(times) < 1.0):
            start = time.monotonic()
            loss = network.loss(draw(generator, size, False))
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
            times.append(time.monotonic() - start)
    return float(np.median(times[1:]))  # the first one pays for what is set up once

"""Which windows of a panel train, and which are held out."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.panel.windows import Batch, Windows
from forecast.training.loop import Draw
from forecast.training.members import Places

VALIDATION_WINDOWS, ORIGINS = 1024, 128  # windows held out in all, and of one series
HELD_SHARE = 10  # a long series holds out a tenth of its past, a short one a horizon
HORIZONS, ENOUGH = 10, 20  # horizons that a series holds out at the most, or as many as make so many of all series
FEW_SERIES = 20  # fewer series than this hold out more of each, so that there is something to judge by


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
    most = horizon * max(HORIZONS, -(-ENOUGH // max(len(lengths), 1)))
    wanted = np.maximum(horizon, np.minimum(lengths // HELD_SHARE, most))
    if len(lengths) < FEW_SERIES:
        wanted = np.maximum(wanted, np.minimum(lengths // 4, most))
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


def held_out_places(spans: Spans) -> Places:
    """Held-out windows: origins spread evenly over what each series holds out, the newest always among them."""
    held = np.flatnonzero(spans.held)
    if not len(held):
        return held, held
    if len(held) > VALIDATION_WINDOWS:
        held = held[np.linspace(0, len(held) - 1, VALIDATION_WINDOWS).astype(np.int64)]
    origins = int(np.clip(VALIDATION_WINDOWS // len(held), 1, ORIGINS))
    newest, oldest = spans.end[held] - spans.horizon, spans.train_end[held]
    steps = np.linspace(0, 1, origins) if origins > 1 else np.zeros(1)
    position = newest[:, None] - np.round(steps * (newest - oldest)[:, None]).astype(np.int64)  # [series, origins]
    pairs = np.unique(np.stack([np.repeat(held, origins), position.ravel()], 1), axis=0)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


def batches_of(windows: Windows, places: Places, size: int = 256) -> list[Batch]:
    """The windows at `places`, gathered in batches."""
    index, place = (torch.from_numpy(part).to(windows.device) for part in places)
    return [windows.batch(index[c : c + size], place[c : c + size]) for c in range(0, len(index), size)]

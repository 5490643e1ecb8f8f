"""Split the windows of a panel by time: which of them train, and which validate."""

from dataclasses import dataclass

import numpy as np

from forecast.logs import log
from forecast.panel.panel import Flags, Integers
from forecast.windows.windows import WindowIndex

VALIDATION_WINDOWS = 1024  # of all series
ORIGINS = 128  # validation windows of a series
HELD_OUT_SHARE = 10  # a long series holds out a tenth of its past, a short one a horizon
HORIZONS = 10  # that a series holds out at most
ENOUGH_HORIZONS = 20  # or so many that all series hold out these
FEW_SERIES = 20  # fewer series than this hold out more of each, up to a quarter


@dataclass(frozen=True)
class Split:
    """Which positions of each series train and which validate; arrays are [series]."""

    first: Integers  # lowest position a window is drawn at
    train_end: Integers  # past slots that are not held out
    end: Integers  # past slots
    horizon: int  # steps
    oldest: Integers  # lowest position of a window that validates

    @property
    def held_out(self) -> Flags:
        """[series], whether a window of theirs validates."""
        return self.oldest <= self.end - self.horizon

    def last(self, held_out_too: bool) -> Integers:
        """[series], highest position: a horizon before the end, or less in a short series."""
        end = self.end if held_out_too else self.train_end
        half = np.minimum(end - 1, (end + 1) // 2)
        return np.maximum(end - self.horizon, half)

    def count(self, held_out_too: bool) -> Integers:
        """[series], windows that can be drawn."""
        last = self.last(held_out_too)
        count = np.maximum(last - np.minimum(self.first, last) + 1, 0)
        return count * (last >= 1)


def split_windows(
    lengths: Integers,
    lookback: int,
    horizon: int,
    season: int,
    trains: bool = True,
    gaps: Integers | None = None,
    unseen: int | None = None,
) -> Split:
    """Hold out the newest values of each series that is long enough, of `lengths` past slots.

    Where series have dates, no network may train on a date at which others validate, since what
    moves all series at once would be known. All are then cut at one date, the median of those at
    which each alone would be. `gaps` are then the slots after each series' last observed value, and
    `unseen` the newest dates that networks of an earlier fit have not seen: no more are held out,
    unless each series alone would hold out more.
    """
    enough = -(-ENOUGH_HORIZONS // max(len(lengths), 1))
    most = horizon * max(HORIZONS, enough)
    held_out = np.maximum(horizon, np.minimum(lengths // HELD_OUT_SHARE, most))
    if len(lengths) < FEW_SERIES:
        held_out = np.maximum(held_out, np.minimum(lengths // 4, most))

    least = max(season, min(lookback, 8))
    fewest = horizon * trains + least
    long_enough = lengths - held_out >= fewest
    train_end = np.where(long_enough, lengths - held_out, lengths)
    if gaps is not None and long_enough.any():
        dates = int(np.median(held_out[long_enough]))
        ended = int(np.median(gaps[long_enough]))
        if dates <= ended <= lengths.max() - fewest - dates:
            problem = "most series ended before the dates that would be held out"
            log.info("%s: they are older, and most have values", problem)
            dates += ended
        if unseen is not None and unseen >= held_out[long_enough].min():  # else they start anew
            dates = min(dates, unseen)
        train_end = np.maximum(lengths - dates, 0)
    first = max(1, min(lookback // 2, max(season, 8)))
    return Split(
        first=np.full(len(lengths), first),
        train_end=train_end,
        end=lengths,
        horizon=horizon,
        oldest=np.maximum(train_end, least),
    )


def validation_windows(split: Split) -> WindowIndex:
    """Windows at origins spread evenly over what each series holds out, the newest among them."""
    series = np.flatnonzero(split.held_out)
    if not len(series):
        return series, series
    if len(series) > VALIDATION_WINDOWS:
        chosen = np.linspace(0, len(series) - 1, VALIDATION_WINDOWS).astype(np.int64)
        series = series[chosen]
    origins = int(np.clip(VALIDATION_WINDOWS // len(series), 1, ORIGINS))
    newest = split.end[series] - split.horizon
    reach = newest - split.oldest[series]
    back = np.round(np.linspace(0, 1, origins) * reach[:, None]).astype(np.int64)
    position = newest[:, None] - back
    pairs = np.stack([np.repeat(series, origins), position.ravel()], 1)
    pairs = np.unique(pairs, axis=0)
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

"""Split the windows of a panel by time: which of them train, and which validate."""

from dataclasses import dataclass

import numpy as np

from forecast.logs import log
from forecast.panel.panel import Flags, Integers
from forecast.windows.windows import WindowIndex

VALIDATION_WINDOWS = 1024  # of all series together, at most
ORIGINS = 128  # validation windows of one series, at most
HELD_OUT_SHARE = 10  # a long series holds out a tenth of its past, a short one a horizon
HORIZONS = 10  # most horizons that a series holds out, if there are several series
ENOUGH_HORIZONS = 20  # with few series it may be more: so many horizons divided among the series
FEW_SPLIT_SERIES = 20  # with fewer series, each holds out more, up to a quarter of its past


@dataclass(frozen=True)
class Split:
    """Which positions of each series train and which validate; arrays are [series]."""

    first: Integers  # lowest position at which a training window is drawn
    train_end: Integers  # number of past slots that are not held out
    end: Integers  # number of past slots
    horizon: int  # steps
    oldest: Integers  # lowest position of a validation window

    @property
    def held_out(self) -> Flags:
        """[series], whether a series has validation windows."""
        return self.oldest <= self.end - self.horizon

    def last(self, held_out_too: bool) -> Integers:
        """[series], the highest position: a horizon before the end, or less in a short series."""
        end = self.end if held_out_too else self.train_end
        half = np.minimum(end - 1, (end + 1) // 2)
        return np.maximum(end - self.horizon, half)

    def count(self, held_out_too: bool) -> Integers:
        """[series], how many windows can be drawn."""
        last = self.last(held_out_too)
        first = np.minimum(self.first, last)
        count = np.maximum(last - first + 1, 0)
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

    Where series have dates, no network may train on dates on which others validate, since it would
    then know events that move all series at once. All series are therefore cut at the same date:
    the median of the dates at which each series alone would be cut. In that case `gaps` are the
    slots after each series' last observed value, and `unseen` is how many of the newest dates the
    networks of an earlier fit have not seen. No more dates than these are held out, unless each
    series alone would hold out more.
    """
    enough = -(-ENOUGH_HORIZONS // max(len(lengths), 1))
    most = horizon * max(HORIZONS, enough)
    held_out = np.maximum(horizon, np.minimum(lengths // HELD_OUT_SHARE, most))
    if len(lengths) < FEW_SPLIT_SERIES:
        held_out = np.maximum(held_out, np.minimum(lengths // 4, most))

    least = max(season, min(lookback, 8))
    fewest = horizon * trains + least
    cuts = lengths - held_out
    long_enough = cuts >= fewest
    train_end = np.where(long_enough, cuts, lengths)
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
    held_out = np.flatnonzero(split.held_out)
    return spread_windows(held_out, split.end - split.horizon, split.oldest, inner=False)


def spread_windows(series: Integers, first: Integers, last: Integers, inner: bool) -> WindowIndex:
    """Windows at origins spread evenly over some series, ordered by series, then by time.

    The origins of a series lie between the positions `first` and `last` [all series]; these are
    origins themselves unless all are `inner` ones.
    """
    if len(series) > VALIDATION_WINDOWS:
        chosen = np.linspace(0, len(series) - 1, VALIDATION_WINDOWS).astype(np.int64)
        series = series[chosen]
    origins = int(np.clip(VALIDATION_WINDOWS // max(len(series), 1), 1, ORIGINS))
    shares = (np.arange(origins) + 0.5) / origins if inner else np.linspace(0, 1, origins)
    start = first[series, None]
    room = last[series, None] - start
    steps = np.round(shares * room).astype(np.int64)
    positions = start + steps
    pairs = np.stack([np.repeat(series, origins), positions.ravel()], 1)
    unique_pairs = np.unique(pairs, axis=0)
    series, position = np.ascontiguousarray(unique_pairs.T)
    return series, position

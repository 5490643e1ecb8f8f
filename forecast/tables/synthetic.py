"""Synthetic series by seed: seasons, walks, counts, noise."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from forecast.errors import UsageError, did_you_mean
from forecast.tables.table import Numbers

Array = NDArray[Any]


def _waves(generator: Generator, period: float, length: int) -> Numbers:
    """[length], a smooth season of amplitude about 1, its shape and phase drawn."""
    order = np.arange(1, 4)
    phases = generator.uniform(0, 2 * np.pi, len(order))
    steps = np.arange(length)[:, None]
    angles = 2 * np.pi * steps * order / period + phases  # [length, harmonics]
    return np.asarray((np.sin(angles) / order).sum(axis=1))


def _seasonal(generator: Generator, length: int) -> Array:
    level = generator.uniform(50, 500)
    growth = generator.uniform(0.001, 0.005) * np.arange(length)
    season = generator.uniform(0.1, 0.3) * _waves(generator, 12, length)
    return level * (1 + growth + season + 0.03 * generator.standard_normal(length))


def _multi_season(generator: Generator, length: int) -> Array:
    level = generator.uniform(50, 500)
    day = 0.2 * _waves(generator, 24, length)
    week = 0.1 * _waves(generator, 24 * 7, length)
    return level * (1 + day + week + 0.03 * generator.standard_normal(length))


def _counts(generator: Generator, length: int) -> Array:
    chance = generator.uniform(0.1, 0.3)
    mean_size = generator.uniform(2, 6)
    sizes = 1 + generator.poisson(mean_size - 1, length)
    return np.where(generator.random(length) < chance, sizes, 0)


class _Kind(NamedTuple):
    about: str
    start: str  # written as finely as the step of the calendar: 2000-01 is followed by 2000-02
    length: int
    draw: Callable[[Generator, int], Array]  # [length]


_KINDS = {
    "seasonal": _Kind("monthly: trend, yearly season and noise", "2000-01", 144, _seasonal),
    "random-walk": _Kind(
        "daily: a random walk",
        "2020-01-01",
        730,
        lambda generator, length: 100 + np.cumsum(generator.standard_normal(length)),
    ),
    "multi-season": _Kind(
        "hourly: a daily and a weekly season", "2024-01-01T00", 1344, _multi_season
    ),
    "intermittent": _Kind("daily counts, most of them zero", "2020-01-01", 730, _counts),
    "noise": _Kind(
        "daily: independent noise around a level",
        "2020-01-01",
        730,
        lambda generator, length: 100 + 10 * generator.standard_normal(length),
    ),
}

SYNTHETIC_KINDS: dict[str, str] = {name: kind.about for name, kind in _KINDS.items()}


def _require(name: str, value: int, least: int, most: int | None = None) -> None:
    if value < least or (most is not None and value > most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise UsageError(f"{name}={value}: must be {bounds}")


def synthesize(
    kind: str, *, series: int = 1, length: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Make a table of synthetic series, the same for the same arguments.

    `kind` is a key of `SYNTHETIC_KINDS`, `length` the steps of each series; the first do not depend on
    how many there are. The columns are ``time, value`` for one series, and ``series, time, value``,
    with ids ``s001, s002, ...``, for several, on a grid without gaps. UsageError if the kind is
    unknown, a number is out of bounds, or the times would run past the year 9999.
    """
    if kind not in _KINDS:
        raise UsageError(
            f"unknown kind of synthetic series '{kind}'{did_you_mean(kind, list(_KINDS))} (kinds: "
            f"{', '.join(_KINDS)})"
        )
    recipe = _KINDS[kind]
    start = np.datetime64(recipe.start)
    # the last year that ISO dates of four digits can write
    last = np.datetime64("9999-12-31T23").astype(start.dtype)
    longest = int((last - start).astype(np.int64)) + 1
    length = recipe.length if length is None else length
    _require("series", series, 1)
    _require("length", length, 1, longest)
    _require("seed", seed, 0)

    seeds = np.random.SeedSequence(seed).spawn(series)
    values = np.concatenate([recipe.draw(default_rng(own), length) for own in seeds])
    frame = pd.DataFrame({"value": np.round(values, 3)})
    times = (start + np.arange(length)).astype("datetime64[s]")
    frame.insert(0, "time", np.tile(times, series))
    if series > 1:
        ids = [f"s{number:03d}" for number in range(1, series + 1)]
        frame.insert(0, "series", np.repeat(ids, length))
    return frame

"""Synthetic series by seed, for examples and tests: seasons, walks, counts, regimes and the toy of the tutorials."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import UsageError, did_you_mean

Array = NDArray[Any]
Floats = NDArray[np.float64]

TOY_STEPS = 10
TOY_COLUMNS = ("x1", "x2", "x3", "x4", "x5")
DECIMALS = 3
LAST_TIME = "9999-12-31T23"  # the last year that ISO dates of four digits can write


def _waves(generator: np.random.Generator, period: float, length: int, harmonics: int) -> Floats:
    """[length], a smooth season of the given period and of amplitude about 1, its shape and phase drawn."""
    phases = generator.uniform(0, 2 * np.pi, harmonics)
    order = np.arange(1, harmonics + 1)
    angles = 2 * np.pi * np.arange(length)[:, None] * order / period + phases  # [length, harmonics]
    return np.asarray((np.sin(angles) / order).sum(axis=1))


def _drawn(kind: str, generator: np.random.Generator, length: int) -> Array:
    """[length], or [length, columns] of a kind with covariates."""
    level = 100.0
    if kind in ("seasonal", "multi-season", "regime"):
        level = generator.uniform(50, 500)
    if kind == "seasonal":
        growth = generator.uniform(0.001, 0.005) * np.arange(length)
        season = generator.uniform(0.1, 0.3) * _waves(generator, 12, length, harmonics=3)
        return level * (1 + growth + season + 0.03 * generator.standard_normal(length))
    if kind == "multi-season":
        day = 0.2 * _waves(generator, 24, length, harmonics=3)
        week = 0.1 * _waves(generator, 24 * 7, length, harmonics=3)
        return level * (1 + day + week + 0.03 * generator.standard_normal(length))
    if kind == "regime":
        levels = level * np.array([1.0, generator.uniform(1.3, 1.8)])
        deviations = level * np.array([0.02, 0.08])
        regime = (
            np.cumsum(generator.random(length) < 1 / 60) % 2
        )  # a regime lasts 60 steps on average
        return np.asarray(levels[regime] + deviations[regime] * generator.standard_normal(length))
    if kind == "intermittent":
        chance, mean_size = generator.uniform(0.1, 0.3), generator.uniform(2, 6)
        sizes = 1 + generator.poisson(mean_size - 1, length)
        return np.where(generator.random(length) < chance, sizes, 0)
    if kind == "toy":
        inputs = generator.standard_normal((TOY_STEPS + length, len(TOY_COLUMNS)))
        sums = np.convolve(
            inputs.mean(axis=1), np.ones(TOY_STEPS), mode="valid"
        )  # [length + 1], of 10 rows each
        # published one step late: each value stands beside the inputs after the ten that it sums
        return np.column_stack([inputs[TOY_STEPS:], sums[:length]])
    if kind == "constant":
        return np.full(length, generator.integers(10, 100))
    noise = generator.standard_normal(length)
    return level + (np.cumsum(noise) if kind == "random-walk" else 10 * noise)


class _Kind(NamedTuple):
    about: str
    start: str  # written as finely as the step of the calendar: 2000-01 is followed by 2000-02
    length: int
    covariates: tuple[str, ...] = ()


_KINDS = {
    "seasonal": _Kind("monthly: trend, yearly season and noise", "2000-01", 144),
    "random-walk": _Kind("daily: a random walk", "2020-01-01", 730),
    "multi-season": _Kind("hourly: a daily and a weekly season", "2024-01-01T00", 1344),
    "intermittent": _Kind("daily counts, most of them zero", "2020-01-01", 730),
    "regime": _Kind("daily: level and spread jump between two regimes", "2020-01-01", 730),
    "toy": _Kind(
        "daily: sum over the 10 days before of the mean of 5 inputs",
        "2020-01-01",
        2000,
        TOY_COLUMNS,
    ),
    "constant": _Kind("daily: one whole number for ever", "2020-01-01", 365),
    "noise": _Kind("daily: independent noise around a level", "2020-01-01", 730),
}

KINDS: dict[str, str] = {name: kind.about for name, kind in _KINDS.items()}


def _kind(name: str) -> _Kind:
    if name not in _KINDS:
        hint = did_you_mean(name, list(_KINDS))
        raise UsageError(
            f"unknown kind of synthetic series '{name}'{hint} (kinds: {', '.join(_KINDS)})"
        )
    return _KINDS[name]


def _require(name: str, value: int, least: int, most: int | None = None) -> None:
    if not least <= value <= (value if most is None else most):
        bounds = f"at least {least}" if most is None else f"between {least} and {most}"
        raise UsageError(f"{name}={value}: must be {bounds}")


def synthesize(
    kind: str, *, series: int = 1, length: int | None = None, seed: int = 0
) -> pd.DataFrame:
    """Make a table of synthetic series, the same for the same arguments; the first do not depend on how many there are.

    `kind` is a key of `KINDS`, `length` the steps of each series. The columns are ``time, value`` for one series, and
    ``series, time, value``, with ids ``s001, s002, ...``, for several, on a grid without gaps. A ``toy`` has ``x1 ...
    x5`` before `value`, the sum over the ten rows before its own of the mean of the five. UsageError if the kind is
    unknown, a number is out of bounds, or the times would run past the year 9999.
    """
    recipe = _kind(kind)
    start = np.datetime64(recipe.start)
    longest = int((np.datetime64(LAST_TIME).astype(start.dtype) - start).astype(np.int64)) + 1
    length = recipe.length if length is None else length
    _require("series", series, 1)
    _require("length", length, 1, longest)
    _require("seed", seed, 0)

    generators = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(series))
    drawn = np.concatenate(
        [_drawn(kind, generator, length).reshape(length, -1) for generator in generators]
    )
    drawn = drawn if recipe.covariates else np.round(drawn, DECIMALS)
    times = (start + np.arange(length)).astype("datetime64[s]")
    ids = (
        {"series": np.repeat([f"s{number:03d}" for number in range(1, series + 1)], length)}
        if series > 1
        else {}
    )
    values = dict(zip((*recipe.covariates, "value"), drawn.T, strict=True))
    return pd.DataFrame({**ids, "time": np.tile(times, series), **values})


def table_settings(kind: str) -> dict[str, tuple[str, ...]]:
    """The table settings that a fit of `synthesize(kind)` needs: ``{"past": ("x1", ..., "x5")}`` for ``toy``."""
    covariates = _kind(kind).covariates
    return {"past": covariates} if covariates else {}


def toy_windows(
    n: int, *, steps: int = 10, features: int = 5, seed: int = 0
) -> tuple[Floats, Floats]:
    """Make the arrays of the classic tutorial of recurrent networks: sum over time of the mean over features.

    Returns inputs [n, steps, features], independent standard normals, and targets [n],
    ``inputs.mean(axis=2).sum(axis=1)``, of variance ``steps / features``.
    """
    for name, value in (("n", n), ("steps", steps), ("features", features)):
        _require(name, value, 1)
    _require("seed", seed, 0)
    inputs = np.random.default_rng(seed).standard_normal((n, steps, features))
    return inputs, inputs.mean(axis=2).sum(axis=1)

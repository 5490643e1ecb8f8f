"""Panels that are made of parts: a level that grows, a season, events, and a column that drives."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

SERIES = 4


@dataclass(frozen=True)
class Calendar:
    """Steps of a panel: what pandas calls them, the season, the seasons of the past, and the horizon."""

    freq: str
    season: int
    seasons: int
    horizon: int


# days, hours, business days, months: events are days, and months have none
CALENDARS = (
    Calendar("D", 7, 60, 14),
    Calendar("h", 24, 182, 48),
    Calendar("B", 5, 70, 10),
    Calendar("MS", 12, 9, 18),
)


@dataclass(frozen=True)
class Made:
    """A panel.

    Attributes
    ----------
    frame : columns shop, time, units, promo and idle; units are blank in the horizon
    events : a table of events; None where steps are longer than a week
    truth : of the horizon: shop, time, and level, season, events and known, whose sum has no noise
    season, horizon : in steps
    """

    frame: pd.DataFrame
    events: pd.DataFrame | None
    truth: pd.DataFrame
    season: int
    horizon: int


def made(seed: int, driven: bool = False) -> Made:
    """A panel whose sizes, shapes and calendar depend on a seed.

    Parameters
    ----------
    driven : whether the column promo, which is 1 on one step in five, adds something
    """
    random, calendar = np.random.default_rng(seed), CALENDARS[seed % len(CALENDARS)]
    steps = calendar.seasons * calendar.season
    times = pd.date_range("2022-01-03", periods=steps + calendar.horizon, freq=calendar.freq)
    amplitude, growth = random.uniform(0.05, 0.4), random.uniform(-0.1, 0.2)
    shape = _shape(random, calendar.season)
    days, dates = times.normalize(), times.normalize().unique()
    last = len(dates) - calendar.horizon // (24 if calendar.freq == "h" else 1)
    with_events = calendar.freq != "MS"
    past = (
        random.choice(np.arange(20, last - 2), 8, replace=False)
        if with_events
        else np.zeros(0, int)
    )
    chosen = dates[[*past, last + (len(dates) - last) // 2]] if with_events else dates[:0]
    effect = random.choice([-1, 1]) * random.uniform(0.2, 0.6) * with_events
    gain = random.uniform(0.1, 0.4) * driven
    frames, truths = [], []
    for shop in range(SERIES):
        base = 10 ** random.uniform(1, 4) * (1 + growth * np.arange(len(times)) / steps)
        season = base * amplitude * shape[np.arange(len(times)) % calendar.season]
        promo, idle = (random.random((2, len(times))) < 0.2).astype(int)
        known = (base + season) * gain * promo
        events = (base + season + known) * effect * days.isin(chosen)
        noise = 0.03 * amplitude * base * random.normal(size=len(times))
        parts = pd.DataFrame(
            {
                "shop": f"s{shop}",
                "time": times,
                "level": base,
                "season": season,
                "events": events,
                "known": known,
            }
        )
        truths.append(parts[steps:])
        units = base + season + events + known + noise
        units[steps:] = np.nan
        frames.append(
            pd.DataFrame(
                {"shop": f"s{shop}", "time": times, "units": units, "promo": promo, "idle": idle}
            )
        )
    table = (
        pd.DataFrame({"date": chosen.sort_values().strftime("%Y-%m-%d"), "name": "sale"})
        if with_events
        else None
    )
    return Made(pd.concat(frames), table, pd.concat(truths), calendar.season, calendar.horizon)


def _shape(random: np.random.Generator, season: int) -> np.ndarray:
    """[season], around 0, the largest value 1: two waves, or a step."""
    at = 2 * np.pi * np.arange(season) / season
    wave = np.sin(at + random.uniform(0, 6)) + random.uniform(0, 0.6) * np.sin(
        2 * at + random.uniform(0, 6)
    )
    step = (np.arange(season) % season >= season * random.uniform(0.5, 0.8)).astype(float)
    shape = wave if random.random() < 0.6 else step
    shape = shape - shape.mean()
    return shape / np.abs(shape).max()

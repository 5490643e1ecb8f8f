"""How well holidays are forecast: births in the United States, and rides with a Christmas whose effect is known."""

from collections.abc import Iterator
from pathlib import Path

import holidays
import numpy as np
import pandas as pd

from benchmarks.rows import Row
from forecast import Forecaster

HORIZON, ORIGINS = 30, 24  # two years
EFFECT, YEARS, SEEDS = -0.6, 3, 20  # of a Christmas in the rides
WEEK = np.array([1.0, 1.05, 1.05, 1.1, 1.2, 0.8, 0.7])


def births_rows(path: Path, model: str, steps: int | None) -> Iterator[Row]:
    """Mean absolute errors on federal holidays, their eves and the days after, and on all other days.

    The newest two years are forecast from origins 30 days apart, by the fit at the oldest of them.
    """
    frame = pd.read_csv(path)
    if "date" not in frame:
        frame["date"] = pd.to_datetime(frame[["year", "month"]].assign(day=frame["date_of_month"]))
    frame = frame[["date", "births"]]
    for country in (None, "US"):
        fitted = Forecaster(model=model, horizon=HORIZON, holidays=country, steps=steps)
        rows = fitted.backtest(frame, windows=ORIGINS, step=HORIZON).forecasts
        rows = rows[rows["model"] == model]
        error = (rows["forecast"] - rows["actual"]).abs().to_numpy()
        days = pd.to_datetime(rows["date"])
        near = days.isin(around(days.dt.year.min(), days.dt.year.max())).to_numpy()
        name = f"{model}, {'holidays US' if country else 'without holidays'}{f', {steps} steps' if steps else ''}"
        yield {
            "data": "births",
            "method": name,
            "days": int(near.sum()),
            "mae_holidays": round(float(error[near].mean()), 1),
            "mae_others": round(float(error[~near].mean()), 1),
        }


def around(first: int, last: int) -> list[pd.Timestamp]:
    """Federal holidays from one year to another, their eves and the days after; observed days are not among them."""
    named = holidays.country_holidays("US", years=range(first - 1, last + 2), observed=False)
    return [pd.Timestamp(day) + pd.Timedelta(days=shift) for day in named for shift in (-1, 0, 1)]


def rides(seed: int, years: int = YEARS, effect: float = EFFECT) -> pd.DataFrame:
    """Daily counts with a week, a wandering level, noise of 8 %, and a Christmas."""
    draw, days = np.random.default_rng(seed), pd.date_range("2018-01-01", periods=365 * years)
    level = 2000 * np.exp(draw.normal(0, 0.005, len(days)).cumsum())
    mean = level * WEEK[days.day_of_week] * np.exp(draw.normal(0, 0.08, len(days)))
    mean[(days.month == 12) & (days.day == 25)] *= 1 + effect
    return pd.DataFrame({"day": days, "rides": draw.poisson(mean)})


def rides_row() -> Row:
    """How far the effect that is found lies from the true one, as a share of it."""
    missed = []
    for seed in range(SEEDS):
        effects = Forecaster(model="last", holidays="US").fit(rides(seed)).fitted_.effects.events
        found = (
            0.0 if effects is None else effects.typical[0, effects.labels.index("Christmas Day")]
        )
        missed.append(abs(found / EFFECT - 1))
    middle, most = round(float(np.median(missed)), 3), round(float(np.max(missed)), 3)
    return {
        "data": "rides",
        "method": f"{SEEDS} series, {YEARS} years",
        "missed": middle,
        "most_missed": most,
    }

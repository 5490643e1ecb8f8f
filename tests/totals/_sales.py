"""Daily sales of shops in regions, whose sums have known answers."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from forecast import Forecaster

IDS = ("region", "shop")
LEVEL, NOISE = 50.0, 5.0

Values = Callable[[int, np.random.Generator, int], np.ndarray]


def noise(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    """White noise around a level."""
    return LEVEL + NOISE * random.normal(size=days)


def sales(
    shops: int = 4, days: int = 300, end: str = "2024-04-10", of: Values = noise, freq: str = "D"
) -> pd.DataFrame:
    """Shops of two regions, which end at one time; each has its own random numbers."""
    times = pd.date_range(end=end, periods=days, freq=freq)
    parts = [
        {
            "region": "ns"[shop % 2],
            "shop": f"{shop:03}",
            "day": times,
            "units": of(shop, np.random.default_rng(shop), days),
        }
        for shop in range(shops)
    ]
    return pd.concat([pd.DataFrame(part) for part in parts], ignore_index=True)


def fitted(
    frame: pd.DataFrame, horizon: int = 28, model: str = "mean", **settings: object
) -> Forecaster:
    """A baseline that is fitted at once."""
    known = {"id": tuple(name for name in IDS if name in frame), "guard": False}
    return Forecaster(model=model, horizon=horizon, **{**known, **settings}).fit(frame)


def width(table: pd.DataFrame) -> np.ndarray:
    """Widths of 80 % intervals."""
    return (table["hi_80"] - table["lo_80"]).to_numpy()

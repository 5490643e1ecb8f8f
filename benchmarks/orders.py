"""Whether order-up-to levels serve as often as they were asked to: made demand, and two real panels.

Each made table has items whose future demand can be drawn again and again, so that the share of periods
without a stock-out and the share of the demand that is met are known almost exactly.
"""

import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd

from benchmarks.development import SETS, read_set
from forecast import Forecaster

ITEMS, DAYS, FUTURES = 20, 300, 400
LEAD_TIME, REVIEW = 3, 7
SERVICES = (80.0, 90.0, 95.0)
REAL = {"retail": (2, 1), "car_parts": (2, 1)}  # lead time and review in months
ORIGINS = 6
Draw = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]


def fast(random: np.random.Generator, sizes: np.ndarray, days: int) -> np.ndarray:
    week = 1 + 0.4 * np.sin(2 * np.pi * np.arange(days) / 7)
    return random.poisson(8 * sizes[:, None] * week).astype(float)


def lumpy(random: np.random.Generator, sizes: np.ndarray, days: int) -> np.ndarray:
    wanted = random.random((len(sizes), days)) < 0.4
    return wanted * (1 + random.poisson(3 * sizes[:, None], (len(sizes), days))).astype(float)


def amounts(random: np.random.Generator, sizes: np.ndarray, days: int) -> np.ndarray:
    noise = random.gamma(4, 0.25, (len(sizes), days))
    return 50 * sizes[:, None] * noise * (1 + 0.3 * np.sin(2 * np.pi * np.arange(days) / 7))


FAMILIES: dict[str, Draw] = {"fast": fast, "lumpy": lumpy, "amounts": amounts}


def long(values: np.ndarray, freq: str) -> pd.DataFrame:
    time = pd.date_range("2020-01-01", periods=values.shape[1], freq=freq)
    parts = [pd.DataFrame({"id": f"s{i}", "time": time, "y": row}) for i, row in enumerate(values)]
    return pd.concat(parts)


def fitted(frame: pd.DataFrame, lead: int, review: int, freq: str) -> Forecaster:
    model = Forecaster(
        model="pretrained", horizon=lead + review, freq=freq, id="id", time="time", target="y"
    )
    return model.fit(frame)


def measure(
    model: Forecaster, ids: list[str], future: np.ndarray, lead: int, review: int
) -> Iterator[dict[str, Any]]:
    """What is asked and what is reached; future [draws, items, steps]."""
    for kind in ("service_level", "fill_rate"):
        for asked in SERVICES:
            items = pd.DataFrame({"lead_time": [lead], "review": [review], kind: [asked]})
            found = model.orders(items).set_index("id")["order_up_to"].reindex(ids).to_numpy()
            known = np.isfinite(found)
            share, fill = served(future[:, known], found[known], lead)
            got = share if kind == "service_level" else fill
            yield {"kind": kind, "asked": asked, "got": 100 * got}


def served(demand: np.ndarray, level: np.ndarray, lead: int) -> tuple[float, float]:
    """Share of periods without a stock-out, and of the demand that is met; demand [draws, items, steps]."""
    whole, before = demand.sum(-1), demand[..., :lead].sum(-1)
    short = np.maximum(whole - level, 0) - np.maximum(before - level, 0)
    return float((whole <= level).mean()), float(1 - short.sum() / (whole - before).sum())


def measure_made(seeds: int) -> Iterator[dict[str, Any]]:
    for name, draw in FAMILIES.items():
        for seed in range(seeds):
            random = np.random.default_rng([seed, len(name)])
            sizes = np.exp(0.5 * random.normal(size=ITEMS))
            steps = DAYS + LEAD_TIME + REVIEW
            past = draw(random, sizes, DAYS)
            future = np.stack([draw(random, sizes, steps)[:, DAYS:] for _ in range(FUTURES)])
            model = fitted(long(past, "D"), LEAD_TIME, REVIEW, "D")
            ids = [f"s{number}" for number in range(ITEMS)]
            for row in measure(model, ids, future, LEAD_TIME, REVIEW):
                yield {"family": name, "seed": seed} | row


def measure_real(folder: Path) -> Iterator[dict[str, Any]]:
    sets = {one["name"]: one for one in tomllib.loads(SETS.read_text())["sets"]}
    for name, (lead, review) in REAL.items():
        series = read_set(folder, sets[name])
        end = max(rows["time"].iloc[-1] for rows in series)
        series = [rows for rows in series if rows["time"].iloc[-1] == end]
        for origin in range(ORIGINS):
            cut = (lead + review) * (origin + 1)
            known = [rows for rows in series if len(rows) >= cut + 24]
            if not known:
                break
            past = pd.concat(rows.iloc[:-cut] for rows in known)[["id", "time", "y"]]
            future = np.array([rows["y"].to_numpy()[-cut:][: lead + review] for rows in known])
            model = fitted(past.astype({"id": str}), lead, review, "MS")
            ids = [str(rows["id"].iloc[0]) for rows in known]
            for row in measure(model, ids, future[None], lead, review):
                yield {"family": name, "seed": origin} | row


@click.command()
@click.option("--seeds", default=20)
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="folder of development sets"
)
def main(seeds: int, data: Path | None) -> None:
    """Measure the service and the fill rate of order-up-to levels."""
    rows = list(measure_made(seeds))
    if data is not None:
        rows += measure_real(data)
    table = (
        pd.DataFrame(rows).groupby(["family", "kind", "asked"])["got"].agg(["mean", "sem", "count"])
    )
    click.echo(table.round(2).to_string())


if __name__ == "__main__":
    main()

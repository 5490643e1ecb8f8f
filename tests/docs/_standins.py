"""Tables that the documentation names and that are not shipped: stand-ins of the same shape."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd

TABLES = (".csv", ".parquet")
JOB = """
[source]
path = "sales.csv"

[train]
model = "theta"
horizon = 7

[sink]
path = "job-forecasts.csv"
"""
WRITTEN = (
    *split("--output --future-template --forecasts --json --markdown"),
)  # what they name is written


def write_all(folder: Path) -> None:
    """The data of the benchmarks in `DIR`, and what README's examples read."""
    (folder / "DIR").mkdir()
    _hourly(folder / "DIR")
    _transformer(folder / "DIR")
    _timetable(folder)
    _flights(folder)
    _plan(folder)
    sales(folder / "sales.csv")
    sales(folder / "prices.csv", others=["price"], ahead=28)
    # a store of its own: where all pages run in one folder, others fit other tables in the default one
    (folder / "job.toml").write_text('store = "job-model"\n' + JOB, encoding="utf-8")


def write_missing(folder: Path, words: Sequence[str]) -> None:
    """A table of daily sales for each file that a command reads and that is missing, with the columns that it names."""
    named = {
        flag: words[at + 1].split(",")
        for at, flag in enumerate(words[:-1])
        if flag.startswith("--")
    }
    for before, word in pairwise(words):
        path = folder / word
        if word.endswith(TABLES) and before not in WRITTEN and not path.exists():
            if before == "--events":
                events().to_csv(path, index=False)
                continue
            if before == "--successors":
                successors(named.get("--id", ["shop", "product"])).to_csv(path, index=False)
                continue
            if before == "--overrides":
                overrides().to_csv(path, index=False)
                continue
            if before == "--orders":
                items().to_csv(path, index=False)
                continue
            columns = [*named.get("--known", []), *named.get("--past", [])]
            if before == "--against":
                columns += named.get("--against-column", ["forecast"])
            sales(path, named.get("--id", ["shop"]), named.get("--target", ["units"])[0], columns)


def events() -> pd.DataFrame:
    """A promotion on three days."""
    return pd.DataFrame({"date": ["2024-01-05", "2024-01-12", "2024-02-05"], "name": "promotion"})


def successors(ids: Sequence[str]) -> pd.DataFrame:
    """A series that starts today, like one of those of `sales`."""
    today = pd.Timestamp.now().strftime("%Y-%m-%d")
    names = dict.fromkeys(ids, "c")
    return pd.DataFrame({**names, "like": "/".join("a" * len(ids)), "from": today}, index=[0])


def overrides() -> pd.DataFrame:
    """A tenth more on the third and fourth day from now."""
    days = {
        name: [str((pd.Timestamp.now() + pd.Timedelta(days=ahead)).date())]
        for name, ahead in (("from", 3), ("to", 4))
    }
    return pd.DataFrame({**days, "value": ["+10%"], "who": ["anna"]})


def items() -> pd.DataFrame:
    """Each item is ordered every seven steps, and comes after two."""
    return pd.DataFrame({"lead_time": [2], "review": [7], "service_level": [95], "on_hand": [60]})


def sales(
    path: Path,
    ids: Sequence[str] = ("shop",),
    target: str = "units",
    others: Sequence[str] = (),
    ahead: int = -1,
) -> None:
    """Two series of 120 days up to yesterday, or to `ahead` days from today."""
    days = pd.date_range(
        end=pd.Timestamp.now().normalize() + pd.Timedelta(days=ahead), periods=120, freq="D"
    )
    parts = []
    for name in ("a", "b"):
        week = np.arange(120) % 7
        part = {"day": days.strftime("%Y-%m-%d"), target: 20 + 5 * week + np.arange(120) % 5}
        parts.append(
            pd.DataFrame({**dict.fromkeys(ids, name), **part, **dict.fromkeys(others, week)})
        )
    whole = pd.concat(parts)
    if path.suffix == ".parquet":
        whole.to_parquet(path, index=False)
    else:
        whole.to_csv(path, index=False)


def _hourly(folder: Path) -> None:
    """The two files of M4 hourly, with three short series."""
    hours = np.arange(300)
    rows = [10 * (i + 2) + 5 * np.sin(hours * np.pi / 12) + hours % 7 for i in range(3)]
    names = pd.Index(["H1", "H2", "H3"], name="V1")
    pd.DataFrame([row[:252] for row in rows], names).to_csv(folder / "M4-Hourly-train.csv")
    pd.DataFrame([row[252:] for row in rows], names).to_csv(folder / "M4-Hourly-test.csv")


def _transformer(folder: Path) -> None:
    """ETTh1: 20 months of hours."""
    hours = np.arange(20 * 30 * 24)
    frame = pd.DataFrame({"date": pd.date_range("2016-07-01", periods=len(hours), freq="h")})
    for number, name in enumerate(("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")):
        frame[name] = np.round(np.sin(hours * np.pi / 12) + number + hours % 11 / 10, 3)
    frame.to_csv(folder / "ETTh1.csv", index=False)


def _timetable(folder: Path) -> None:
    """The flights of the first week of January, as in the last week of December."""
    flights = pd.read_csv(folder / "data" / "nyc_flight_delays.csv", dtype=str)
    week = flights.groupby(["airport", "airline"]).tail(7).drop(columns="delayed")
    week["day"] = (pd.to_datetime(week["day"]) + pd.Timedelta(days=7)).dt.strftime("%Y-%m-%d")
    week.to_csv(folder / "timetable.csv", index=False)


def _flights(folder: Path) -> None:
    """The flights, and a series of an airline that is new."""
    flights = pd.read_csv(folder / "data" / "nyc_flight_delays.csv")
    new = flights[(flights["airport"] == "JFK") & (flights["airline"] == "B6")].assign(airline="XX")
    pd.concat([flights, new]).to_csv(folder / "flights.csv", index=False)


def _plan(folder: Path) -> None:
    """A plan of the last two weeks of December, always one too high."""
    flights = pd.read_csv(folder / "data" / "nyc_flight_delays.csv")
    last = flights.groupby(["airport", "airline"]).tail(14).drop(columns="scheduled")
    last.assign(budget=last.pop("delayed") + 1).to_csv(folder / "plan.csv", index=False)


def python_names() -> "dict[str, object]":
    """What the Python examples take for granted: tables and arrays."""
    hours = np.arange(480)
    random = np.random.default_rng(0)
    load = 9 + hours % 24 + random.normal(size=480)
    whole = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=480, freq="h"), "load": load})
    windows = random.normal(size=(40, 12))
    return {
        "frame": whole.head(400),
        "tonight": whole.head(410),
        "newer": whole.head(424),
        "later": whole.iloc[400:448],
        "whole": whole,
        "plans": pd.DataFrame({"time": pd.date_range(whole["time"][424], periods=24, freq="h")}),
        "days": events(),
        "more_days": events(),
        "judgement": pd.DataFrame(
            {"from": ["2024-01-18"], "to": ["2024-01-18"], "value": ["+10%"], "who": ["anna"]}
        ),
        "items": items(),
        "X": windows,
        "y": windows[:, -1],
    }

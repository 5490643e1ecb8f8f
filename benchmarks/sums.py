"""Intervals of sums over groups and over time, from many origins: what they hold, and interval scores, by level."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.files import find_file
from forecast import Forecaster

WHERE = "the source in benchmarks/README.md"
INTERVALS = (80, 95)

Row = dict[str, Any]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class SumSet:
    """A table, the sums of it that are measured, and from how many origins."""

    file: str
    horizon: int
    step: int  # between origins
    every: tuple[str, ...]
    by: tuple[str, ...] = ("series",)
    origins: int = 20
    settings: dict[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] = ()  # that are read; by default all

    @property
    def name(self) -> str:
        """The file without its endings."""
        return self.file.split(".")[0]


LABOUR, TOURISM, RETAIL = (
    ("state", "sex", "employment"),
    ("state", "purpose", "place"),
    ("state", "industry"),
)
SETS = (
    SumSet(
        "au_labour_monthly.csv.gz",
        12,
        3,
        ("", "quarter", "horizon"),
        ("all", *LABOUR, "state,sex", "series"),
        settings={"id": LABOUR},
    ),
    SumSet(
        "au_tourism_quarterly.csv.gz",
        4,
        1,
        ("", "horizon"),
        ("all", "purpose", "state", "state,purpose", "series"),
        12,
        {"id": TOURISM},
    ),
    SumSet(
        "aus_retail_monthly.csv.gz",
        12,
        3,
        ("", "quarter", "horizon"),
        ("all", *RETAIL, "series"),
        settings={"id": RETAIL, "target": "turnover"},
        columns=(*RETAIL, "month", "turnover"),
    ),
    SumSet(
        "pedestrian_melbourne_hourly.csv.gz",
        168,
        168,
        ("day", "horizon"),
        ("all", "series"),
        settings={"id": "sensor", "time": "timestamp_utc", "target": "count"},
        columns=("sensor", "timestamp_utc", "count"),
    ),
    SumSet(
        "us_births_2000_2014_daily.csv",
        62,
        62,
        ("week", "month", "horizon"),
        columns=("date", "births"),
    ),
    SumSet(
        "vic_elec_halfhourly.csv.gz",
        336,
        336,
        ("day", "horizon"),
        settings={"time": "timestamp_utc", "target": "demand"},
        columns=("timestamp_utc", "demand"),
    ),
)


def _together(*moments: Values) -> Values:
    """All cells are one: quantiles add up."""
    return np.ones_like(moments[3])


def _independent(*moments: Values) -> Values:
    """No two cells have anything in common."""
    variance, deviation = moments[3:5]
    return np.asarray(variance / np.where(deviation > 0, deviation, 1.0) ** 2)


WAYS: dict[str, Callable[..., Values] | None] = {
    "ours": None,
    "summed": _together,
    "independent": _independent,
}


@contextmanager
def _way(share: Callable[..., Values] | None) -> Iterator[None]:
    """Sums whose variance is this share of that of one cell."""
    if share is None:
        yield
        return
    with patch("forecast.totals.sums.variance_share", lambda *moments: share(*moments)):
        yield


def measure(folder: Path, results: Path, names: tuple[str, ...], fits: int = 1) -> Iterator[Row]:
    """Measure the sets that a file of results, JSON lines, does not hold yet; each row is appended, and returned.

    Parameters
    ----------
    names : of sets; none for all
    fits : at origins that are spread evenly; each forecasts from the origins up to the next
    """
    done = {row["set"] for row in rows_of(results)}
    for one in SETS:
        if one.name not in done and (not names or one.name in names):
            rows = list(_rows(one, find_file(folder, one.file, WHERE), fits))
            with results.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(row) + "\n" for row in rows)
            yield from rows


def rows_of(results: Path) -> list[Row]:
    """The rows of a file of results; none if there is no file yet."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    return [json.loads(line) for line in lines]


def _rows(one: SumSet, path: Path, fits: int) -> Iterator[Row]:
    frame = pd.read_csv(path, usecols=list(one.columns) or None)
    time = one.settings.get("time") or next(
        name for name in frame if name in ("date", "month", "quarter")
    )
    times = np.sort(frame[time].unique())
    firsts = len(times) - one.horizon - one.step * np.arange(one.origins)[::-1]
    found = []
    for part in np.array_split(firsts, fits):
        model = Forecaster(horizon=one.horizon, **one.settings).fit(
            frame[frame[time].isin(times[: part[0]])]
        )
        known = frame[frame[time].isin(times[: part[-1] + one.horizon])]
        for way, share in WAYS.items():
            for by, every in _asked(one):
                with _way(share):
                    asked = {"sum_by": by, "sum_every": every}
                    found_sums = model.backtest(
                        known, windows=len(part), step=one.step, frozen=True, sums=asked
                    ).sums
                found.append(found_sums.assign(way=way))
    yield from summary(one.name, pd.concat(found))


def _asked(one: SumSet) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Groups and periods, those of each step alone apart: a series at a step is no sum."""
    periods = tuple(every for every in one.every if every)
    yield one.by, periods
    if "" in one.every:
        yield tuple(name for name in one.by if name != "series"), ()


def summary(name: str, sums: pd.DataFrame) -> Iterator[Row]:
    """A row for each level and way: the share of sums in their intervals, its standard error, and interval scores.

    Errors of one origin count as one. A score is that of both intervals, over the mean of the level's actual sums.
    """
    sums = sums[sums["actual"].notna()]
    for (level, way), part in sums.groupby(["level", "way"], sort=False):
        row: Row = {
            "set": name,
            "level": level,
            "way": way,
            "sums": len(part),
            "origins": part["origin"].nunique(),
        }
        score = np.zeros(len(part))
        for percent in INTERVALS:
            low, high, actual = (
                part[column].to_numpy() for column in (f"lo_{percent}", f"hi_{percent}", "actual")
            )
            inside = pd.Series((actual >= low) & (actual <= high), index=part["origin"].to_numpy())
            by_origin = inside.groupby(level=0).mean()
            row[f"in_{percent}"] = float(inside.mean())
            row[f"error_{percent}"] = float(by_origin.std(ddof=1) / np.sqrt(len(by_origin)))
            beyond = np.maximum(low - actual, 0) + np.maximum(actual - high, 0)
            score += (high - low + 2 / (1 - percent / 100) * beyond) / len(INTERVALS)
        yield {**row, "score": float((score / part["actual"].abs().mean()).mean())}


def table(rows: list[Row]) -> list[str]:
    """A line of Markdown for each level: what intervals held, and interval scores over those of summed quantiles."""
    ways = list(WAYS)
    lines = [
        "| set | level | sums | in 80 % | in 95 % | "
        + " | ".join(f"score, {way}" for way in ways)
        + " |",
        "|---|---|---:|---:|---:|" + "---:|" * len(ways),
    ]
    by_level: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_level.setdefault((row["set"], row["level"]), {})[row["way"]] = row
    for (name, level), found in by_level.items():
        ours, unit = found["ours"], found["summed"]["score"]
        held = [
            f"{ours[f'in_{percent}']:.3f} ± {ours[f'error_{percent}']:.3f}" for percent in INTERVALS
        ]
        scores = [f"{found[way]['score'] / unit:.3f}" for way in ways]
        lines.append(f"| {name} | {level} | {ours['sums']} | {' | '.join([*held, *scores])} |")
    ratios = {
        way: [found[way]["score"] / found["summed"]["score"] for found in by_level.values()]
        for way in ways
    }
    means = ", ".join(
        f"{way} {np.exp(np.log(values).mean()):.3f}" for way, values in ratios.items()
    )
    ours = [found["ours"] for found in by_level.values()]
    near = {
        p: sum(abs(r[f"in_{p}"] - p / 100) <= 2 * r[f"error_{p}"] for r in ours) for p in INTERVALS
    }
    held = ", ".join(
        f"{p} % intervals hold {np.mean([r[f'in_{p}'] for r in ours]):.3f}, within two standard errors on "
        f"{near[p]} of {len(ours)} levels"
        for p in INTERVALS
    )
    return [
        *lines,
        "",
        f"interval scores over those of summed quantiles, geometric mean: {means}",
        held,
    ]

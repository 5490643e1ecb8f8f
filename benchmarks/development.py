"""Choose rules so that they travel: on older origins and other sources, judged on what was left out.

A rule, prior or number of the program is switched off or set to another value, and `now` is measured
before and after on panels, and on single series drawn from them. Whether the change is kept is decided
on all sources but one and on older origins; what counts is what that decision does on the source left
out, at the newest origin (Stone 1974, cross-validation; here by groups and forward in time).
"""

import dataclasses
import importlib
import sys
import tomllib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.scores import interval_score, scaled_error, seasonal_scale
from forecast import Forecaster

SETS = Path(__file__).with_suffix(".toml")
POOL = "singles.csv.gz"
POOL_HORIZONS = {"YS": 6, "QS": 8, "MS": 18, "W": 13, "D": 14, "30min": 48}
POOL_SEASONS = {"YS": 1, "QS": 4, "MS": 12, "W": 52, "D": 7, "30min": 48}
ORIGINS = 4
SINGLES = 300  # series drawn from the panels, each to be forecast by itself
LONGEST = 2_000  # newest steps of such a series
KINDS = ("panel", "single")
MEASURES = ("mase", "score_80", "score_95")


class Task(NamedTuple):
    """A table to forecast from several origins; series are alone in it, or a panel."""

    kind: str  # "panel" or "single"
    source: str
    name: str
    series: list[pd.DataFrame]  # with columns id, time, y and the known ones
    freq: str
    horizon: int
    season: int
    apart: int  # steps between origins


def read_set(folder: Path, description: dict[str, Any]) -> list[pd.DataFrame]:
    """The series of a set: frames with columns id, time, y and the columns that are known."""
    table = pd.read_csv(folder / description["file"])
    ids = description.get("id", [])
    if "time" not in description:  # a row for each series, blank at its end
        wide = table.set_index(ids[0])
        series = []
        for name, row in wide.iterrows():
            values = row.dropna().to_numpy(float)
            time = pd.date_range("1950-01-01", periods=len(values), freq=description["freq"])
            series.append(pd.DataFrame({"id": str(name), "time": time, "y": values}))
    else:
        known = description.get("known", [])
        table["id"] = table[ids].astype(str).agg("/".join, axis=1) if ids else "all"
        table["time"] = pd.to_datetime(table[description["time"]])
        table["y"] = table[description["target"]].astype(float)
        columns = table[["id", "time", "y", *known]].sort_values(["id", "time"])
        series = [
            rows.tail(description.get("tail", len(rows))) for _, rows in columns.groupby("id")
        ]
    return series[:: description.get("every", 1)]


def iterate_tasks(folder: Path) -> Iterator[Task]:
    """The panels, then single series of the pool and of the panels."""
    descriptions = tomllib.loads(SETS.read_text(encoding="utf-8"))["sets"]
    drawn = []
    for description in descriptions:
        series = read_set(folder, description)
        horizon = description["horizon"]
        shape = (description["freq"], horizon, description["season"])
        apart = description.get("apart", horizon)
        name = description["name"]
        yield Task("panel", description["source"], name, series, *shape, apart)
        for rows in series:
            alone = rows[["id", "time", "y"]].tail(LONGEST)
            label = f"{name}/{rows['id'].iloc[0]}"
            drawn.append(Task("single", description["source"], label, [alone], *shape, apart))

    pool = pd.read_csv(folder / POOL, parse_dates=["time"])
    for name, rows in pool.groupby("series"):
        freq = rows["freq"].iloc[0]
        horizon = min(POOL_HORIZONS[freq], max(2, len(rows) // 5))
        alone = pd.DataFrame({"id": name, "time": rows["time"], "y": rows["value"].astype(float)})
        source = f"pool {str(name).partition('_')[0]}"
        label = f"pool/{name}"
        yield Task("single", source, label, [alone], freq, horizon, POOL_SEASONS[freq], horizon)
    yield from _draw(drawn)


def _draw(tasks: list[Task]) -> list[Task]:
    """As many series of each source, in the order of a hash of their names."""
    ranked = sorted(tasks, key=lambda task: sha256(task.name.encode()).hexdigest())
    by_source: dict[str, list[Task]] = {}
    for task in ranked:
        by_source.setdefault(task.source, []).append(task)
    chosen: list[Task] = []
    while len(chosen) < SINGLES and any(by_source.values()):
        chosen += [tasks.pop(0) for tasks in by_source.values() if tasks]
    return chosen[:SINGLES]


def measure_task(task: Task, origin: int) -> list[dict[str, Any]]:
    """A row for each series: errors of `now` at one origin, the newest of which is 0."""
    cut = task.horizon + origin * task.apart
    least = max(2 * task.season + 2, 10)
    long_enough = [rows for rows in task.series if len(rows) - cut >= least]
    if not long_enough:
        return []
    past = [rows.iloc[:-cut] for rows in long_enough]
    ahead = pd.concat(rows.iloc[len(rows) - cut :][: task.horizon] for rows in long_enough)
    known = [name for name in ahead.columns if name not in ("id", "time", "y")]
    model = Forecaster(
        model="pretrained",
        horizon=task.horizon,
        freq=task.freq,
        id="id",
        time="time",
        target="y",
        known=known or None,
    ).fit(pd.concat(past))
    predicted = model.predict(future=ahead.drop(columns="y")) if known else model.predict()
    table = ahead.merge(predicted, on=["id", "time"]).dropna(subset=["y"])
    scale = {rows["id"].iloc[0]: _scale(rows["y"].to_numpy(), task.season) for rows in past}
    measured = []
    for name, rows in table.groupby("id"):
        if not scale[name] > 0:
            continue
        row = {"kind": task.kind, "source": task.source, "set": task.name, "series": name}
        measured.append(row | {"origin": origin} | _measure(rows, scale[name]))
    return measured


def _scale(values: NDArray[np.float64], season: int) -> float:
    if np.isnan(values).any():
        return float(np.nanmean(np.abs(values[season:] - values[:-season])))
    return seasonal_scale(values, season)


def _measure(rows: pd.DataFrame, scale: float) -> dict[str, float]:
    columns = rows[["y", "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]].to_numpy().T[:, None]
    actual, point, low80, high80, low95, high95 = columns  # each [1, horizon]
    unit = np.array([scale])
    return {
        "mase": float(scaled_error(actual, point, unit)[0]),
        "score_80": float(interval_score(actual, low80, high80, unit, 80.0)[0]),
        "score_95": float(interval_score(actual, low95, high95, unit)[0]),
    }


def measure_all(folder: Path, path: Path, kinds: Sequence[str]) -> None:
    """Measure what a file of rows lacks; it grows by a task at a time, so that a run can go on."""
    done = set()
    if path.exists():
        done = set(pd.read_csv(path, usecols=["set"])["set"])
    for task in iterate_tasks(folder):
        if task.kind not in kinds or task.name in done:
            continue
        rows = [row for origin in range(ORIGINS) for row in measure_task(task, origin)]
        if rows:
            pd.DataFrame(rows).to_csv(path, mode="a", header=not path.exists(), index=False)


def change_number(assignment: str) -> None:
    """Set a number of the program: ``ensemble.weights.WEIGHT_PRIORS.trimmed=0``, wherever it is imported.

    Raises
    ------
    ValueError
        If there is no such constant, or field of one.
    """
    name, _, text = assignment.partition("=")
    parts = name.split(".")
    field = None if parts[-1].isupper() else parts.pop()
    constant = parts.pop()
    module = importlib.import_module(".".join(["forecast", *parts]))
    old = getattr(module, constant, None)
    if old is None or (field is not None and not hasattr(old, field)):
        raise ValueError(f"forecast has no number {name}")
    value: Any = type(old if field is None else getattr(old, field))(float(text))
    new = value if field is None else dataclasses.replace(old, **{field: value})
    ours = [other for name, other in sys.modules.items() if name.partition(".")[0] == "forecast"]
    for other in ours:
        if getattr(other, constant, None) is old:
            setattr(other, constant, new)


def judge(base: pd.DataFrame, changed: pd.DataFrame) -> pd.DataFrame:
    """What a change is worth where it was not chosen: a row for each kind of table.

    Returns
    -------
    Columns: kind, sources, `kept` (share of the sources for which the others would keep the change),
    and for each measure `NAME_older` (its ratio at older origins of all sources), `NAME_newest`, and
    `NAME_judged`, with `NAME_error`, the standard error of its logarithm over sources.
    """
    keys = ["kind", "source", "set", "series", "origin"]
    both = base.merge(changed, on=keys, suffixes=("", "_changed"))
    for name in MEASURES:
        ends = np.maximum(both[[f"{name}_changed", name]].to_numpy(), 1e-9)
        both[name] = np.log(ends[:, 0] / ends[:, 1])
    both["newest"] = both["origin"] == 0
    # each set counts once in its source, however many series it has
    by_set = both.groupby(["kind", "newest", "source", "set"])[[*MEASURES]].mean()
    by_source = by_set.groupby(["kind", "newest", "source"]).mean()
    return pd.DataFrame(
        [_judge_kind(str(kind), by_source.loc[kind]) for kind in by_source.index.unique("kind")]
    )


def _judge_kind(kind: str, ratios: pd.DataFrame) -> dict[str, Any]:
    older = ratios.loc[False]
    newest = ratios.loc[True].reindex(older.index).fillna(0.0)
    count = len(older)
    # the mean over all sources but the own one decides
    others = (older["mase"].sum() - older["mase"]) / max(count - 1, 1)
    keeps = others < 0
    row: dict[str, Any] = {"kind": kind, "sources": count, "kept": float(keeps.mean())}
    for name in MEASURES:
        judged = newest[name].where(keeps, 0.0)
        row[f"{name}_older"] = float(np.exp(older[name].mean()))
        row[f"{name}_newest"] = float(np.exp(newest[name].mean()))
        row[f"{name}_judged"] = float(np.exp(judged.mean()))
        row[f"{name}_error"] = float(judged.sem())
    return row

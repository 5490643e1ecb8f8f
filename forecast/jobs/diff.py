"""Why the forecasts of a run differ from those of the run before: which runs, what they kept, and the replay."""

import json
from functools import cache, partial
from operator import itemgetter
from typing import Any

import numpy as np
import pandas as pd

from forecast.changes.inputs import RunInput, unpacked
from forecast.changes.replay import Changes, alike, changed_inputs, parted, replayed, rows_of_sums
from forecast.errors import INCOMPLETE, ArtifactRefused, Blocked, NoInput, Setting, UsageError
from forecast.inference.forecasting import load_predictor
from forecast.jobs.publishing import kept
from forecast.ledger.ledger import DAMAGED, INPUTS, KEEP, MAX_RECORDS, Ledger
from forecast.panel.panel import series_index
from forecast.panel.schema import calendar_of, position_texts
from forecast.settings import SumSettings, TrainSettings

Run = tuple[str, dict[str, Any]]  # as_of and record
Pair = tuple[str | None, str | None]


def diff_of(
    ledger: Ledger, store: str, chosen: Pair, where: TrainSettings, sums: SumSettings | None = None
) -> dict[str, Any]:
    """How published forecasts changed between two runs, as plain values: by steps, series and times, and sums.

    `chosen` are the beginnings of the times of the two runs, by default the two newest; `where` networks run. Raises
    `NoInput` where there are no two runs, or one has no inputs or no version left; `UsageError` where a name means
    several runs, or the runs have no times in common; `ArtifactRefused` where the ledger is damaged.
    """
    load = cache(partial(load_predictor, store, device=where.device, engine=where.engine))
    runs, inputs, frames = _chosen(ledger, *chosen), list[RunInput](), list[pd.DataFrame]()
    for at, record in runs:
        inputs_of = f"what the run as of {at} forecast from"
        publication = kept(store, at) if record["exit_code"] == Blocked.exit_code else None
        frame, data = ledger.stored(at) if publication is None else (publication.cells, publication.more[INPUTS])
        if frame is None or not isinstance(data, bytes):
            problem = f"job '{ledger.job}': the ledger does not hold {inputs_of}"
            raise NoInput(problem, cure=f"compare newer runs; the newest {KEEP[INPUTS]} of this release keep it")
        predictor = load(record["version"])
        try:
            inputs.append(unpacked(data, predictor, record["version"]))
        except DAMAGED:
            problem = f"job '{ledger.job}': {inputs_of} is damaged in the ledger"
            raise ArtifactRefused(problem, cure="compare other runs") from None
        frames.append(frame)
    changes, (before, after) = _changes(inputs, frames), inputs
    ends = [{"as_of": at, "version": record["version"]} for at, record in runs]
    calendar, (times, place) = calendar_of(after.schema), np.unique(changes.times, return_inverse=True)
    names = [dict(zip(after.schema.ids, ids, strict=True)) for ids in changes.ids]
    dated = [{"time": text} for text in position_texts(after.schema, calendar, calendar.positions(times))]
    panels = [before.panel, after.panel] if alike(before, after) else [after.panel]
    return {
        "job": ledger.job,
        "from": ends[0],
        "to": ends[1],
        "series": len(np.unique(changes.series[changes.both])),
        "cells": int(changes.both.sum()),
        "size": changes.size,
        "steps": changes.steps(),
        "notes": _notes(runs, inputs),
        "by_series": sorted(changes.rows(names, changes.series), key=lambda row: -row["moved"]),
        "by_time": changes.rows(dated, place),
        "sums": [] if sums is None else rows_of_sums(changes, sums, after.schema, panels),
    }


def _notes(runs: list[Run], inputs: list[RunInput]) -> list[str]:
    notes, (before, after), factors = list[str](), inputs, [record["intervals"] for _, record in runs]
    if runs[1][1]["exit_code"] == Blocked.exit_code:
        notes.append(f"the run as of {runs[1][0]} was blocked, and published nothing")
    for (at, _), had in zip(runs, inputs, strict=True):
        if had.series > len(had.panel):
            notes.append(f"the run as of {at} kept what {len(had.panel):,} of {had.series:,} series came from")
    if not alike(before, after):
        notes.append("the versions read the table differently: the refit has all that changed")
    else:
        notes += changed_inputs(before, after)
    if factors[0] != factors[1]:
        pairs = " to ".join(f"{low:.3g} and {high:.3g}" for low, high in factors)
        notes.append(f"corrections of the 80 and 95 % intervals, which move no forecast, went from {pairs}")
    some = np.flatnonzero(~after.panel.skipped)
    some = some[:: len(some) // 500 + 1]  # enough to compare networks
    if (spread := after.predictor.seed_spread(after.panel, some)) is not None:
        notes.append(f"a refit alone moves a network by about {100 * spread:.2g} %, as far as seeds lie apart")
    return notes


def _chosen(ledger: Ledger, before: str | None, after: str | None) -> list[Run]:
    """The two runs, of those that have published forecasts."""
    runs, blocked = list[Run](), list[Run]()
    for at, code, record in ledger.runs(MAX_RECORDS):
        if code in (0, INCOMPLETE):
            runs.append((at, record))
        elif code == Blocked.exit_code and record["blocked"] and not blocked:
            blocked.append((at, record))  # only the newest one is kept
    later = _newest(ledger.job, sorted([*runs, *blocked], key=itemgetter(0), reverse=True), Setting("to", after))
    return [_newest(ledger.job, [run for run in runs if run[0] < later[0]], Setting("from", before)), later]


def _newest(job: str, runs: list[Run], setting: Setting) -> Run:
    """The newest of runs, or the one whose time begins as the setting says."""
    found = [run for run in runs if run[0].startswith(str(setting.value or ""))]
    if setting.value and len(found) > 1:
        several = f"may mean {len(found)} runs, such as {found[0][0]} and {found[1][0]}"
        raise UsageError(several, setting=setting, cure="give more of the time")
    if found:
        return found[0]
    none = f"job '{job}' has no run that published forecasts then, or none before the other"
    raise NoInput(none, setting=setting if setting.value else None, cure="`forecast status` lists the runs")


def _changes(inputs: list[RunInput], frames: list[pd.DataFrame]) -> Changes:
    """What changed, and in which steps; `UsageError` where the runs forecast no time in common."""
    (before, after), (old, new) = inputs, frames
    times = np.intersect1d(old["instant"].unique(), new["instant"].unique())
    names = sorted({*old["series"].cat.categories, *new["series"].cat.categories})
    ids, grids = tuple(tuple(json.loads(name)) for name in names), []
    for frame in (old, new):
        rows = frame[frame["instant"].isin(times)]
        series = pd.Index(names).get_indexer(rows["series"].cat.categories)[rows["series"].cat.codes]
        grids.append(np.full((len(names), len(times)), np.nan))
        grids[-1][series, np.searchsorted(times, rows["instant"])] = rows["forecast"]
    had, has = (np.isfinite(grid) for grid in grids)
    kept = (series_index(before.panel.ids, ids) > 0) & (series_index(after.panel.ids, ids) > 0)
    both = had & has & kept[:, None]
    if not both.any():
        raise UsageError("the runs forecast no time of one series in common", cure="name runs that are nearer")
    used = both | (had & ~has.any(1, keepdims=True)) | (has & ~had.any(1, keepdims=True))
    series, place = np.nonzero(used)
    both, (was, now) = both[used], (np.nan_to_num(grid[used]) for grid in grids)
    points = dict(replayed(before, after, (ids, series[both], times[place[both]])))
    elsewhere = {*before.fallback, *after.fallback}
    fallback = np.array([names in elsewhere for names in ids], bool)[series] & both
    return Changes(ids, series, times[place], was, now, both, parted(was, now, both, points, fallback))

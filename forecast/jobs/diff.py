"""Why the forecasts of a run differ from those of the run before: which runs, what they kept, and the replay."""

import json
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from forecast.changes.replay import (
    Changes,
    RunInput,
    alike,
    by_step,
    changed_inputs,
    replayed,
    rows_of_sums,
    unpacked,
)
from forecast.errors import INCOMPLETE, ArtifactRefused, Blocked, NoInput, Setting, UsageError
from forecast.inference.forecasting import load_predictor
from forecast.jobs.publishing import newest_blocked, read_blocked
from forecast.ledger.ledger import DAMAGED, INPUTS, KEEP, MAX_RECORDS, Ledger
from forecast.ledger.record import Record
from forecast.panel.panel import series_index
from forecast.panel.schema import calendar_of, position_texts
from forecast.settings import SumSettings, TrainSettings

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
    for run in runs:
        inputs_of = f"what the run as of {run.as_of} forecast from"
        stored: tuple[pd.DataFrame | None, object] = ledger.stored(run.as_of)
        if run.exit_code == Blocked.exit_code:
            publication = read_blocked(store, run)
            stored = publication.forecasts, publication.more[INPUTS]
        frame, data = stored
        if frame is None or not isinstance(data, bytes):
            problem = f"job '{ledger.job}': the ledger does not hold {inputs_of}"
            raise NoInput(
                problem,
                cure=f"compare newer runs; the newest {KEEP[INPUTS]} of this release keep it",
            )
        try:
            inputs.append(unpacked(data, load(run.version), str(run.version)))
        except DAMAGED:
            problem = f"job '{ledger.job}': {inputs_of} is damaged in the ledger"
            raise ArtifactRefused(problem, cure="compare other runs") from None
        frames.append(frame)
    changes, (before, after) = _changes(inputs, frames), inputs
    ends = [{"as_of": run.as_of, "version": run.version} for run in runs]
    calendar, (times, inverse) = (
        calendar_of(after.schema),
        np.unique(changes.times, return_inverse=True),
    )
    names = [dict(zip(after.schema.ids, ids, strict=True)) for ids in changes.ids]
    dated = [
        {"time": text} for text in position_texts(after.schema, calendar, calendar.positions(times))
    ]
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
        "by_time": changes.rows(dated, inverse),
        "sums": [] if sums is None else rows_of_sums(changes, sums, after.schema, panels),
    }


def _notes(runs: list[Record], inputs: list[RunInput]) -> list[str]:
    notes, (before, after), factors = list[str](), inputs, [run.intervals for run in runs]
    if runs[1].exit_code == Blocked.exit_code:
        notes.append(f"the run as of {runs[1].as_of} was blocked, and published nothing")
    for run, stored in zip(runs, inputs, strict=True):
        if stored.series > len(stored.panel):
            count = f"{len(stored.panel):,} of {stored.series:,} series"
            notes.append(f"the run as of {run.as_of} kept what {count} came from")
    if not alike(before, after):
        notes.append("the versions read the table differently: the refit has all that changed")
    else:
        notes += changed_inputs(before, after)
    if factors[0] != factors[1]:
        pairs = " to ".join(f"{low:.3g} and {high:.3g}" for low, high in factors)
        notes.append(
            f"corrections of the 80 and 95 % intervals, which move no forecast, went from {pairs}"
        )
    some = np.flatnonzero(~after.panel.skipped)
    some = some[:: len(some) // 500 + 1]  # enough to compare networks
    if (spread := after.predictor.seed_spread(after.panel, some)) is not None:
        notes.append(
            f"a refit alone moves a network by about {100 * spread:.2g} %, as far as seeds lie apart"
        )
    return notes


def _chosen(ledger: Ledger, before: str | None, after: str | None) -> list[Record]:
    runs = ledger.runs(MAX_RECORDS)
    blocked = newest_blocked(runs)
    published = [run for run in runs if run.exit_code in (0, INCOMPLETE)]
    candidates = [
        run for run in runs if run in published or run is blocked
    ]  # only the newest one is kept
    later = _newest(ledger.job, candidates, Setting("to", after))
    return [
        _newest(
            ledger.job,
            [run for run in published if run.as_of < later.as_of],
            Setting("from", before),
        ),
        later,
    ]


def _newest(job: str, runs: list[Record], setting: Setting) -> Record:
    """The newest of runs, or the one whose time begins as the setting says."""
    found = [run for run in runs if run.as_of.startswith(str(setting.value or ""))]
    if setting.value and len(found) > 1:
        several = f"may mean {len(found)} runs, such as {found[0].as_of} and {found[1].as_of}"
        raise UsageError(several, setting=setting, cure="give more of the time")
    if found:
        return found[0]
    none = f"job '{job}' has no run that published forecasts then, or none before the other"
    raise NoInput(
        none, setting=setting if setting.value else None, cure="`forecast status` lists the runs"
    )


def _changes(inputs: list[RunInput], frames: list[pd.DataFrame]) -> Changes:
    """What changed, and in which steps; `UsageError` where the runs forecast no time in common."""
    (before, after), (old, new) = inputs, frames
    times = np.intersect1d(old["instant"].unique(), new["instant"].unique())
    names = sorted({*old["series"].cat.categories, *new["series"].cat.categories})
    ids, grids = tuple(tuple(json.loads(name)) for name in names), []
    for frame in (old, new):
        rows = frame[frame["instant"].isin(times)]
        series = pd.Index(names).get_indexer(rows["series"].cat.categories)[
            rows["series"].cat.codes
        ]
        grids.append(np.full((len(names), len(times)), np.nan))
        grids[-1][series, np.searchsorted(times, rows["instant"])] = rows["forecast"]
    in_old, in_new = (np.isfinite(grid) for grid in grids)
    kept = (series_index(before.panel.ids, ids) > 0) & (series_index(after.panel.ids, ids) > 0)
    both = in_old & in_new & kept[:, None]
    if not both.any():
        cure = "name nearer runs, or fit with a horizon that reaches beyond the next run"
        raise UsageError("the runs forecast no time of one series in common", cure=cure)
    used = (
        both | (in_old & ~in_new.any(1, keepdims=True)) | (in_new & ~in_old.any(1, keepdims=True))
    )
    series, time = np.nonzero(used)
    both, (was, now) = both[used], (np.nan_to_num(grid[used]) for grid in grids)
    points = dict(replayed(before, after, (ids, series[both], times[time[both]])))
    elsewhere = {*before.fallback, *after.fallback}
    fallback = np.array([names in elsewhere for names in ids], bool)[series] & both
    return Changes(
        ids, series, times[time], was, now, both, by_step(was, now, both, points, fallback)
    )

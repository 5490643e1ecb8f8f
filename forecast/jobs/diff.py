"""Why the forecasts of a run differ from those of the run before."""

import json
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from forecast.errors import ArtifactRefused, NoInput, Setting, UsageError
from forecast.inference.forecasting import load_predictor
from forecast.jobs.checks.accuracy import NEWEST_RUNS, compare, keys_by
from forecast.jobs.ledger import (
    AFTER_ALL_TIMES,
    BLOCKED,
    BLOCKED_INPUTS,
    DAMAGE_ERRORS,
    INPUTS_TABLE,
    KEEP,
    MAX_RECORDS,
    OVERRIDES,
    Kept,
    Ledger,
)
from forecast.jobs.publishing import find_blocked_run
from forecast.jobs.record import Record
from forecast.jobs.replay import (
    PEOPLE,
    REPLAY_STEPS,
    Changes,
    RunInput,
    alike,
    by_step,
    changed_inputs,
    replay_steps,
    rows_of_sums,
    unpack_run,
)
from forecast.panel.panel import Numbers, series_index
from forecast.panel.schema import build_calendar, position_texts
from forecast.settings import Facts, SumSettings, TrainSettings

Pair = tuple[str | None, str | None]
MOST_COMPARED = 500  # networks are replayed for at most so many series


def compare_runs(
    ledger: Ledger, store: str, chosen: Pair, where: TrainSettings, sums: SumSettings | None = None
) -> Facts:
    """How published forecasts changed between two runs: by step, by series and time, and by sum.

    `chosen` has the beginnings of the times of two runs, by default the two newest; `where` says on
    which device and engine networks run. Raises `NoInput` if there are no two runs, or the inputs
    or the version of one no longer exist; `UsageError` if a time means several runs, or the runs
    forecast no time in common; `ArtifactRefused` if the ledger is damaged.
    """
    load = cache(partial(load_predictor, store, device=where.device, engine=where.engine))
    runs = _choose_runs(ledger, *chosen)
    stored = [_read_run(ledger, store, run, load) for run in runs]
    frames, inputs, overrides = map(list, zip(*stored, strict=True))
    published = []
    for changed, frame in zip(overrides, frames, strict=True):
        published.append(pd.concat([changed, frame]).drop_duplicates(["series", "step"]))

    changes = _changes(inputs, frames, published)
    before, after = inputs
    schema = after.schema
    calendar = build_calendar(schema)
    times, time_number = np.unique(changes.times, return_inverse=True)
    texts = position_texts(schema, calendar.positions(times))
    names = [dict(zip(schema.ids, ids, strict=True)) for ids in changes.ids]
    by_series = changes.rows(names, changes.series)
    panels = [before.panel, after.panel] if alike(before, after) else [after.panel]
    return {
        "job": ledger.job,
        "from": {"as_of": runs[0].as_of, "version": runs[0].version},
        "to": {"as_of": runs[1].as_of, "version": runs[1].version},
        "series": len(np.unique(changes.series[changes.both])),
        "cells": int(changes.both.sum()),
        "size": changes.size,
        "steps": changes.steps(),
        "notes": _notes(runs, inputs),
        "by_series": sorted(by_series, key=lambda row: -abs(row["change"])),
        "by_time": changes.rows([{"time": text} for text in texts], time_number),
        "sums": [] if sums is None else rows_of_sums(changes, sums, schema, panels),
    }


def group_scores(ledger: Ledger, store: str, by: str | None) -> list[Facts]:
    """Scores of the forecasts of models by the values of columns, the largest error first.

    Actual values are those that the newest run knew. There are no scores without columns.
    """
    if by is None:
        return []
    _, _, knew = newest_run(ledger, store)
    names, key_of = keys_by(by, knew.panel, knew.schema)
    rows = []
    published = ledger.forecasts(AFTER_ALL_TIMES, NEWEST_RUNS)
    for score in compare(published, knew.panel, knew.schema, key_of)[1]:
        row = dict(zip(names, json.loads(score.day), strict=True)) | vars(score)
        del row["day"]
        rows.append(row)
    return sorted(rows, key=lambda row: -(row["mase"] or 0.0))


def newest_run(ledger: Ledger, store: str) -> tuple[Record, pd.DataFrame, RunInput]:
    """The newest run that published, its forecasts, and what it forecast from."""
    runs = [run for run in ledger.runs(MAX_RECORDS) if run.settled]
    run = _newest(ledger.job, runs, Setting("as_of"))
    forecasts, inputs, _ = _read_run(ledger, store, run, partial(load_predictor, store))
    return run, forecasts, inputs


def _read_run(
    ledger: Ledger, store: str, run: Record, load: Any
) -> tuple[pd.DataFrame, RunInput, Kept]:
    """The forecasts, inputs and overrides of a run, of a blocked one without overrides.

    `load` gives the predictor of a version.
    """
    at = run.as_of
    overrides = None
    if run.blocked:
        frame = ledger.of_run(at, BLOCKED)
        data = ledger.inputs(at, BLOCKED_INPUTS)
    else:
        frame = ledger.of_run(at)
        data = ledger.inputs(at)
        overrides = ledger.of_run(at, OVERRIDES)
    inputs_of = f"what the run as of {at} forecast from"
    if frame is None or data is None:
        cure = f"compare newer runs; the newest {KEEP[INPUTS_TABLE]} of this release keep it"
        problem = f"job '{ledger.job}': the ledger does not hold {inputs_of}"
        raise NoInput(problem, cure=cure)
    try:
        return frame, unpack_run(data, load(run.version), str(run.version)), overrides
    except DAMAGE_ERRORS:
        problem = f"job '{ledger.job}': {inputs_of} is damaged in the ledger"
        raise ArtifactRefused(problem, cure="compare other runs") from None


def _notes(runs: list[Record], inputs: list[RunInput]) -> list[str]:
    before, after = inputs
    notes = []
    if runs[1].blocked:
        notes.append(f"the run as of {runs[1].as_of} was blocked, and published nothing")
    for run, stored in zip(runs, inputs, strict=True):
        if stored.series > len(stored.panel):
            count = f"{len(stored.panel):,} of {stored.series:,} series"
            notes.append(f"the run as of {run.as_of} kept what {count} came from")
    if alike(before, after):
        notes += changed_inputs(before, after)
    else:
        notes.append("the versions read the table differently: the refit has all that changed")
    if runs[0].intervals != runs[1].intervals:
        pairs = [f"{inner:.3g} and {outer:.3g}" for inner, outer in (run.intervals for run in runs)]
        factors = "corrections of the 80 and 95 % intervals, which move no forecast"
        notes.append(f"{factors}, went from {' to '.join(pairs)}")
    series = np.flatnonzero(~after.panel.skipped)
    sample = series[:: len(series) // MOST_COMPARED + 1]
    deviation = after.predictor.seed_spread(after.panel, sample)
    if deviation is not None:
        moved = f"a refit alone moves a network by about {100 * deviation:.2g} %"
        notes.append(f"{moved}, as far as seeds lie apart")
    return notes


def _choose_runs(ledger: Ledger, before: str | None, after: str | None) -> list[Record]:
    runs = ledger.runs(MAX_RECORDS)
    published = [run for run in runs if run.published]
    blocked = find_blocked_run(runs)  # only the last blocked run is kept
    candidates = [run for run in runs if run in published or run is blocked]
    later = _newest(ledger.job, candidates, Setting("to", after))
    earlier = [run for run in published if run.as_of < later.as_of]
    return [_newest(ledger.job, earlier, Setting("from", before)), later]


def _newest(job: str, runs: list[Record], setting: Setting) -> Record:
    """The newest run, or the one whose time begins as the setting says."""
    matching = [run for run in runs if run.as_of.startswith(str(setting.value or ""))]
    if not matching:
        none = f"job '{job}' has no run that published forecasts then, or none before the other"
        named = setting if setting.value else None
        raise NoInput(none, setting=named, cure="`forecast status` lists the runs")
    if setting.value and len(matching) > 1:
        examples = f"{matching[0].as_of} and {matching[1].as_of}"
        several = f"may mean {len(matching)} runs, such as {examples}"
        raise UsageError(several, setting=setting, cure="give more of the time")
    return matching[0]


def _changes(
    inputs: list[RunInput], frames: list[pd.DataFrame], published: list[pd.DataFrame]
) -> Changes:
    """The changes, by step; raises `UsageError` if the runs forecast no time in common."""
    before, after = inputs
    first, second = frames
    times = np.intersect1d(first["instant"], second["instant"])
    names = sorted({*first["series"].cat.categories, *second["series"].cat.categories})
    ids = tuple(tuple(json.loads(name)) for name in names)
    old = _grid(first, names, times)
    new = _grid(second, names, times)
    in_old = np.isfinite(old)
    in_new = np.isfinite(new)
    in_before = series_index(before.panel.ids, ids) >= 0
    in_after = series_index(after.panel.ids, ids) >= 0
    kept = in_before & in_after
    both = in_old & in_new & kept[:, None]
    if not both.any():
        cure = "name nearer runs, or fit with a horizon that reaches beyond the next run"
        raise UsageError("the runs forecast no time of one series in common", cure=cure)
    gone = in_old & ~in_new.any(1, keepdims=True)
    added = in_new & ~in_old.any(1, keepdims=True)
    series, time = np.nonzero(both | gone | added)
    was = np.nan_to_num(old[series, time])
    now = np.nan_to_num(new[series, time])
    both = both[series, time]
    cells = ids, series[both], times[time[both]]
    points = dict(replay_steps(before, after, cells))
    steps = by_step(was, now, both, points)
    grids = [_grid(frame, names, times) for frame in published]
    shown = [np.nan_to_num(grid[series, time]) for grid in grids]
    shown_was, shown_now = shown
    steps[REPLAY_STEPS.index(PEOPLE)] = shown_now - now - (shown_was - was)
    return Changes(ids, series, times[time], shown_was, shown_now, both, steps)


def _grid(frame: pd.DataFrame, names: list[str], times: Numbers) -> Numbers:
    """The forecasts of a run, [series, times]; NaN if it has none."""
    cells = frame.pivot(index="series", columns="instant", values="forecast")
    return cells.reindex(index=names, columns=times).to_numpy()

"""Runs in a ledger, each with its number in every column, so that half a run is seen."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from forecast.artifacts.store import runs_folder
from forecast.jobs import ledger as module
from forecast.jobs.ledger import LEDGER_FILE, PUBLISHED, RAW, DayScore, Ledger, open_file
from forecast.jobs.record import Record

SERIES = 20
VAGUE = {"pread64": (76,), "openat": (73,), "newfstatat": (73,), "access": (73,), "fcntl": (75,)}
"""Exit codes of errors whose reason SQLite does not tell, by the call that fails."""

module.LEDGER_PATIENCE = (
    0.2  # seconds; nobody else writes, and a lock that cannot be had would take half a minute
)


def ledger_file(place: Path) -> Path:
    """The ledger beside the store of a scene."""
    return runs_folder(str(place / "store")) / LEDGER_FILE


def ledger_at(place: Path) -> Ledger:
    """The same as its job sees it."""
    return Ledger("nightly", partial(open_file, ledger_file(place)))


def add_run(place: Path, number: int, horizon: int) -> None:
    """Add a run in one transaction: its record, its forecasts and its scores."""
    rows = SERIES * horizon
    codes = np.repeat(np.arange(SERIES), horizon)
    series = pd.Categorical.from_codes(codes, pd.Index([f"s{one:02}" for one in range(SERIES)]))
    numbers = dict.fromkeys(["unit", *PUBLISHED, *RAW], float(number))
    steps = np.tile(np.arange(1, horizon + 1), SERIES)
    kept = pd.DataFrame({"series": series, "step": steps, "instant": np.arange(rows), **numbers})
    scores = [DayScore(instant(number), number, None, None, None, None)]
    record = Record(
        id="", job="nightly", as_of=instant(number), started="", seconds=number, exit_code=0
    )
    ledger_at(place).add_run(record, kept, scores)


def numbers_in_ledger(place: Path, horizon: int) -> list[int]:
    """The numbers of its runs, newest first, each of them whole; none without a ledger, or before its first run.

    Raises
    ------
    ValueError
        If a part of a run is there without the rest.
    """
    ledger = ledger_at(place)
    numbers = [int(record.seconds) for record in ledger.runs(1000)]
    kept = {
        at: rows for frame in ledger.forecasts("9", 1000) for at, rows in frame.groupby("as_of")
    }
    for number in numbers:
        own = (
            kept[instant(number)][PUBLISHED].to_numpy() if instant(number) in kept else np.empty(0)
        )
        if own.shape != (SERIES * horizon, 5) or (own != number).any():
            raise ValueError(f"run {number} has {len(own)} forecasts of {SERIES * horizon}")
    days = {day.day: day.count for day in ledger.days(1000)}
    if len(kept) != len(numbers) or days != {instant(number): number for number in numbers}:
        raise ValueError(f"runs {numbers} with forecasts of {len(kept)} and the scores {days}")
    return numbers


def instant(number: int) -> str:
    """The as-of of a run."""
    return f"2026-03-01T{number // 60:02}:{number % 60:02}:00+00:00"

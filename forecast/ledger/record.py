"""The record of a run: one JSON object, in run.json and in the ledger."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel

from forecast.errors import Message, as_flag
from forecast.logs import listening

FILE = "run.json"
CLOCK_TOLERANCE = timedelta(
    hours=1
)  # by which cron starts a job sooner or later, and clocks of machines differ


class Record(BaseModel):
    """One run of a job; another run of the job as of that time replaces it."""

    id: str  # job and time
    job: str
    as_of: str  # this and the next two: UTC
    started: str
    finished: str = ""
    seconds: float = 0.0
    exit_code: int = 1
    error: str | None = None
    pipeline_sha256: str | None = None
    input: dict[
        str, Any
    ] = {}  # name, number of rows, sha256 of the file or of the rows of the query
    data_end: str | None = None  # end of the newest observed period, on the clock of the table
    data_age: float | None = None  # of that end at `as_of`, in seconds
    horizon_over: bool = False  # `as_of` lies beyond the newest value by more than a horizon
    version: str | None = None  # that forecast
    hash: str | None = None
    train_end: str | None = None  # the newest time that the version was fitted to
    # a run as of this time has succeeded; repeated runs use its version and intervals
    settled: bool = False
    fit: dict[str, Any] = {}  # if this run fitted: the reason, and whether the version was promoted
    counts: dict[str, int] = {}  # series and rows of the forecast, series skipped
    skipped: dict[str, str] = {}
    intervals: tuple[float, float] = (
        1.0,
        1.0,
    )  # factors by which the 80 and 95 % intervals were changed
    drift: dict[str, float] = {}  # against the data of the fit
    scores: list[dict[str, Any]] = []
    totals: list[dict[str, Any]] = []  # scores of sums of earlier runs, by level
    checks: dict[
        str, dict[str, float]
    ] = {}  # statistics of the checks of values and forecasts, by their names
    findings: list[str] = []  # the checks that said something
    held: bool = False  # the runs of a week before had found it, so that it counts as right
    revised: list[str] = []  # times of earlier runs whose newest values have changed since
    actuals: dict[str, Any] = {}  # values since the last run beside its intervals
    blocked: dict[
        str, Any
    ] = {}  # by a check: the folder that keeps the run, and whether it was accepted
    output: dict[str, Any] = {}  # file and table written, and the sha256 of the file
    limits: dict[str, str | None] = {}  # for the age of the data
    warnings: list[str] = []
    packages: dict[str, str] = {}

    @property
    def ahead_of_clock(self) -> bool:
        """Whether the run is dated beyond its clock: what it leaves gives way to ordinary runs."""
        clock = datetime.fromisoformat(self.started or self.as_of)
        return datetime.fromisoformat(self.as_of) > clock + CLOCK_TOLERANCE

    @property
    def dated_ahead(self) -> bool:
        """Whether the run is dated beyond its clock or its data, so that it teaches nothing."""
        return self.ahead_of_clock or self.horizon_over


def sha256_of_file(path: str) -> str | None:
    """The sha256 of an ordinary file; None for anything else."""
    if not Path(path).is_file():
        return None
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_frame(frame: pd.DataFrame) -> str:
    digest = hashlib.sha256("\n".join(map(str, frame.columns)).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()


def written_later(
    runs: Sequence[Record], as_of: str, output: Mapping[str, str | None]
) -> str | None:
    """The time of the newest later run with the same output; `runs` are newest first."""
    later = [run for run in runs if run.as_of > as_of and not run.ahead_of_clock]
    same = (
        run.as_of
        for run in later
        if any(run.output.get(key) == place for key, place in output.items() if place)
    )
    return next(same, None)


@contextmanager
def warnings_into(texts: list[str], hidden: Callable[[str], str] = str) -> Iterator[None]:
    """Collect what this thread warns of, less what is to be hidden."""

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            texts.append(hidden(Message.of(record).render(as_flag)))
        return True

    with listening(collect):
        yield

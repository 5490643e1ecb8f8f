"""The record of a run: one JSON object, in run.json and in the ledger."""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
from pydantic import BaseModel

from forecast.errors import INCOMPLETE, Message, as_flag
from forecast.logs import add_listener
from forecast.settings import Facts

RECORD_FILE = "run.json"
CLOCK_TOLERANCE = timedelta(
    hours=1
)  # cron may start a job so much early or late, and the clocks of two machines may differ so much


class Record(BaseModel):
    """The record of one run of a job; a later run as of the same time replaces it."""

    id: str  # made of the job and the time
    job: str
    as_of: str  # the time that the run forecasts from; this, `started` and `finished` are in UTC
    started: str
    finished: str = ""
    seconds: float = 0.0
    exit_code: int = 1
    error: str | None = None
    pipeline_sha256: str | None = None
    # name, number of rows, and sha256 of the file or of the rows that the query returned
    input: Facts = {}
    data_end: str | None = None  # end of the newest observed period, on the clock of the table
    data_age: float | None = None  # seconds from `data_end` to `as_of`
    horizon_over: bool = False  # whether `as_of` is more than a horizon after the newest value
    version: str | None = None  # the version that made the forecast
    hash: str | None = None  # the hash of that version
    train_end: str | None = None  # the newest time that the version was fitted to
    # whether a run as of this time has published; if so, a repeated run keeps its version and its
    # interval factors
    settled: bool = False
    # if this run fitted: the reason for the fit, and whether the version was promoted
    fit: Facts = {}
    # numbers of series and of rows in the forecast, and of skipped series
    counts: dict[str, int] = {}
    skipped: dict[str, str] = {}
    # factors by which the 80 % and the 95 % interval were widened or narrowed
    intervals: tuple[float, float] = (1.0, 1.0)
    scores: list[Facts] = []  # scores of earlier forecasts
    totals: list[Facts] = []  # scores of earlier forecasts of sums, by level of the sums
    at_lag: Facts = {}  # scores of earlier forecasts of the lag of [monitoring]: `scores_at_lag`
    # statistics of each check of values and forecasts, by the name of the check
    checks: dict[str, dict[str, float]] = {}
    findings: list[str] = []  # names of the checks that found something
    # whether all runs of the past week had found this or its cause, and no check blocks the run:
    # the finding then counts as the new normal
    held: bool = False
    revised: list[str] = []  # times of earlier runs whose newest values have changed since then
    # the values since the last run, compared with its intervals; `overrides` has the value that
    # overrides of earlier runs added, by who made them
    actuals: Facts = {}
    blocked_by: list[str] = []  # names of the findings for which a check blocked the run
    accepted: list[str] = []  # those of them that the user accepted when the run was repeated
    output: Facts = {}  # the file and the table written, and the sha256 of the file
    limits: dict[str, str | None] = {}  # limits for the age of the data
    warnings: list[str] = []
    packages: dict[str, str] = {}

    @property
    def published(self) -> bool:
        """Whether the run has ended and written its forecasts."""
        return self.exit_code in (0, INCOMPLETE)

    @property
    def blocked(self) -> bool:
        """Whether a check has blocked the run, and its acceptance has not published since."""
        return bool(self.blocked_by) and not self.published

    @property
    def ahead_of_clock(self) -> bool:
        """Whether `as_of` is more than an hour later than the clock was when the run started.

        An ordinary run with the same newest values replaces the rows of such a run.
        """
        clock = datetime.fromisoformat(self.started or self.as_of)
        return datetime.fromisoformat(self.as_of) > clock + CLOCK_TOLERANCE

    @property
    def dated_ahead(self) -> bool:
        """Whether `as_of` is ahead of the clock, or more than a horizon after the newest value.

        Later runs learn nothing from such a run.
        """
        return self.ahead_of_clock or self.horizon_over


def sha256_of_file(path: str) -> str | None:
    """Return the sha256 of an ordinary file, and None for anything else."""
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
    """Return the time of the newest later run that wrote to the same output, or None.

    `runs` are sorted, newest first.
    """
    later = [run for run in runs if run.as_of > as_of and not run.ahead_of_clock]
    same = (
        run.as_of
        for run in later
        if any(run.output.get(key) == place for key, place in output.items() if place)
    )
    return next(same, None)


@contextmanager
def warnings_into(texts: list[str], hidden: Callable[[str], str] = str) -> Iterator[None]:
    """Collect the warnings of this thread in `texts`; `hidden` removes secrets from each.

    A warning is logged once, though the fit and the forecast of a night both give it.
    """

    def collect(record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        text = hidden(Message.from_record(record).render(as_flag))
        is_new = text not in texts
        if is_new:
            texts.append(text)
        return is_new

    with add_listener(collect):
        yield

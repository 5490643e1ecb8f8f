"""Publish a run, make its refit live, and find the run that a user accepts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.store import Store, Writer, runs_folder
from forecast.calendar.spec import as_text
from forecast.durable import make_directory, replace_file
from forecast.errors import ForecastError, UsageError
from forecast.inference.forecasting import Forecasts
from forecast.jobs import sinks
from forecast.jobs.administration import build_status, claim_sinks, open_ledger
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.ledger import MAX_RECORDS, DayScore, FitEntry, Ledger
from forecast.jobs.monitoring import exposition
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import CLOCK_TOLERANCE, RECORD_FILE, Record
from forecast.jobs.sinks import Results, SinkSettings
from forecast.logs import log
from forecast.panel.panel import Ids
from forecast.panel.schema import build_calendar
from forecast.settings import Facts
from forecast.tables.writing import build_frame
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals


@dataclass(frozen=True)
class Publication:
    """All that a run writes after its forecasts are made."""

    record: Record
    tables: list[Results]  # forecasts and sums of them, one for each sink
    series: Ids  # ids of the forecasts
    forecasts: pd.DataFrame  # for the ledger
    # for the ledger, by its tables: inputs as bytes, sums and overrides as frames
    more: Mapping[str, Any]
    days: list[DayScore]  # scores of earlier runs
    fit: FitEntry | None = None

    def publish(self, pipeline: Pipeline, ledger: Ledger, takes_over: bool | None) -> None:
        """Write the sinks, then the ledger, which says which version is to go live after that.

        The sinks are claimed, or even taken from other jobs, unless `takes_over` is None.
        """
        if takes_over is not None:
            claim_sinks(pipeline, self.series, takes_over, write=True)
        facts = sinks.write(list(zip(pipeline.sinks.values(), self.tables, strict=True)))
        # not earlier, or a run that fails here would seem to have written its output
        written = [places(pipeline, sink) for sink in pipeline.sinks.values()]
        self.record.output |= written[0] | facts
        if len(written) > 1:
            self.record.output["totals"] = written[1:]
        was_settled = self.record.settled
        self.record.settled = True
        if self.fit is not None:
            self.record.fit["promoted"] = self.fit.promoted
        try:
            ledger.add_run(self.record, self.forecasts, self.days, self.fit, self.more)
        except ForecastError as error:
            self.record.settled = was_settled
            written_places = "; ".join(destinations(pipeline))
            text = f"these are new, and the ledger does not know it: {written_places}"
            cures = [str(error.cure), text, "the next run writes them anew"]
            error.cure = "; ".join(filter(None, cures))
            raise


def build_tables(
    pipeline: Pipeline, live: ServingVersion, forecasts: Forecasts, sums: list[Totals]
) -> list[Results]:
    """The table of forecasts, and the tables of sums, as sinks write them."""
    results = partial(Results, version=live.version, output=pipeline.output)
    calendar = build_calendar(live.schema)
    panel = forecasts.panel
    origins = panel.origins[forecasts.series, None]  # [series, 1]
    steps = np.arange(1, forecasts.quantiles.shape[1] + 1)
    of_series = results(
        explained=build_frame(forecasts.columns),
        times=calendar.times((origins + steps).ravel()),
        origins=calendar.times(origins.repeat(len(steps))),
        schema=live.schema,
    )
    tables = [of_series]
    newest = calendar.times(np.array([panel.origin]))
    for totals in sums:
        frame = build_frame(totals.columns())
        ids = ("level", *key_columns(totals.sum_levels, live.schema))
        of_sums = results(
            explained=frame,
            times=totals.times,
            origins=newest.repeat(len(frame)),
            schema=live.schema.model_copy(update={"ids": ids}),
        )
        tables.append(of_sums)
    return tables


def run_to_accept(ledger: Ledger) -> Record:
    """The newest run that a check blocked; UsageError if none is, or a later run has published."""
    job = f"job '{ledger.job}'"
    runs = ledger.runs(MAX_RECORDS)
    blocked = find_blocked_run(runs)
    if blocked is None:
        raise UsageError(f"{job}: no run is blocked, so that there is nothing to accept")
    later = [run.as_of for run in runs if run.as_of > blocked.as_of and run.settled]
    if later:
        problem = f"the run as of {later[0]} has published since that of {blocked.as_of}"
        raise UsageError(f"{job}: {problem} was blocked")
    return blocked


def find_blocked_run(runs: Sequence[Record]) -> Record | None:
    """The run that a check blocked last."""
    blocked = [run for run in runs if run.blocked]
    return max(blocked, key=lambda run: run.started, default=None)


def finish_promotion(ledger: Ledger, store: Store, writer: Writer) -> None:
    """Make the newest promoted version live, of this run or of one that was killed before that."""
    clock = as_text(datetime.now(UTC) + CLOCK_TOLERANCE)
    owed = [fit.version for fit in ledger.fits(clock) if fit.goes_live]
    if not owed or not (store.path / owed[-1]).exists():
        return
    # a newer version is live because a user chose it
    if store.empty or store.current() < owed[-1]:
        writer.promote(owed[-1])


def destinations(pipeline: Pipeline) -> list[str]:
    """The files and tables of the forecasts, then those of each table of sums."""
    return [", ".join(places(pipeline, sink).values()) for sink in pipeline.sinks.values()]


def places(pipeline: Pipeline, sink: SinkSettings) -> Facts:
    """The files and tables of a sink, by key, as the record shows them."""
    return {key: pipeline.hidden(place) for key, place in sink.places.items()}


def write_record(record: Record, pipeline: Pipeline) -> None:
    """Write the newest record of a job, and its gauges where the file has [monitoring]."""
    path = runs_folder(pipeline.store) / RECORD_FILE
    make_directory(path.parent)
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())
    if pipeline.monitoring.path is None:
        return
    path = Path(pipeline.monitoring.path)
    try:
        state = build_status(open_ledger(pipeline), pipeline.store)
        make_directory(path.parent)
        replace_file(path, f"{exposition([state])}\n".encode())
    except ForecastError as error:  # the forecasts are written, and matter more
        log.warning("the gauges could not be written: %s", error)

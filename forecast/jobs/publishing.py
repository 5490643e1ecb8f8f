"""Record a run, publish it, make its refit live, and find the run that a user accepts."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.store import Store, Writer, runs_folder
from forecast.calendar.spec import as_text
from forecast.durable import make_directory, replace_file
from forecast.errors import (
    INCOMPLETE,
    Blocked,
    ForecastError,
    Interrupted,
    UsageError,
    as_flag,
    render,
)
from forecast.inference.forecasting import Forecasts
from forecast.inference.overrides import apply_overrides
from forecast.jobs import inputs, sinks
from forecast.jobs.administration import build_status, claim_sinks, open_ledger
from forecast.jobs.checks import accuracy
from forecast.jobs.checks import age as table_checks
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.ledger import (
    INPUTS_TABLE,
    KILLED,
    MAX_RECORDS,
    OVERRIDES,
    TOTALS_TABLE,
    DayScore,
    FitEntry,
    Ledger,
)
from forecast.jobs.monitoring import exposition
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import CLOCK_TOLERANCE, RECORD_FILE, Record, warnings_into, written_later
from forecast.jobs.replay import pack_run
from forecast.jobs.sinks import Results, SinkSettings
from forecast.jobs.sum_scores import compute_totals, sums_to_keep
from forecast.logs import held_back, log
from forecast.panel.panel import Id, Ids, ids_at, series_key, series_names
from forecast.panel.schema import build_calendar
from forecast.registry import explain_error
from forecast.settings import Facts
from forecast.tables.writing import build_frame
from forecast.totals.orders import order_columns
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals
from forecast.training.plan import Progress

SKIPPED_NAMED = 10  # a message names at most so many series without a forecast
MAX_RECORDED = 100  # the record names at most so many series without a forecast


@dataclass
class Run:
    """A run in progress, and what it leaves behind if it fails.

    `Record` says when a run is settled, ahead of its clock, and dated ahead.

    Attributes
    ----------
    accepted : an earlier run with the same `as_of` that a check blocked and the user then accepted
    kept : what the ledger keeps although the run fails, by its tables: values known in advance that
        differ from what earlier runs knew, and what a check blocked
    """

    pipeline: Pipeline
    instant: datetime
    record: Record
    store: Store
    writer: Writer
    ledger: Ledger
    takes_over: bool | None  # whether sinks of other jobs are; None if a file takes their place
    on_step: Callable[[Progress], None] | None
    began: float = field(default_factory=time.monotonic)
    accepted: Record | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def publishes(self) -> bool:
        return self.takes_over is not None


def begin(run: Run, warn_of_later: bool) -> None:
    """Record that the run has begun, so that the ledger shows it even if the process is killed."""
    record = run.record
    ledger = run.ledger
    for before in ledger.runs(1, record.as_of):
        if before.as_of == record.as_of and before.settled:
            record.settled = True
            record.version = before.version
            record.intervals = before.intervals
            run.accepted = before if before.accepted else None
    later = None
    if warn_of_later:
        written = places(run.pipeline, run.pipeline.sink)
        later = written_later(ledger.runs(accuracy.NEWEST_RUNS), record.as_of, written)
    killed = {"exit_code": KILLED, "error": "it began, and did not end; run it again"}
    ledger.add_run(record.model_copy(update=killed))
    if later is not None:
        text = "the run as of %s already wrote the output, and this one, as of %s"
        cure = "replaces it with an older forecast; --output FILE writes elsewhere"
        log.warning(f"{text}, {cure}", later, record.as_of)


@contextmanager
def recorded(run: Run) -> Iterator[None]:
    """Write the record, also of a run that fails."""
    record = run.record
    pipeline = run.pipeline
    try:
        with warnings_into(record.warnings, pipeline.hidden):
            yield
    except BaseException as error:
        failure = error if isinstance(error, Interrupted) else explain_error(error)
        record.error = pipeline.hidden(render(failure, as_flag)).split("\n")[0]
        record.exit_code = failure.exit_code
        try:
            finish(run)
            published = run.accepted if isinstance(error, Blocked) else None
            run.ledger.add_run(published or record, more=run.kept)
            write_record(record, pipeline)
        except ForecastError as other:  # the error being raised matters more
            log.warning("the failure could not be recorded: %s", other)
        raise
    write_record(record, pipeline)


def finish(run: Run) -> None:
    run.record.seconds = round(time.monotonic() - run.began, 3)
    run.record.finished = as_text(datetime.now(UTC))


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
        if pipeline.orders.items is not None:
            self.record.output["orders"] = written.pop()
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
    if pipeline.orders.items is not None:
        frame = build_frame(
            order_columns(live.predictor, forecasts, pipeline.output, pipeline.orders.items, True)
        )
        last = calendar.positions(newest) + frame["protection"].to_numpy()
        of_orders = results(
            explained=frame,
            times=calendar.times(last),
            origins=newest.repeat(len(frame)),
            schema=live.schema,
        )
        tables.append(of_orders)
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


def build_publication(
    run: Run,
    forecasts: Forecasts,
    totals: list[Totals],
    serving: ServingVersion,
    days: list[DayScore],
    lagging: Ids,
    entry: FitEntry | None,
) -> Publication:
    """What is written to sinks and ledger: forecasts, sums, and scores of earlier forecasts."""
    pipeline = run.pipeline
    record = run.record
    more = {**run.kept}
    # checks and ledger have seen what the model says; what people say is published beside it
    fitted = serving.fitted
    output = inputs.explained_output(pipeline)
    people = pipeline.table.overrides
    # rows expire by themselves, and nobody is up at night to take them out
    published, overrides = apply_overrides(forecasts, fitted, output, people, may_be_over=True)
    published_sums = totals
    if people is not None:
        more[OVERRIDES] = pd.DataFrame()  # instead of those of an earlier run with this `as_of`
    if overrides is not None:
        with held_back():
            published_sums = compute_totals(pipeline, serving, published)
        more[OVERRIDES] = accuracy.overrides_to_keep(published, overrides, serving.schema)
    tables = build_tables(pipeline, serving, published, published_sums)
    incomplete = _find_incomplete_series(run, forecasts, lagging)
    record.exit_code = INCOMPLETE if incomplete else 0
    record.counts = {
        "series": len(forecasts.series),
        "rows": forecasts.rows,
        "skipped": len(forecasts.skipped),
    }
    if pipeline.totals:
        record.counts["sums"] = sum(len(table.explained) for table in tables[1 : 1 + len(totals)])
    skipped = list(forecasts.skipped.items())[:MAX_RECORDED]
    record.skipped = {series_key(ids): status for ids, status in skipped}

    before = {day.day: day for day in run.ledger.days(MAX_RECORDS, record.as_of)}
    # a day that was scored on more values before keeps its score: since then the ledger has thinned
    # old forecasts to a sample
    scores = {
        score.day: score
        for score in days
        if score.day not in before or before[score.day].count <= score.count
    }
    changed = [score for day, score in scores.items() if score != before.get(day)]
    newest = sorted((before | scores).items())[-7:]
    record.scores = [vars(score) for _, score in newest]

    more[INPUTS_TABLE] = pack_run(fitted, forecasts.panel, pipeline.output)
    if totals:
        more[TOTALS_TABLE] = sums_to_keep(totals, forecasts)
    finish(run)
    return Publication(
        record=record,
        tables=tables,
        series=ids_at(forecasts.panel, forecasts.series),
        forecasts=accuracy.forecasts_to_keep(forecasts, fitted),
        more=more,
        days=changed,
        fit=entry,
    )


def _find_incomplete_series(run: Run, forecasts: Forecasts, lagging: Ids) -> list[Id]:
    """The ids of series for which a run counts as incomplete; warns of them."""
    required = run.pipeline.checks.require_all
    series = table_checks.find_unforecast_series(forecasts.skipped, required)
    if required:
        series += [ids for ids in lagging if ids not in series]
    if series:
        names = series_names(series, SKIPPED_NAMED)
        text = "%d series got no forecast, or one from old values: %s"
        log.warning(text, len(series), names)
    return series

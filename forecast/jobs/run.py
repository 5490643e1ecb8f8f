"""One run of a job: read, check, fit when due, forecast, write, record; all of it or nothing."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.checkpoints import Checkpoints
from forecast.artifacts.format import installed
from forecast.artifacts.store import Store, Writer, check_apart
from forecast.calendar.spec import as_text, parse_as_of
from forecast.changes.replay import RunInput, packed, unpacked
from forecast.checks import accuracy
from forecast.checks import table as table_checks
from forecast.checks.actual import Night
from forecast.checks.promotion import ServingVersion, should_promote
from forecast.engine.exporting import with_exports
from forecast.engine.fit import fit
from forecast.engine.requests import Callbacks, FitRequest
from forecast.errors import (
    INCOMPLETE,
    Blocked,
    ForecastError,
    Interrupted,
    as_flag,
    raise_if_interrupted,
    render,
)
from forecast.inference.contents import to_contents
from forecast.inference.fitted import describe_fit
from forecast.inference.forecasting import ForecastOptions, forecast_table, load_predictor
from forecast.inference.predictor import Predictor
from forecast.intervals.corrections import factors_of_levels, interval_factors
from forecast.jobs import gate, inputs
from forecast.jobs.administration import claimed, ledger_of
from forecast.jobs.ping import ping
from forecast.jobs.pipeline import Pipeline, files_read, keys_named
from forecast.jobs.publishing import (
    Publication,
    destinations,
    finish_accepted,
    places,
    promote_owed,
    write_record,
)
from forecast.jobs.refit import settings_of_fit
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sum_scores import compare_sums, sums_to_keep
from forecast.ledger.ledger import (
    DAMAGED,
    INPUTS,
    KILLED,
    MAX_RECORDS,
    TOTALS,
    UNFINISHED,
    DayScore,
    FitEntry,
    Ledger,
)
from forecast.ledger.record import (
    Record,
    sha256_of_file,
    sha256_of_frame,
    warnings_into,
    written_later,
)
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.reading import Reading, Source, check_to_fit, describe_reading
from forecast.registry import explained
from forecast.tables.table import Table
from forecast.tables.writing import check_output
from forecast.training.context import Progress

NAMED_SERIES, MAX_RECORDED = 10, 100  # series without a forecast that a message and the record name


def run_job(
    pipeline: Pipeline,
    *,
    as_of: str | None = None,
    output: str | None = None,
    resume: bool = False,
    take_over: bool = False,
    on_step: Callable[[Progress], None] | None = None,
) -> Record:
    """Run a job once, and return the record that the ledger keeps of it.

    The store is held from start to end. A new version is saved, the sink's table is written in one transaction, its
    file is replaced, the ledger gets the run and its fit, and the version goes live, in this order. A run killed before
    the ledger has it is repaired by running it again with its `as_of`, one that was killed later by the next run.

    Parameters
    ----------
    as_of : the time of the run; default that of the pipeline, else now
    output : a file to write in the place of the pipeline's, whose database is left alone then
    resume : go on with a fit that was stopped
    take_over : take the store and the sinks from the job that they belong to
    on_step : is given the progress of a fit after each training step

    Raises
    ------
    ForecastError
        As reading, fitting, predicting and writing do; the record says so too. Before there is one: Busy, if another
        run holds the store; UsageError, if the store belongs to another job.
    """
    with pipeline.hidden.kept_out():
        instant = parse_as_of(pipeline.as_of if as_of is None else as_of)
        pipeline._take_over = take_over if output is None else None
        store = Store(pipeline.store)
        if output is not None:
            check_output(output)
            check_apart(output, files_read(pipeline), pipeline.store)
            if pipeline.totals:
                log.info("totals   are not written: --output takes the place of the sinks")
            pipeline = pipeline.model_copy(update={"sink": SinkSettings(path=output), "totals": ()})
        job = pipeline.hidden(pipeline.name or "job")
        at = as_text(instant)
        started = as_text(
            datetime.now(UTC), "milliseconds"
        )  # runs may follow each other within a second
        with store.lock(pipeline.wait) as writer, claimed(pipeline, take_over):
            ledger = ledger_of(pipeline)
            record = Record(
                id=f"{job}/{at}", job=job, as_of=at, started=started, packages=installed()
            )
            record.pipeline_sha256 = sha256_of_file(pipeline.file)
            run = _Run(pipeline, instant, record, store, writer, ledger, resume, on_step)
            with _recorded(run):
                _begin(run, warn_of_later=output is None)
                with keys_named():
                    _read_fit_forecast_write(run)
    return record


@contextmanager
def _recorded(run: "_Run") -> Iterator[None]:
    """Write the record of a run that fails, and tell the ping how it ended."""
    record, pipeline = run.record, run.pipeline
    try:
        with warnings_into(record.warnings, pipeline.hidden):
            ping(pipeline.ping, "start")
            yield
    except BaseException as error:
        known = error if isinstance(error, Interrupted) else explained(error)
        record.error = pipeline.hidden(render(known, as_flag)).split("\n")[0]
        record.exit_code = known.exit_code
        try:
            _finish(run)
            published = run.accepted if isinstance(error, Blocked) else None
            run.ledger.add_run(published or record, more=run.known)
            write_record(record, pipeline)
        except ForecastError as other:  # the error on its way matters more
            log.warning("the failure could not be recorded: %s", other)
        ping(pipeline.ping, "fail", record.error)
        raise
    write_record(record, pipeline)
    ping(
        pipeline.ping,
        "" if record.exit_code == 0 else "fail",
        record.model_dump_json(include={"counts", "warnings"}),
    )


@dataclass
class _Run:
    pipeline: Pipeline
    instant: datetime
    record: Record
    store: Store
    writer: Writer
    ledger: Ledger
    resume: bool
    on_step: Callable[[Progress], None] | None
    began: float = field(default_factory=time.monotonic)
    days: list[DayScore] = field(default_factory=list)  # scores of earlier forecasts
    lagging: list[tuple[str, ...]] = field(default_factory=list)  # series without a recent value
    last: pd.DataFrame | None = None  # what the last run published
    night: Night = field(
        init=False
    )  # the panel of this run, and what its newest values are compared with
    streaks: accuracy.Streaks = field(default_factory=dict)
    fit: FitEntry | None = None  # of this run
    checkpoints: Checkpoints | None = None  # of that fit
    known: dict[str, bytes] = field(
        default_factory=dict
    )  # in advance and not by earlier runs, for the ledger
    accepted: Record | None = (
        None  # an earlier run as of this time that a check blocked, and that was published
    )


def _finish(run: _Run) -> None:
    run.record.seconds, run.record.finished = (
        round(time.monotonic() - run.began, 3),
        as_text(datetime.now(UTC)),
    )


def _begin(run: _Run, warn_of_later: bool) -> None:
    """Write down that the run has begun, so that a kill leaves a trace."""
    record, ledger = run.record, run.ledger
    for before in ledger.runs(1, record.as_of):
        if before.as_of == record.as_of and before.settled:
            record.settled, record.version, record.intervals = (
                True,
                before.version,
                before.intervals,
            )
            run.accepted = before if before.blocked.get("accepted") else None
    written = places(run.pipeline, run.pipeline.sink)
    later = (
        written_later(ledger.runs(accuracy.NEWEST), record.as_of, written)
        if warn_of_later
        else None
    )
    ledger.add_run(
        record.model_copy(
            update={"exit_code": KILLED, "error": "it began, and did not end; run it again"}
        )
    )
    if later is not None:
        text = "the run as of %s already wrote the output, and this one, as of %s, replaces it with an older forecast"
        log.warning(f"{text}; --output FILE writes elsewhere", later, record.as_of)


def _read_fit_forecast_write(run: _Run) -> None:
    """The steps of a run, in order; what a kill leaves undone after a step, the next run finishes or repeats."""
    pipeline, record, ledger = run.pipeline, run.record, run.ledger
    finish_accepted(pipeline, ledger, run.store, run.writer)
    promote_owed(ledger, run.store, run.writer)
    live, why, as_before, table, defaults, future = inputs.look(
        pipeline, run.store, ledger, run.instant
    )
    digest = table.sha256 or sha256_of_frame(table.frame)
    record.input = {"name": pipeline.hidden(table.name), "rows": len(table), "sha256": digest}
    source: Source
    if live is None or why:
        live, source = _fit(run, why, as_before, live, table, defaults)
    else:
        source = inputs.read_to_forecast(pipeline, run.instant, table, live.schema)
        for fit in ledger.fits(record.as_of):
            if fit.as_of == record.as_of:
                why = "fitted by an earlier run as of this instant"
                record.fit = {
                    "why": why,
                    "version": fit.version,
                    "promoted": fit.promoted,
                    "verdict": fit.reason,
                }
    serves, schema, published = live, live.schema, record.settled
    record.version, record.hash, record.train_end = (
        live.version,
        live.hash,
        live.fitted.config.train_end,
    )
    forecasts = forecast_table(
        live.predictor,
        source,
        future=future,
        output=inputs.explained_output(pipeline).model_copy(
            update={"excel_safe": False}
        ),  # ids as they are
        on_panel=lambda panel: _check(run, panel, source.name, serves),
    )
    if not record.ahead_of_clock:
        run.known = inputs.known_differences(pipeline, forecasts.panel, schema, run.instant)
    passed = gate.checked(pipeline, live, forecasts, record, run.last, run.night)
    raise_if_interrupted()
    publication = _publication(run, passed, forecasts.panel, live)
    if passed.problems:
        if pipeline._take_over is not None:  # what --output asks for is no publication of the job
            record.blocked = publication.keep(pipeline)
        record.settled = published
    else:
        publication.publish(pipeline, ledger)
    if run.checkpoints is not None:
        run.checkpoints.discard()
        promote_owed(ledger, run.store, run.writer)
    gate.refuse(passed)


def _fit(
    run: _Run,
    why: str,
    as_before: Schema | None,
    live: ServingVersion | None,
    table: Table,
    defaults: dict[str, Any],
) -> tuple[ServingVersion, Reading]:
    """Fit, save, and compare; the version that forecasts tonight, and the table as it reads it."""
    pipeline, train, began = run.pipeline, run.pipeline.train, time.monotonic()
    reading, dated = inputs.read_to_fit(pipeline, run.instant, table, defaults, as_before)
    if pipeline.checks.error_after is not None:
        _check_age(run, reading.panel, reading.schema, table.name)
    inputs.check_periods(
        pipeline, reading.schema, int(reading.panel.origins.max()), reading.panel.ahead
    )
    log.info("fit      %s", why)
    check_to_fit(reading)
    for line in describe_reading(reading):
        log.info("%s", line)
    run.checkpoints = run.writer.checkpoints(run.resume)
    fitted = fit(
        FitRequest(
            reading,
            train,
            earlier=None if live is None else live.fitted,
            started=began,
            callbacks=Callbacks(on_step=run.on_step),
            checkpoints=run.checkpoints,
        )
    ).fitted

    @cache
    def as_live() -> Reading:
        if live is None:
            return reading
        return inputs.read_as_live(
            pipeline, run.instant, reading, dated, live.schema, live.fitted.config.horizon
        )

    promoted, verdict = should_promote(fitted, live, as_live, pipeline.checks.require_all)
    verdict = pipeline.hidden(verdict)
    newest = run.store.empty if live is None else live.version == run.store.current()
    promoted &= not run.record.ahead_of_clock
    begun = FitEntry(run.record.as_of, "", False, UNFINISHED, settings_of_fit(pipeline))

    def announce(
        version: str,
    ) -> None:  # a kill leaves a version that nothing takes for one that was live
        run.ledger.add_fit(replace(begun, version=version))

    contents = to_contents(fitted := with_exports(fitted))
    created = min(run.instant, datetime.now(UTC))
    version = run.writer.save(
        contents, pipeline.keep, created, promote=False, reuse=True, announce=announce
    )
    run.fit = replace(
        begun, version=version.id, promoted=promoted, reason=verdict, goes_live=promoted and newest
    )
    run.record.fit = {
        "why": pipeline.hidden(why),
        "version": version.id,
        "promoted": False,
        "verdict": verdict,
    }
    if live is not None and (missing := sorted(set(live.fitted.ids) - set(fitted.ids))):
        names = series_names(missing)
        log.warning(
            "%d series of %s are not in the table any more (%s)", len(missing), live.version, names
        )
    for line in describe_fit(fitted):
        log.info("%s", line)
    if promoted or live is None:
        log.info("gate     %s passes: %s", version.id, verdict)
        return ServingVersion(
            version.id, Predictor(fitted, train.device, train.engine), version.hash
        ), reading
    log.warning("%s does not go live: %s; %s still forecasts", version.id, verdict, live.version)
    return live, as_live()


def _check(run: _Run, panel: Panel, name: str, live: ServingVersion) -> ForecastOptions:
    config, record, schema = live.fitted.config, run.record, live.schema
    _check_age(run, panel, schema, name)
    record.horizon_over = (
        table_checks.age(panel.newest + config.horizon, schema, run.instant) or 0
    ) > 0
    if record.dated_ahead:
        of_data = "the newest value by more than a horizon: later runs set no limits by it"
        limit = "its clock: it leaves nothing to later runs" if record.ahead_of_clock else of_data
        log.warning("the run as of %s is dated ahead of %s", record.as_of, limit)
    run.lagging = table_checks.lagging(panel, schema, run.pipeline.checks, name)
    record.drift = table_checks.check_drift(
        panel, live.fitted.history, schema.shortest_season, name
    )
    if run.pipeline.totals:
        if run.fit is None:
            inputs.check_periods(run.pipeline, schema, int(panel.origins.max()), config.horizon)
        earlier = run.ledger.forecasts(record.as_of, accuracy.NEWEST, sums=True)
        record.totals = compare_sums(earlier, panel, live, run.pipeline)
    runs = [
        past
        for past in run.ledger.runs(accuracy.NEWEST + 1, record.as_of)
        if past.as_of < record.as_of
    ]
    run.night = Night(panel, schema, runs)
    for last in run.ledger.forecasts(record.as_of, 1):
        at = str(last["as_of"].iloc[0])
        run.last = last
        published = set(accuracy.ids_of(last))
        counted = next((past.counts.get("series", 0) for past in runs if past.as_of == at), 0)
        if len(published) < counted:  # the ledger has a sample of a large run
            published |= set(live.fitted.ids)
        run.night = replace(
            run.night,
            new=accuracy.NewActuals.of(last, panel, schema),
            published=published,
            before=_input_of(run, at, live),
            learned=() if live.fitted.effects is None else live.fitted.effects.labels,
        )
        before = [past.actuals for past in runs if past.settled and not past.dated_ahead]
        record.actuals, run.streaks = accuracy.since_last_run(last, panel, schema, before)
    past, run.days = accuracy.compare(
        run.ledger.forecasts(record.as_of, accuracy.NEWEST), panel, schema
    )

    def factors(series: Integers, quantiles: Numbers) -> Numbers:
        # a repeated run keeps its factors: runs of earlier times may have been repeated since
        if not record.settled:
            oldest = past.as_of[0] if past.as_of else record.as_of
            ended = run.ledger.runs(MAX_RECORDS, record.as_of, since=oldest)
            version_of = {other.as_of: other.version for other in ended}
            record.intervals = interval_factors(
                past,
                versions=[version_of.get(as_of) for as_of in past.as_of],
                version=live.version,
                current=accuracy.current_intervals(panel, series, quantiles, config.levels),
            )
        return factors_of_levels(record.intervals, config.levels)

    return ForecastOptions(factors=factors)


def _input_of(run: _Run, at: str, live: ServingVersion) -> RunInput | None:
    """What an earlier run forecast from; None where the ledger, or the version that it had, is not there any more."""
    train = run.pipeline.train
    data = run.ledger.inputs(at)
    version = next((past.version for past in run.night.runs if past.as_of == at), None)
    if data is None or version is None:
        return None
    try:
        same = version == live.version
        predictor = (
            live.predictor
            if same
            else load_predictor(run.pipeline.store, version, train.device, train.engine)
        )
        return unpacked(data, predictor, version)
    except (ForecastError, *DAMAGED):
        return None


def _check_age(run: _Run, panel: Panel, schema: Schema, name: str) -> None:
    record, limits = run.record, run.pipeline.checks
    record.data_age = table_checks.age(panel.newest, schema, run.instant)
    record.data_end = position_texts(schema, calendar_of(schema), np.array([panel.newest]))[0]
    record.limits = {"warn_after": limits.warn_after, "error_after": limits.error_after}
    table_checks.check_age(record.data_age, limits, name)


def _publication(
    run: _Run, passed: gate.CheckedForecasts, read: Panel, live: ServingVersion
) -> Publication:
    """What goes to the sinks and into the ledger: forecasts and sums, and the scores of earlier ones."""
    record, required, forecasts = run.record, run.pipeline.checks.require_all, passed.forecasts
    tables, skipped = passed.tables(run.pipeline, live), forecasts.skipped
    record.counts = {
        "series": len(forecasts.series),
        "rows": forecasts.rows,
        "skipped": len(skipped),
    }
    record.counts |= {"sums": sum(len(table.frame) for table in tables[1:])} if tables[1:] else {}
    record.skipped = {
        "/".join(series): status for series, status in list(skipped.items())[:MAX_RECORDED]
    }
    lost = table_checks.without_forecast(skipped, required)
    lost += [series for series in run.lagging if required and series not in lost]
    if lost:
        names = series_names(lost, NAMED_SERIES)
        log.warning("%d series got no forecast, or one from old values: %s", len(lost), names)
    record.exit_code, record.settled = INCOMPLETE if lost or passed.replaced else 0, True
    if run.fit is not None:
        record.fit["promoted"] = run.fit.promoted
    before = {day.day: day for day in run.ledger.days(MAX_RECORDS, record.as_of)}
    # a run that has only samples of some forecasts of a day left does not score it again
    new = {
        day.day: day
        for day in run.days
        if day.day not in before or before[day.day].count <= day.count
    }
    record.scores = [vars(score) for _, score in sorted((before | new).items())[-7:]]
    scores = [score for day, score in new.items() if score != before.get(day)]
    ids = [forecasts.panel.ids[i] for i in forecasts.series]
    to_keep = accuracy.forecasts_to_keep(forecasts, live.fitted, run.streaks)
    more: dict[str, pd.DataFrame | bytes] = {
        INPUTS: packed(live.fitted, read, run.pipeline.output, passed.replaced)
    }
    more |= run.known
    more |= {TOTALS: sums_to_keep(passed.totals, forecasts)} if passed.totals else {}
    _finish(run)
    placed = dict(zip(destinations(run.pipeline), tables, strict=True))
    return Publication(record, placed, ids, to_keep, more, scores, run.fit)

"""One run of a job: read, check, fit if due, forecast, write, record.

A run writes everything or nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.format import find_package_versions
from forecast.artifacts.store import Store, Writer, check_apart
from forecast.calendar.spec import as_text, parse_as_of
from forecast.effects.newest import warn_of_newest
from forecast.engine.fit import fit
from forecast.engine.forecast import forecast
from forecast.engine.requests import Callbacks, FitRequest, ForecastRequest
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
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.forecasting import ForecastOptions, Forecasts, load_predictor
from forecast.inference.overrides import apply_overrides
from forecast.inference.predictor import Predictor
from forecast.intervals.corrections import PastIntervals, factors_of_levels, interval_factors
from forecast.jobs import gate, inputs
from forecast.jobs.administration import claim, open_ledger
from forecast.jobs.checks import accuracy
from forecast.jobs.checks import age as table_checks
from forecast.jobs.checks.actual import Night
from forecast.jobs.checks.promotion import ServingVersion, should_promote
from forecast.jobs.ledger import (
    BLOCKED,
    BLOCKED_INPUTS,
    DAMAGE_ERRORS,
    INPUTS_TABLE,
    KILLED,
    MAX_RECORDS,
    OVERRIDES,
    TOTALS_TABLE,
    UNFINISHED_RUN,
    DayScore,
    FitEntry,
    Ledger,
)
from forecast.jobs.pipeline import Pipeline, files_read, keys_in_errors
from forecast.jobs.publishing import (
    Publication,
    finish_promotion,
    places,
    run_to_accept,
    write_record,
)
from forecast.jobs.record import (
    Record,
    sha256_of_file,
    sha256_of_frame,
    warnings_into,
    written_later,
)
from forecast.jobs.refit import settings_of_fit
from forecast.jobs.replay import RunInput, pack_run, unpack_run
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sum_scores import compare_sums, compute_totals, sums_to_keep
from forecast.logs import held_back, log
from forecast.panel.infer import Reading, Source, check_to_fit, describe_reading
from forecast.panel.naming import series_key, series_names
from forecast.panel.panel import Id, Ids, Integers, Numbers, Panel, ids_at
from forecast.panel.schema import Schema, position_texts
from forecast.panel.successors import refuse_absent
from forecast.registry import explain_error
from forecast.tables.writing import check_output
from forecast.training.plan import Progress

SKIPPED_NAMED = 10  # a message names at most so many series without a forecast
MAX_RECORDED = 100  # the record names at most so many series without a forecast


def run_job(
    pipeline: Pipeline,
    *,
    as_of: str | None = None,
    output: str | None = None,
    accept: bool = False,
    take_over: bool = False,
    on_step: Callable[[Progress], None] | None = None,
) -> Record:
    """Run a job once, and return the record that the ledger keeps of it.

    The store is locked from start to end. A new version is saved, the sink's table is written in
    one transaction, its file is replaced, the run and its fit are added to the ledger, and the
    version goes live, in this order. If a run is killed before the ledger has it, run it again with
    the same `as_of`; if it is killed later, the next run finishes its work.

    Parameters
    ----------
    as_of : the time of the run; default that of the pipeline, else now
    output : a file to write instead of the pipeline's; the database is then not written
    accept : repeat the newest run that a check blocked, and accept what it found by name, unless
        the source has changed since
    take_over : take the store and the sinks from the job that they belong to
    on_step : called with the progress of a fit after each training step

    Raises
    ------
    ForecastError
        What reading, fitting, predicting and writing raise; the record names the error, too. Before
        there is a record: Busy, if another run has locked the store; UsageError, if the store
        belongs to another job, or there is no run to accept.
    """
    with pipeline.hidden.kept_out():
        instant = parse_as_of(pipeline.as_of if as_of is None else as_of)
        pipeline._take_over = take_over
        pipeline._publishes = output is None
        store = Store(pipeline.store)
        if output is not None:
            check_apart(output, files_read(pipeline), pipeline.store)
            check_output(output)
            if pipeline.totals:
                log.info("totals   are not written: --output takes the place of the sinks")
            pipeline = pipeline.model_copy(update={"sink": SinkSettings(path=output), "totals": ()})
        job = pipeline.shown_name
        # runs may follow each other within a second
        started = as_text(datetime.now(UTC), "milliseconds")
        with store.lock(pipeline.wait) as writer:
            claim(pipeline)
            ledger = open_ledger(pipeline)
            blocked = None
            if accept:
                blocked = run_to_accept(ledger)
                instant = parse_as_of(blocked.as_of)
            at = as_text(instant)
            record = Record(
                id=f"{job}/{at}",
                job=job,
                as_of=at,
                started=started,
                packages=find_package_versions(),
            )
            if blocked is not None:  # of an acceptance that is killed, the ledger has these, too
                record.input = blocked.input
                record.blocked_by = blocked.blocked_by
                record.accepted = blocked.blocked_by
            record.pipeline_sha256 = sha256_of_file(pipeline.file)
            run = _Run(pipeline, instant, record, store, writer, ledger, on_step)
            with _record(run):
                _begin(run, warn_of_later=output is None)
                with keys_in_errors():
                    _read_fit_forecast_write(run)
    return record


@contextmanager
def _record(run: "_Run") -> Iterator[None]:
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
            _finish(run)
            published = run.accepted if isinstance(error, Blocked) else None
            run.ledger.add_run(published or record, more=run.kept)
            write_record(record, pipeline)
        except ForecastError as other:  # the error being raised matters more
            log.warning("the failure could not be recorded: %s", other)
        raise
    write_record(record, pipeline)


@dataclass
class _Run:
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
    on_step: Callable[[Progress], None] | None
    began: float = field(default_factory=time.monotonic)
    accepted: Record | None = None
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Fit:
    """A new fit, and the version that forecasts in this run.

    That is the new fit, or the live version if the gate refuses the new fit.
    """

    entry: FitEntry
    serving: ServingVersion
    reading: Reading  # the table as the serving version reads it


def _finish(run: _Run) -> None:
    run.record.seconds = round(time.monotonic() - run.began, 3)
    run.record.finished = as_text(datetime.now(UTC))


def _begin(run: _Run, warn_of_later: bool) -> None:
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


def _read_fit_forecast_write(run: _Run) -> None:
    """Do the work of a run; if it is killed, the next run finishes or repeats what is missing."""
    pipeline = run.pipeline
    record = run.record
    ledger = run.ledger
    finish_promotion(ledger, run.store, run.writer)

    job_inputs = inputs.look(pipeline, run.store, ledger, run.instant)
    table = job_inputs.table
    digest = table.sha256 or sha256_of_frame(table.frame)
    if record.accepted and record.input["sha256"] != digest:
        text = "the source has changed since the run as of %s was blocked: nothing is accepted"
        log.warning(text, record.as_of)
        record.blocked_by = []
        record.accepted = []
    record.input = {"name": pipeline.hidden(table.name), "rows": len(table), "sha256": digest}
    new_fit = None
    source: Source
    if job_inputs.live is None or job_inputs.why:
        new_fit = _fit(run, job_inputs)
        serving = new_fit.serving
        source = new_fit.reading
    else:
        serving = job_inputs.live
        source = inputs.read_to_forecast(pipeline, run.instant, table, serving.schema)
    record.version = serving.version
    record.hash = serving.hash
    record.train_end = serving.fitted.config.train_end

    past = _Comparison(run, serving, source.name, fits=new_fit is not None)
    # ids are kept as they are, without the escapes for Excel
    output = inputs.explained_output(pipeline).model_copy(update={"excel_safe": False})
    request = ForecastRequest(source, job_inputs.future, output=output, on_panel=past)
    forecasts = forecast(serving.predictor, request).whole
    if not record.ahead_of_clock:
        run.kept |= inputs.known_differences(pipeline, forecasts.panel, serving.schema, run.instant)
    passed = gate.check_run(pipeline, serving, forecasts, record, past.last, past.night)
    raise_if_interrupted()
    publication = _publication(run, passed, forecasts.panel, serving, past, new_fit)
    if passed.problems:
        if pipeline._publishes:
            run.kept[BLOCKED] = publication.forecasts
            run.kept[BLOCKED_INPUTS] = publication.more[INPUTS_TABLE]
    else:
        publication.publish(pipeline, ledger)
    if new_fit is not None:
        finish_promotion(ledger, run.store, run.writer)
    gate.refuse(passed)


def _fit(run: _Run, job_inputs: inputs.JobInputs) -> _Fit:
    """Fit, compare the fit with the live version, and save it."""
    pipeline = run.pipeline
    live = job_inputs.live
    began = time.monotonic()
    reading, dated = inputs.read_to_fit(pipeline, run.instant, job_inputs)
    panel = reading.panel
    if pipeline.checks.error_after is not None:
        _check_age(run, panel, reading.schema, job_inputs.table.name)
    inputs.check_periods(pipeline, reading.schema, panel.origin, panel.ahead)
    log.info("fit      %s", job_inputs.why)
    check_to_fit(reading, None if live is None else live.fitted.history)
    warn_of_newest(panel, reading.schema, reading.name)
    for line in describe_reading(reading):
        log.info("%s", line)
    request = FitRequest(
        reading,
        pipeline.train,
        earlier=None if live is None else live.fitted,
        started=began,
        callbacks=Callbacks(on_step=run.on_step),
        exports=True,
    )
    fitted = fit(request)

    @cache
    def as_live() -> Reading:
        if live is None:
            return reading
        horizon = live.fitted.config.horizon
        return inputs.read_as_live(pipeline, run.instant, reading, dated, live.schema, horizon)

    promoted, verdict = should_promote(fitted, live, as_live, pipeline.checks.require_all)
    entry, saved = _save(run, fitted, live, promoted, verdict)
    run.record.fit = {
        "why": pipeline.hidden(job_inputs.why),
        "version": entry.version,
        "promoted": False,
        "verdict": entry.reason,
    }
    for line in describe_fit(fitted):
        log.info("%s", line)
    if entry.promoted or live is None:
        log.info("gate     %s passes: %s", entry.version, entry.reason)
        return _Fit(entry, saved, reading)
    text = "%s does not go live: %s; %s still forecasts"
    log.warning(text, entry.version, entry.reason, live.version)
    return _Fit(entry, live, as_live())


def _save(
    run: _Run, fitted: Fitted, live: ServingVersion | None, promoted: bool, verdict: str
) -> tuple[FitEntry, ServingVersion]:
    """Enter a version in the ledger, then save it, so that a killed run never makes it live."""
    pipeline = run.pipeline
    begun = FitEntry(run.record.as_of, "", False, UNFINISHED_RUN, settings_of_fit(pipeline))
    follows_live = run.store.empty if live is None else live.version == run.store.current()
    version = run.writer.save(
        to_contents(fitted),
        pipeline.keep,
        min(run.instant, datetime.now(UTC)),
        promote=False,
        reuse=True,
        announce=lambda version: run.ledger.add_fit(replace(begun, version=version)),
    )
    if promoted and run.record.ahead_of_clock:
        promoted = False
        verdict = "its run is ahead of its clock"
    entry = replace(
        begun,
        version=version.id,
        promoted=promoted,
        reason=pipeline.hidden(verdict),
        goes_live=promoted and follows_live,
    )
    predictor = Predictor(fitted, pipeline.train.device, pipeline.train.engine)
    return entry, ServingVersion(version.id, predictor, version.hash)


@dataclass
class _Comparison:
    """Compare a panel with the forecasts of earlier runs, before it is forecast itself.

    Attributes
    ----------
    lagging : ids of series without a recent value
    night : the panel and the runs before this one, which the checks of the newest values compare
    last : what the last run published; None without one
    days : scores of earlier forecasts, by day
    """

    run: _Run
    serving: ServingVersion
    table: str
    fits: bool
    lagging: Ids = field(init=False)
    night: Night = field(init=False)
    last: pd.DataFrame | None = field(init=False)
    days: list[DayScore] = field(init=False)

    def __call__(self, panel: Panel) -> ForecastOptions:
        """Check the panel; a check that stops the run raises its error."""
        serving = self.serving
        run = self.run
        record = run.record
        pipeline = run.pipeline
        horizon = serving.fitted.config.horizon
        refuse_absent(panel, serving.schema, self.table)
        _check_age(run, panel, serving.schema, self.table)
        seconds_over = table_checks.age(panel.newest + horizon, serving.schema, run.instant)
        record.horizon_over = (seconds_over or 0) > 0
        if record.dated_ahead:
            where = "more than a horizon after the newest value"
            if record.ahead_of_clock:
                where = "ahead of its clock"
            text = "the run as of %s is %s, so that later runs learn nothing from it"
            log.warning(text, record.as_of, where)
        self.lagging = table_checks.find_lagging_series(
            panel, serving.schema, pipeline.checks, self.table
        )
        if pipeline.totals:
            if not self.fits:
                inputs.check_periods(pipeline, serving.schema, panel.origin, horizon)
            sums = run.ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS, TOTALS_TABLE)
            record.totals = compare_sums(sums, panel, serving, pipeline)
        return ForecastOptions(factors=partial(self._factors, panel, self._compare(panel)))

    def _compare(self, panel: Panel) -> PastIntervals:
        """A sample of the raw intervals of earlier runs beside actual values.

        It is large, and nothing holds it any longer than interval factors are learned from it.
        """
        serving = self.serving
        ledger = self.run.ledger
        record = self.run.record
        before = ledger.runs(accuracy.NEWEST_RUNS + 1, record.as_of)
        # a run with the same `as_of` is this one, repeated
        runs = [earlier for earlier in before if earlier.as_of < record.as_of]
        self.night = Night(panel, serving.schema, runs)
        self.last = next(ledger.forecasts(record.as_of, 1), None)
        if self.last is not None:
            # the last run with forecasts in the ledger, and its record
            at = str(self.last["as_of"].iloc[0])
            last_run = next((earlier for earlier in runs if earlier.as_of == at), None)
            published = set(accuracy.find_ids(self.last))
            if last_run is not None and len(published) < last_run.counts.get("series", 0):
                published |= set(serving.fitted.ids)  # of a large run the ledger keeps a sample
            with_actual = accuracy.in_panel(self.last, panel, serving.schema)
            effects = serving.fitted.effects
            self.night = replace(
                self.night,
                new=with_actual.dropna(subset="actual"),
                published=published,
                before=_load_input(self.run, last_run, serving),
                learned=() if effects is None else effects.labels,
            )
            trusted = [run for run in runs if run.settled and not run.dated_ahead]
            usual = [run.actuals for run in trusted]
            record.actuals = accuracy.since_last_run(self.last, panel, serving.schema, usual)
        overrides = ledger.forecasts(record.as_of, MAX_RECORDS, OVERRIDES)
        if added := accuracy.measure_overrides(overrides, panel, serving.schema):
            record.actuals["overrides"] = added
        forecasts = ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS)
        past, self.days = accuracy.compare(forecasts, panel, serving.schema)
        return past

    def _factors(
        self, panel: Panel, past: PastIntervals, series: Integers, quantiles: Numbers
    ) -> Numbers:
        """The factor of the interval width at each quantile level, [levels].

        `quantiles` [series, horizon, levels] are those of the current forecasts.
        """
        record = self.run.record
        levels = self.serving.fitted.config.levels
        # a settled run that is repeated keeps its factors, as earlier runs may have changed since
        if not record.settled:
            ended = self.run.ledger.runs(MAX_RECORDS, record.as_of)
            version_of = {run.as_of: run.version for run in ended}
            versions = [version_of.get(time) for time in past.as_of]
            current = accuracy.current_intervals(panel, series, quantiles, levels)
            record.intervals = interval_factors(past, versions, self.serving.version, current)
        return factors_of_levels(record.intervals, levels)


def _load_input(run: _Run, last_run: Record | None, serving: ServingVersion) -> RunInput | None:
    """What an earlier run forecast from; None if its inputs or its version no longer exist."""
    if last_run is None or last_run.version is None:
        return None
    data = run.ledger.inputs(last_run.as_of)
    if data is None:
        return None
    train = run.pipeline.train
    predictor = serving.predictor
    try:
        if last_run.version != serving.version:
            store = run.pipeline.store
            predictor = load_predictor(store, last_run.version, train.device, train.engine)
        return unpack_run(data, predictor, last_run.version)
    except (ForecastError, *DAMAGE_ERRORS):
        return None


def _check_age(run: _Run, panel: Panel, schema: Schema, name: str) -> None:
    record = run.record
    limits = run.pipeline.checks
    record.data_age = table_checks.age(panel.newest, schema, run.instant)
    record.data_end = position_texts(schema, np.array([panel.newest]))[0]
    record.limits = {"warn_after": limits.warn_after, "error_after": limits.error_after}
    table_checks.check_age(record.data_age, limits, name)


def _publication(
    run: _Run,
    passed: gate.CheckedForecasts,
    panel: Panel,
    serving: ServingVersion,
    past: _Comparison,
    new_fit: _Fit | None,
) -> Publication:
    """What is written to sinks and ledger: forecasts, sums, and scores of earlier forecasts."""
    pipeline = run.pipeline
    record = run.record
    forecasts = passed.forecasts
    more = {**run.kept}
    # checks and ledger have seen what the model says; what people say is published beside it
    fitted = serving.fitted
    output = inputs.explained_output(pipeline)
    people = pipeline.table.overrides
    # rows expire by themselves, and nobody is up at night to take them out
    published, overrides = apply_overrides(forecasts, fitted, output, people, may_be_over=True)
    shown = passed
    if people is not None:
        more[OVERRIDES] = pd.DataFrame()  # instead of those of an earlier run with this `as_of`
    if overrides is not None:
        with held_back():
            totals = compute_totals(pipeline, serving, published)
        shown = replace(passed, forecasts=published, totals=totals)
        more[OVERRIDES] = accuracy.overrides_to_keep(published, overrides, serving.schema)
    tables = shown.tables(pipeline, serving)
    incomplete = _find_incomplete_series(run, forecasts, past.lagging)
    record.exit_code = INCOMPLETE if incomplete or passed.replaced else 0
    record.counts = {
        "series": len(forecasts.series),
        "rows": forecasts.rows,
        "skipped": len(forecasts.skipped),
    }
    if pipeline.totals:
        record.counts["sums"] = sum(len(table.explained) for table in tables[1:])
    skipped = list(forecasts.skipped.items())[:MAX_RECORDED]
    record.skipped = {series_key(ids): status for ids, status in skipped}

    before = {day.day: day for day in run.ledger.days(MAX_RECORDS, record.as_of)}
    # a day that was scored on more values before keeps its score: since then the ledger has thinned
    # old forecasts to a sample
    scores = {
        score.day: score
        for score in past.days
        if score.day not in before or before[score.day].count <= score.count
    }
    changed = [score for day, score in scores.items() if score != before.get(day)]
    newest = sorted((before | scores).items())[-7:]
    record.scores = [vars(score) for _, score in newest]

    more[INPUTS_TABLE] = pack_run(fitted, panel, pipeline.output, passed.replaced)
    if passed.totals:
        more[TOTALS_TABLE] = sums_to_keep(passed.totals, forecasts)
    _finish(run)
    return Publication(
        record=record,
        tables=tables,
        series=ids_at(forecasts.panel, forecasts.series),
        forecasts=accuracy.forecasts_to_keep(forecasts, fitted),
        more=more,
        days=changed,
        fit=None if new_fit is None else new_fit.entry,
    )


def _find_incomplete_series(run: _Run, forecasts: Forecasts, lagging: Ids) -> list[Id]:
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

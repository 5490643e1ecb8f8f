"""One run of a job: read, check, fit if due, forecast, write, record.

A run writes everything or nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from forecast.artifacts.format import find_package_versions
from forecast.artifacts.store import Store, Writer, check_apart
from forecast.calendar.spec import as_text, parse_as_of
from forecast.effects.newest import warn_of_newest
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
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.forecasting import (
    Forecasts,
    build_forecasts,
    compute_quantiles,
    find_skipped,
    load_predictor,
    panel_of_table,
)
from forecast.inference.overrides import apply_overrides
from forecast.inference.predictor import Predictor
from forecast.intervals.corrections import factors_of_levels, interval_factors
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
    Kept,
    Ledger,
)
from forecast.jobs.pipeline import Pipeline, files_read, keys_in_errors
from forecast.jobs.publishing import (
    Publication,
    build_tables,
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
from forecast.totals.sums import Totals
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
            claim(pipeline, take_over)
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
            takes_over = take_over if output is None else None
            run = _Run(pipeline, instant, record, store, writer, ledger, takes_over, on_step)
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
    takes_over: bool | None  # whether sinks of other jobs are; None if a file takes their place
    on_step: Callable[[Progress], None] | None
    began: float = field(default_factory=time.monotonic)
    accepted: Record | None = None
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def publishes(self) -> bool:
        return self.takes_over is not None


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
    entry = None
    source: Source
    if job_inputs.live is None or job_inputs.why:
        entry, serving, source = _fit(run, job_inputs)
    else:
        serving = job_inputs.live
        source = inputs.read_to_forecast(run.instant, table, serving.schema)
        inputs.check_sinks(pipeline, serving.schema, table, run.takes_over)
    record.version = serving.version
    record.hash = serving.hash
    record.train_end = serving.fitted.config.train_end

    # ids are kept as they are, without the escapes for Excel
    output = inputs.explained_output(pipeline).model_copy(update={"excel_safe": False})
    fitted = serving.fitted
    panel = panel_of_table(fitted, source, future=job_inputs.future, output=output)
    lagging = _check_panel(run, serving, panel, source.name)
    if pipeline.totals:
        _compare_sums(run, serving, panel, has_fitted=entry is not None)
    series, quantiles = compute_quantiles(serving.predictor, panel)
    night, last = _read_past(run, serving, panel)
    factors, days = _learn_from_past(run, serving, panel, series, quantiles)
    skipped = find_skipped(fitted, panel)
    forecasts = build_forecasts(fitted, output, panel, series, quantiles, skipped, factors)
    if not record.ahead_of_clock:
        run.kept |= inputs.known_differences(pipeline, panel, serving.schema, run.instant)
    totals = compute_totals(pipeline, serving, forecasts)
    alarms = gate.check_run(pipeline, serving, forecasts, totals, record, last, night)
    raise_if_interrupted()
    publication = _publication(run, forecasts, totals, serving, days, lagging, entry)
    blocked = gate.find_blocked(alarms)
    if not blocked:
        publication.publish(pipeline, ledger, run.takes_over)
    elif run.publishes:
        record.blocked_by = blocked
        run.kept[BLOCKED] = publication.forecasts
        run.kept[BLOCKED_INPUTS] = publication.more[INPUTS_TABLE]
    if entry is not None:
        finish_promotion(ledger, run.store, run.writer)
    gate.refuse(alarms)


def _fit(run: _Run, job_inputs: inputs.JobInputs) -> tuple[FitEntry, ServingVersion, Reading]:
    """Fit, compare the fit with the live version, and save it.

    Returns the version that forecasts in this run, which is the live one if the gate refuses the
    new fit, and the table as that version reads it.
    """
    pipeline = run.pipeline
    live = job_inputs.live
    began = time.monotonic()
    reading, dated = inputs.read_to_fit(pipeline, run.instant, job_inputs)
    panel = reading.panel
    inputs.check_sinks(pipeline, reading.schema, job_inputs.table, run.takes_over)
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
        return entry, saved, reading
    text = "%s does not go live: %s; %s still forecasts"
    log.warning(text, entry.version, entry.reason, live.version)
    return entry, live, as_live()


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


def _check_panel(run: _Run, serving: ServingVersion, panel: Panel, table: str) -> Ids:
    """Check the age of the values of a panel; the ids of series without a recent value."""
    record = run.record
    refuse_absent(panel, serving.schema, table)
    _check_age(run, panel, serving.schema, table)
    end = panel.newest + serving.fitted.config.horizon
    seconds_over = table_checks.age(end, serving.schema, run.instant)
    record.horizon_over = (seconds_over or 0) > 0
    if record.dated_ahead:
        where = "more than a horizon after the newest value"
        if record.ahead_of_clock:
            where = "ahead of its clock"
        text = "the run as of %s is %s, so that later runs learn nothing from it"
        log.warning(text, record.as_of, where)
    return table_checks.find_lagging_series(panel, serving.schema, run.pipeline.checks, table)


def _compare_sums(run: _Run, serving: ServingVersion, panel: Panel, has_fitted: bool) -> None:
    """Score the sums of earlier runs; a fit has checked their periods already."""
    pipeline = run.pipeline
    record = run.record
    if not has_fitted:
        horizon = serving.fitted.config.horizon
        inputs.check_periods(pipeline, serving.schema, panel.origin, horizon)
    sums = run.ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS, TOTALS_TABLE)
    record.totals = compare_sums(sums, panel, serving, pipeline)


def _read_past(run: _Run, serving: ServingVersion, panel: Panel) -> tuple[Night, Kept]:
    """What the checks of the newest values compare, and what the last run published."""
    ledger = run.ledger
    record = run.record
    schema = serving.schema
    before = ledger.runs(accuracy.NEWEST_RUNS + 1, record.as_of)
    # a run with the same `as_of` is this one, repeated
    runs = [earlier for earlier in before if earlier.as_of < record.as_of]
    overrides = ledger.forecasts(record.as_of, MAX_RECORDS, OVERRIDES)
    added = accuracy.measure_overrides(overrides, panel, schema)
    last = next(ledger.forecasts(record.as_of, 1), None)
    night = Night(panel, schema, runs)
    if last is not None:
        # the last run with forecasts in the ledger, and its record
        at = str(last["as_of"].iloc[0])
        last_run = next((earlier for earlier in runs if earlier.as_of == at), None)
        published = set(accuracy.find_ids(last))
        if last_run is not None and len(published) < last_run.counts.get("series", 0):
            published |= set(serving.fitted.ids)  # of a large run the ledger keeps a sample
        with_actual = accuracy.in_panel(last, panel, schema)
        effects = serving.fitted.effects
        night = Night(
            panel,
            schema,
            runs,
            new=with_actual.dropna(subset="actual"),
            published=published,
            before=_load_input(run, last_run, serving),
            learned=() if effects is None else effects.labels,
        )
        trusted = [run for run in runs if run.settled and not run.dated_ahead]
        usual = [run.actuals for run in trusted]
        record.actuals = accuracy.since_last_run(last, panel, schema, usual)
    if added:
        record.actuals["overrides"] = added
    return night, last


def _learn_from_past(
    run: _Run, serving: ServingVersion, panel: Panel, series: Integers, quantiles: Numbers
) -> tuple[Numbers, list[DayScore]]:
    """The factor of the interval width at each level [levels], and scores of earlier forecasts.

    `quantiles` [series, horizon, levels] are those of the current forecasts.
    """
    record = run.record
    ledger = run.ledger
    levels = serving.fitted.config.levels
    forecasts = ledger.forecasts(record.as_of, accuracy.NEWEST_RUNS)
    past, days = accuracy.compare(forecasts, panel, serving.schema)
    # a settled run that is repeated keeps its factors, as earlier runs may have changed since
    if not record.settled:
        version_of = {run.as_of: run.version for run in ledger.runs(MAX_RECORDS, record.as_of)}
        versions = [version_of.get(time) for time in past.as_of]
        current = accuracy.current_intervals(panel, series, quantiles, levels)
        record.intervals = interval_factors(past, versions, serving.version, current)
    return factors_of_levels(record.intervals, levels), days


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
        record.counts["sums"] = sum(len(table.explained) for table in tables[1:])
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
    _finish(run)
    return Publication(
        record=record,
        tables=tables,
        series=ids_at(forecasts.panel, forecasts.series),
        forecasts=accuracy.forecasts_to_keep(forecasts, fitted),
        more=more,
        days=changed,
        fit=entry,
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

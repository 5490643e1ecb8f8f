"""One run of a job: read, check, fit when due, forecast, write, record; all of it or nothing."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, partial

from forecast.artifacts.resume import Checkpoints
from forecast.artifacts.store import Store, Writer
from forecast.durable import make_directory, replace_file
from forecast.engine.exporting import with_exports
from forecast.engine.stages import deadline_of, fit_panel, save_by
from forecast.ensemble.names import check_names
from forecast.errors import (
    INCOMPLETE,
    BadData,
    ForecastError,
    Interrupted,
    StaleData,
    Unavailable,
    UsageError,
    as_flag,
    told,
)
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts, Wanted, forecast_table, with_events
from forecast.inference.predictor import Predictor
from forecast.inference.summary import describe_fit
from forecast.jobs import databases
from forecast.jobs.accuracy import (
    NEWEST,
    Matched,
    Past,
    by_day,
    factors_by_level,
    interval_columns,
    interval_factors,
    match,
    to_keep,
)
from forecast.jobs.apart import check_apart, runs_folder
from forecast.jobs.checks import age, check_age, check_drift, check_unfinished, lagging, without_forecast
from forecast.jobs.gate import ServingVersion, judge
from forecast.jobs.hiding import Hidden
from forecast.jobs.input import read_future, read_source, table_settings, text_settings
from forecast.jobs.instant import as_text, parse_as_of, same_cut, until
from forecast.jobs.keys import key_of, move_old_rows
from forecast.jobs.ledger import FILE, KILLED, TABLES, UNFINISHED, FitEntry, Ledger, empty_ledger, open_file
from forecast.jobs.output import check_sink, explained, places, reserved_columns, write_sink
from forecast.jobs.owner import claim, owner_of
from forecast.jobs.ping import ping
from forecast.jobs.pipeline import Pipeline, files_read, in_keys
from forecast.jobs.pruning import MAX_RECORDS, Connection
from forecast.jobs.record import FILE as RECORD
from forecast.jobs.record import Record, new_record, sha256_of_file, sha256_of_frame, warnings_into, written_later
from forecast.jobs.refit import FIRST_FIT, changed_since_fit, check_frequency, entry, reason_to_fit, serving
from forecast.jobs.sinks import SinkSettings
from forecast.panel.naming import series_names
from forecast.panel.panel import Integers, Numbers, Panel
from forecast.panel.schema import Schema, calendar_of, position_texts
from forecast.reading.dated import DatedTable, dated_table
from forecast.reading.detection import check_schema, infer_schema
from forecast.reading.reading import Reading, Source, check_to_fit, describe_reading, read, read_as
from forecast.settings import TableSettings
from forecast.tables.files import check_output
from forecast.tables.table import Table
from forecast.training.context import Progress

log = logging.getLogger("forecast")

OnStep = Callable[[Progress], None] | None

NAMED_SERIES = 10  # series without a forecast that a message names
MAX_RECORDED = 100  # series without a forecast that the record names
RECORDED_DAYS = 7  # of scores


def run_job(
    pipeline: Pipeline,
    *,
    as_of: str | None = None,
    output: str | None = None,
    resume: bool = False,
    take_over: bool = False,
    on_step: Callable[[Progress], None] | None = None,
) -> Record:
    """Run a job once.

    The store is held from start to end. A new version is saved, then the sink's table is written in one transaction,
    then its file is replaced, then the ledger gets the run and its fit, then the version goes live. A run that ends
    before the ledger has it is repaired by running it again with its `as_of`; after that the next run makes the
    version live.

    Parameters
    ----------
    as_of : the time of the run; default that of the pipeline, else now
    output : a file to write in the place of the pipeline's, whose database is left alone then
    resume : go on with a fit that was stopped
    take_over : take the store from the job that it belongs to
    on_step : is given the progress of a fit after each training step

    Returns
    -------
    The record of the run, as it stands in the ledger.

    Raises
    ------
    ForecastError
        As reading, fitting, predicting and writing do; the record says so too. Before there is one: Busy, if another
        run holds the store; UsageError, if the store belongs to another job.
    """
    with pipeline.hidden.kept_out():
        instant = parse_as_of(as_of or pipeline.as_of)
        store = Store(pipeline.store)
        if output is not None:
            check_output(output)
            check_apart(output, files_read(pipeline), pipeline.store)
            pipeline = pipeline.model_copy(update={"sink": SinkSettings(path=output)})
        with store.lock(pipeline.wait) as writer:
            name = pipeline.name or "job"
            if pipeline.file:  # a pipeline made in Python has no file that could claim a store
                claim(pipeline.store, pipeline.hidden(name), pipeline.file, take_over)
            ledger = ledger_of(pipeline)
            record = new_record(pipeline.hidden(name), as_text(instant), as_text(datetime.now(UTC)))
            record.pipeline_sha256 = sha256_of_file(pipeline.file)
            with _recorded(record, ledger, pipeline):
                run = _Run(pipeline, instant, record, store, writer, ledger)
                _begin(run, later_matters=output is None)
                try:
                    _read_fit_forecast_write(run, resume, on_step)
                except (BadData, UsageError, StaleData, Unavailable) as error:
                    raise type(error)(in_keys(error.told(as_flag))) from error
    return record


def ledger_of(pipeline: Pipeline) -> Ledger:
    """The ledger of a job: the file beside its store, or in the database of its sink."""
    name = pipeline.name or "job"
    if pipeline.ledger == "sink" and pipeline.sink.url is not None:
        key = key_of(name, owner_of(pipeline.store))
        return Ledger(pipeline.hidden(name), partial(_connect, pipeline.hidden, pipeline.sink.url), key)
    return Ledger(pipeline.hidden(name), partial(open_file, runs_folder(pipeline.store) / FILE), name)


@contextmanager
def _connect(hidden: Hidden, url: str, read: bool = False) -> Iterator[Connection]:
    """A transaction of the ledger in a database, whose messages hold no secrets whoever opens it."""
    with hidden.kept_out():
        if not read:
            with databases.connect(url) as transaction:
                yield transaction
            return
        with databases.read_tables(url, TABLES) as found, empty_ledger() as empty:
            yield empty if found is None else found


@contextmanager
def _recorded(record: Record, ledger: Ledger, pipeline: Pipeline) -> Iterator[None]:
    """Write the record of a run that fails, and tell the ping how it ended."""
    begun = time.monotonic()
    try:
        with warnings_into(record.warnings):
            ping(pipeline.ping, "start")
            yield
    except BaseException as error:
        record.error = pipeline.hidden(told(error, as_flag)).split("\n")[0]
        record.exit_code = error.exit_code if isinstance(error, ForecastError | Interrupted) else 1
        _finish(record, begun)
        try:
            ledger.add_run(record.as_of, record.exit_code, record.model_dump_json(), None, [])
            _write(record, pipeline)
        except ForecastError as other:  # the error on its way matters more
            log.warning("the failure could not be recorded: %s", other)
        ping(pipeline.ping, "fail", record.error)
        raise
    _finish(record, begun)
    _write(record, pipeline)
    ping(pipeline.ping, "" if record.exit_code == 0 else "fail", record.model_dump_json(include={"counts", "warnings"}))


def _finish(record: Record, begun: float) -> None:
    record.seconds = round(time.monotonic() - begun, 3)
    record.finished = as_text(datetime.now(UTC))


def _write(record: Record, pipeline: Pipeline) -> None:
    path = runs_folder(pipeline.store) / RECORD
    make_directory(path.parent)
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())


@dataclass
class _Run:
    """A run of a job: what it reads and writes, and what its stages hand on.

    Attributes
    ----------
    matched : earlier forecasts beside the values that have come since
    lagging : series without a recent value
    fit : the fit of the run, for the ledger
    checkpoints : of that fit
    began : `time.monotonic()` at which it began
    """

    pipeline: Pipeline
    instant: datetime
    record: Record
    store: Store
    writer: Writer
    ledger: Ledger
    matched: Matched | None = None
    lagging: list[tuple[str, ...]] = field(default_factory=list)
    fit: FitEntry | None = None
    checkpoints: Checkpoints | None = None
    began: float = field(default_factory=time.monotonic)


def _begin(run: _Run, later_matters: bool) -> None:
    """Write down that the run has begun, so that a kill leaves a trace.

    Parameters
    ----------
    later_matters : warn where a run of a later instant has written the output
    """
    record, ledger = run.record, run.ledger
    if run.pipeline.ledger == "sink" and not run.store.empty:
        versions = {version.id for version in run.store.versions()}
        move_old_rows(ledger.open, run.pipeline.name or "job", ledger.key, versions)
    before = [past for at, _, past in ledger.runs(1, record.as_of) if at == record.as_of]
    if before and before[0]["settled"]:
        record.settled, record.version = True, before[0]["version"]
        record.intervals = tuple(before[0]["intervals"])
    begun = record.model_copy(update={"exit_code": KILLED, "error": "it began, and did not end"})
    later = written_later(ledger.runs(NEWEST), record.as_of, places(run.pipeline)) if later_matters else None
    ledger.add_run(record.as_of, KILLED, begun.model_dump_json(), None, [])
    if later is not None:
        log.warning(
            "the run as of %s already wrote the output, and this one, as of %s, replaces it with an older "
            "forecast; --output FILE writes elsewhere",
            later,
            record.as_of,
        )


def _read_fit_forecast_write(run: _Run, resume: bool, on_step: OnStep) -> None:
    """Read, check, fit when due, forecast, write, record."""
    pipeline, ledger = run.pipeline, run.ledger
    _promote_owed(run)
    live = serving(run.store, ledger, run.instant, pipeline.train.device, pipeline.train.engine)
    if live is not None and live.fitted.effects is not None:
        live = replace(live, predictor=with_events(live.predictor, pipeline.table.events))
    refit = reason_to_fit(pipeline, live, ledger, run.instant)
    if live is None or refit is not None:
        check_names(pipeline.train)
    fitted = None if live is None else live.fitted.config.table
    text = text_settings(pipeline, None if changed_since_fit(pipeline, ledger) else fitted)
    table, defaults = read_source(pipeline, text)
    _record_input(run, table)
    source: Source
    if live is None or refit is not None:
        refit = refit or FIRST_FIT
        began = time.monotonic()
        settings = table_settings(pipeline, None if refit.anew else fitted, defaults)
        reading, dated = _read_to_fit(run, table, settings, None if refit.anew else live)
        live, source = _fit(run, reading, dated, live, refit.reason, began, resume, on_step)
    else:
        source = _read_to_forecast(run, table, live.fitted.config.table)
        _recall_fit(run)
    forecasts = _forecast(run, source, live, read_future(pipeline, text))
    run.record.output |= write_sink(pipeline, forecasts, live.fitted.config.table, live.version)
    _count(run, forecasts)
    if run.fit is not None:
        run.record.fit["promoted"] = run.fit.promoted
    _append(run, forecasts, live)
    if run.checkpoints is not None:
        run.checkpoints.discard()
        _promote_owed(run)


def _promote_owed(run: _Run) -> None:
    """Make the version live that a run which is in the ledger promoted: this one, or an earlier one that was killed."""
    owed, store = run.ledger.owed(), run.store
    # a version that was saved later is the choice of a user
    if owed is None or not (store.path / owed).exists() or (not store.empty and store.current() >= owed):
        return
    run.writer.promote(owed)


def _record_input(run: _Run, table: Table) -> None:
    """Record what the run read."""
    digest = table.sha256 or sha256_of_frame(table.frame)
    run.record.input = {"name": run.pipeline.hidden(table.name), "rows": len(table), "sha256": digest}


def _known_then(run: _Run, dated: DatedTable, schema: Schema) -> DatedTable:
    """The table as it could be known at the instant of the run."""
    return until(dated, schema, run.instant, whole=run.pipeline.source.unfinished == "leave out")


def _read_to_fit(
    run: _Run, table: Table, settings: TableSettings, as_before: ServingVersion | None
) -> tuple[Reading, DatedTable]:
    """Read the table for a new fit, and refuse what the sink cannot take and data that are too old.

    Parameters
    ----------
    as_before : the live version, if the new fit reads its table as that one did

    Returns
    -------
    What could be known at the instant of the run, and the whole table.
    """
    pipeline, train = run.pipeline, run.pipeline.train
    if as_before is not None:
        check_schema(as_before.fitted.config.table, table)
    dated = dated_table(table, settings)
    schema, dated = infer_schema(dated, settings, reserved_columns(pipeline))
    if as_before is not None:
        check_frequency(schema, as_before, table.name)
    check_sink(pipeline, schema, table)
    known_then = _known_then(run, dated, schema)
    reading = read(known_then, settings, horizon=train.horizon, lookback=train.lookback)
    if pipeline.checks.error_after is not None:
        _check_age(run, reading.panel, reading.schema, table.name)
    return reading, dated


def _read_to_forecast(run: _Run, table: Table, schema: Schema) -> DatedTable:
    """Date the table for a forecast by the live version, and refuse what the sink cannot take."""
    check_sink(run.pipeline, schema, table)
    check_schema(schema, table)
    return _known_then(run, dated_table(table, schema), schema)


def _check_age(run: _Run, panel: Panel, schema: Schema, name: str) -> None:
    """Record the age of the data, and refuse data that are too old."""
    record, limits = run.record, run.pipeline.checks
    record.data_age = age(panel.newest, schema, run.instant)
    newest = (panel.origins - panel.trailing_gap()).max(keepdims=True)
    record.data_end = position_texts(schema, calendar_of(schema), newest)[0]
    record.limits = {"warn_after": limits.warn_after, "error_after": limits.error_after}
    check_age(record.data_age, limits, name)


def _fit(
    run: _Run,
    reading: Reading,
    dated: DatedTable,
    live: ServingVersion | None,
    reason: str,
    began: float,
    resume: bool,
    on_step: OnStep,
) -> tuple[ServingVersion, Reading]:
    """Fit, save, and judge; the version that forecasts tonight, and the table as it reads it.

    Parameters
    ----------
    dated : the whole table
    began : `time.monotonic()` from which the budget counts
    resume : go on with a fit that was stopped
    """
    pipeline, record, train = run.pipeline, run.record, run.pipeline.train
    log.info("fit      %s", reason)
    check_to_fit(reading)
    _say_lines(describe_reading(reading))
    checkpoints = run.writer.checkpoints(resume)
    panel, schema, deadline = reading.panel, reading.schema, deadline_of(train, began)
    earlier = None if live is None else live.fitted
    fitted = fit_panel(panel, schema, train, reading.name, deadline, on_step, checkpoints, earlier)
    as_live = cache(lambda: reading if live is None else _read_as_live(run, reading, dated, live))
    promoted, verdict = judge(fitted, live, as_live, pipeline.checks.require_all)
    verdict = pipeline.hidden(verdict)
    newest = run.store.empty if live is None else live.version == run.store.current()
    fitted = with_exports(fitted, save_by(train, began))
    contents = to_contents(fitted)

    def announce(version: str) -> None:  # a kill leaves a version that nothing takes for one that was live
        run.ledger.add_fit(entry(pipeline, run.instant, version, False, UNFINISHED))

    version = run.writer.save(contents, pipeline.keep, run.instant, promote=False, reuse=True, announce=announce)
    run.fit = entry(pipeline, run.instant, version.id, promoted, verdict, moves=promoted and newest)
    run.checkpoints = checkpoints
    if live is not None:
        _say_missing(live, fitted)
    record.fit = {"why": pipeline.hidden(reason), "version": version.id, "promoted": False, "verdict": verdict}
    _say_lines(describe_fit(fitted))
    if promoted or live is None:
        log.info("gate     %s passes: %s", version.id, verdict)
        return ServingVersion(version.id, version.hash, Predictor(fitted, train.device, train.engine)), reading
    log.warning("%s does not go live: %s; %s still forecasts", version.id, verdict, live.version)
    return live, as_live()


def _read_as_live(run: _Run, reading: Reading, dated: DatedTable, live: ServingVersion) -> Reading:
    """The table as the live version reads it, which may know columns in advance that a new fit does not.

    Parameters
    ----------
    reading, dated : what could be known as the new fit reads it, and the whole table
    """
    config = live.fitted.config
    schema = config.table
    if same_cut(schema, reading.schema):
        return reading
    check_schema(schema, dated.table)
    if dated.times is not None and dated.times_by(schema) is None:
        dated = dated_table(dated.table, schema)
    return read_as(_known_then(run, dated, schema), schema, horizon=config.horizon)


def _say_missing(live: ServingVersion, fitted: Fitted) -> None:
    """Warn of series of the live version that a new fit does not have."""
    missing = sorted(set(live.fitted.history.ids) - set(fitted.history.ids))
    if missing:
        names = series_names(missing)
        log.warning("%d series of %s are not in the table any more (%s)", len(missing), live.version, names)


def _recall_fit(run: _Run) -> None:
    """Record the fit that an earlier run at this instant made."""
    at = run.record.as_of
    for fit in run.ledger.fits(at):
        if fit.as_of == at:
            facts = {"version": fit.version, "promoted": fit.promoted, "verdict": fit.reason}
            run.record.fit = {"why": "fitted by an earlier run as of this instant", **facts}


def _forecast(run: _Run, source: Source, live: ServingVersion, future: Table | None) -> Forecasts:
    """Forecast by a version, after the checks of tonight's table."""
    pipeline, config, record = run.pipeline, live.fitted.config, run.record
    record.version, record.hash, record.train_end = live.version, live.hash, config.train_end
    chosen = pipeline.table.model_dump(include={"strict", "on_duplicate", "date_format"}, exclude_unset=True)
    return forecast_table(
        live.predictor,
        source,
        schema=config.table.model_copy(update=chosen),
        future=future,
        output=explained(pipeline),
        on_panel=lambda panel: _check(run, panel, source.name, live),
    )


def _check(run: _Run, panel: Panel, name: str, live: ServingVersion) -> Wanted:
    """Check what is to be forecast from, and how its intervals are to change."""
    config, record, limits = live.fitted.config, run.record, run.pipeline.checks
    schema = config.table
    _check_age(run, panel, schema, name)
    if run.pipeline.source.unfinished == "warn":
        check_unfinished(panel, schema, run.instant, name)
    run.lagging = lagging(panel, schema, limits, name)
    season = schema.shortest_season
    record.drift = check_drift(panel, live.fitted.history, season, name)
    matched = run.matched = match(run.ledger.forecasts(record.as_of, NEWEST), panel, schema)

    def factors(series: Integers, quantiles: Numbers) -> Numbers:
        if not record.settled:  # a repeated run keeps its factors: runs of earlier times may have been repeated since
            oldest = str(matched.stored.as_of[0]) if len(matched.stored) else record.as_of
            ended = run.ledger.runs(MAX_RECORDS, record.as_of, since=oldest)
            runs = {at: Past(past["version"], tuple(past["intervals"])) for at, _, past in ended}
            tonight = quantiles[..., interval_columns(config.levels)]
            record.intervals = interval_factors(matched, runs, live.version, series, tonight)
        return factors_by_level(record.intervals, config.levels)

    return Wanted(factors=factors)


def _count(run: _Run, forecasts: Forecasts) -> None:
    """Record how many series were forecast, and which were not."""
    record, required = run.record, run.pipeline.checks.require_all
    skipped = forecasts.skipped
    record.counts = {"series": len(forecasts.series), "rows": forecasts.rows, "skipped": len(skipped)}
    lost = without_forecast(skipped, required)
    if required:
        lost += [series for series in run.lagging if series not in lost]
    record.skipped = {"/".join(series): word for series, word in list(skipped.items())[:MAX_RECORDED]}
    if lost:
        names = series_names(lost, NAMED_SERIES)
        log.warning("%d series got no forecast, or one from old values: %s", len(lost), names)
    record.exit_code, record.settled = INCOMPLETE if lost else 0, True


def _append(run: _Run, forecasts: Forecasts, live: ServingVersion) -> None:
    """Append the run to the ledger, with its forecasts and the scores of earlier ones."""
    record = run.record
    kept = to_keep(forecasts, live.fitted, record.as_of)
    scores = [] if run.matched is None else by_day(run.matched)
    record.scores = [vars(score) for score in scores[-RECORDED_DAYS:]]
    _finish(record, run.began)
    run.ledger.add_run(record.as_of, record.exit_code, record.model_dump_json(), kept, scores, run.fit)


def _say_lines(lines: list[str]) -> None:
    for line in lines:
        log.info("%s", line)

"""One run of a job: read, check, fit when due, forecast, write, record; all of it or nothing."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.artifacts.store import Store, Writer
from forecast.durable import make_directory, replace_file
from forecast.errors import BadData, ForecastError, Interrupted, StaleData, Unavailable, UsageError, as_flag, told
from forecast.forecaster import Forecaster, Forecasts
from forecast.inference.fitted import to_contents
from forecast.jobs import databases
from forecast.jobs.accuracy import NEWEST, Matched, by_day, factors_by_level, interval_factors, match, to_keep
from forecast.jobs.apart import check_apart
from forecast.jobs.checks import age, check_age, check_drift, check_unfinished, silent, without_forecast
from forecast.jobs.hiding import Hidden
from forecast.jobs.instant import as_text, parse_as_of, until
from forecast.jobs.keys import key_of, move_old_rows
from forecast.jobs.ledger import FILE, KILLED, Connection, Ledger, open_file, runs_folder
from forecast.jobs.owner import claim, owner_of
from forecast.jobs.ping import ping
from forecast.jobs.pipeline import Pipeline, files_read, in_keys
from forecast.jobs.record import FILE as RECORD
from forecast.jobs.record import Record, new_record, sha256_of_file, sha256_of_frame, warnings_into, written_later
from forecast.jobs.refit import Live, entry, judge, reading_settings, reason_to_fit, serving, table_settings
from forecast.jobs.sinks import SinkSettings, check_sink, explained, places, reserved_columns, write_sink
from forecast.jobs.sources import digest_source, read_source
from forecast.panel.building import build_panel, calendar_of, format_positions
from forecast.panel.detection import infer_schema
from forecast.panel.naming import series_names
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TableSettings
from forecast.tables.files import check_output, load_future
from forecast.tables.table import Table
from forecast.training.inputs import numbers_in
from forecast.training.loop import Progress

log = logging.getLogger("forecast")

LOST = 10  # series without a forecast that a message names


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

    The store is held from start to end. The sink's table is written in one transaction, then its file is replaced,
    then the ledger gets its entry; a run that ends in between is repaired by running it again with its `as_of`.

    Parameters
    ----------
    as_of : the instant that the run stands at; default that of the pipeline, else now
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
                run = _Run(pipeline, instant, record, store, writer, ledger, resume, on_step)
                run.begin(later_matters=output is None)
                try:
                    run.go()
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
def _connect(hidden: Hidden, url: str) -> Iterator[Connection]:
    """A transaction of the ledger in a database, whose messages hold no secrets whoever opens it."""
    with hidden.kept_out(), databases.connect(url) as transaction:
        yield transaction


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


class _Run:
    """The stages of a run, in their order, and what they hand on."""

    def __init__(
        self,
        pipeline: Pipeline,
        instant: datetime,
        record: Record,
        store: Store,
        writer: Writer,
        ledger: Ledger,
        resume: bool,
        on_step: Callable[[Progress], None] | None,
    ) -> None:
        self.pipeline, self.instant, self.record = pipeline, instant, record
        self.store, self.writer, self.ledger = store, writer, ledger
        self.resume, self.on_step = resume, on_step
        self.matched: Matched | None = None
        self.reading = pipeline.source.text()
        self.behind: list[tuple[str, ...]] = []
        self.begun = time.monotonic()

    def begin(self, later_matters: bool) -> None:
        """Write down that the run has begun, so that a kill leaves a trace.

        Parameters
        ----------
        later_matters : warn where a run of a later instant has written the output
        """
        record, ledger = self.record, self.ledger
        if self.pipeline.ledger == "sink" and not self.store.empty:
            versions = {one.id for one in self.store.versions()}
            move_old_rows(ledger.open, self.pipeline.name or "job", ledger.key, versions)
        before = [past for at, _, past in self.ledger.runs(1, record.as_of) if at == record.as_of]
        if before and before[0]["settled"]:
            record.settled, record.version = True, before[0]["version"]
            record.intervals = tuple(before[0]["intervals"])
        begun = record.model_copy(update={"exit_code": KILLED, "error": "it began, and did not end"})
        output = places(self.pipeline)
        later = written_later(self.ledger.runs(NEWEST), record.as_of, output) if later_matters else None
        self.ledger.add_run(record.as_of, KILLED, begun.model_dump_json(), None, [])
        if later is not None:
            log.warning(
                "the run as of %s has written the output before, and this one, as of %s, replaces it by an older "
                "forecast; --output FILE writes elsewhere",
                later,
                record.as_of,
            )

    def go(self) -> None:
        """Run them."""
        record, instant = self.record, self.instant
        live = serving(self.store, self.ledger, instant, self.pipeline.train.device)
        reason = reason_to_fit(self.pipeline, live, self.ledger, instant)
        self.reading = reading_settings(self.pipeline, live, self.ledger)
        table, defaults = self._read()
        if live is not None and reason is None:
            check_sink(self.pipeline, live.forecaster.schema_, table)
            table = until(table, live.forecaster.schema_, instant, self._whole())
            self._recall_fit()
        else:
            settings = table_settings(self.pipeline, live, self.ledger, table, defaults)
            schema = infer_schema(table, settings, reserved_columns(self.pipeline))
            check_sink(self.pipeline, schema, table)
            table = until(table, schema, instant, self._whole())
            self._check_age_first(table, schema)
            live = self._fit(table, live, reason or "there is no version", settings)
        found = self._forecast(table, live)
        record.output |= write_sink(self.pipeline, found, live.forecaster.schema_, live.version)
        record.counts = {"series": len(found.series), "rows": len(found.frame), "skipped": len(found.skipped)}
        required = self.pipeline.checks.require_all
        lost = without_forecast(found.skipped, required)
        if required:
            lost += [one for one in self.behind if one not in lost]
        record.skipped = {"/".join(one): word for one, word in list(found.skipped.items())[:100]}
        if lost:
            log.warning("%d series got no forecast, or one from old values: %s", len(lost), series_names(lost, LOST))
        record.exit_code, record.settled = 3 if lost else 0, True
        self._append(found, live)

    def _read(self) -> tuple[Table, dict[str, Any]]:
        digest = digest_source(self.pipeline.source)
        table, defaults = read_source(self.pipeline.source, self.reading)
        digest = digest or sha256_of_frame(table.frame)
        self.record.input = {"name": self.pipeline.hidden(table.name), "rows": len(table.frame), "sha256": digest}
        return table, defaults

    def _future(self) -> Table | None:
        source = self.pipeline.source
        return None if source.future is None else load_future(source.future, self.reading)

    def _whole(self) -> bool:
        """Whether a value counts only when its period is over."""
        return self.pipeline.source.unfinished == "leave out"

    def _check_age_first(self, table: Table, schema: Schema) -> None:
        """Refuse stale data before a fit, where a limit is set."""
        if self.pipeline.checks.error_after is not None:
            self._check_age(build_panel(table, schema, ahead=0), schema, table.name)

    def _check_age(self, panel: Panel, schema: Schema, name: str) -> None:
        record, limits = self.record, self.pipeline.checks
        record.data_age = age(panel, schema, self.instant)
        newest = (panel.origins - panel.silent()).max(keepdims=True)
        record.data_end = str(format_positions(schema, calendar_of(schema), newest)[0])
        record.limits = {"warn_after": limits.warn_after, "error_after": limits.error_after}
        check_age(record.data_age, limits, name)

    def _fit(self, table: Table, live: Live | None, reason: str, settings: TableSettings) -> Live:
        """Fit, save, and promote what may go live."""
        pipeline, record = self.pipeline, self.record
        log.info("fit      %s", reason)
        forecaster = Forecaster(**pipeline.train.model_dump(), **settings.model_dump())
        checkpoints = self.writer.checkpoints(self.resume)
        forecaster.fit(
            table,
            on_read=_say_lines,
            on_step=self.on_step,
            checkpoints=checkpoints,
            start=None if live is None else live.forecaster,
        )
        promoted, verdict = judge(forecaster, live, table, pipeline.checks.require_all)
        verdict = pipeline.hidden(verdict)
        newest = self.store.empty if live is None else live.version == self.store.current()
        version = self.writer.save(
            to_contents(forecaster.fitted_), pipeline.keep, self.instant, promote=promoted and newest, reuse=True
        )
        self.ledger.add_fit(entry(pipeline, self.instant, version.id, promoted, verdict))
        checkpoints.discard()
        if live is not None:
            gone = sorted(set(live.forecaster.fitted_.history.ids) - set(forecaster.fitted_.history.ids))
            if gone:
                names = series_names(gone)
                log.warning("%d series of %s are not in the table any more (%s)", len(gone), live.version, names)
        record.fit = {"why": pipeline.hidden(reason), "version": version.id, "promoted": promoted, "verdict": verdict}
        _say_lines(forecaster.describe())
        if promoted or live is None:
            log.info("gate     %s passes: %s", version.id, verdict)
            return Live(version.id, version.hash, forecaster)
        log.warning("%s does not go live: %s; %s still forecasts", version.id, verdict, live.version)
        return live

    def _recall_fit(self) -> None:
        """Take into the record the fit that an earlier run at this instant made."""
        at = self.record.as_of
        for fit in self.ledger.fits(at):
            if fit.as_of == at:
                told = {"version": fit.version, "promoted": fit.promoted, "verdict": fit.reason}
                self.record.fit = {"why": "fitted by an earlier run as of this instant", **told}

    def _forecast(self, table: Table, live: Live) -> Forecasts:
        pipeline, forecaster = self.pipeline, live.forecaster
        config, record = forecaster.fitted_.config, self.record
        record.version, record.hash, record.train_end = live.version, live.hash, config.train_end
        chosen = pipeline.table.model_dump(include={"strict", "on_duplicate", "date_format"}, exclude_unset=True)
        forecaster.set_params(**chosen)
        return forecaster.forecast(
            table,
            future=self._future(),
            output=explained(pipeline),
            on_panel=lambda panel: self._look(panel, table.name, live),
        )

    def _look(self, panel: Panel, name: str, live: Live) -> NDArray[np.float64]:
        """Check what is to be forecast from, and say by how much its intervals are to change."""
        config, record, limits = live.forecaster.fitted_.config, self.record, self.pipeline.checks
        schema = config.table
        self._check_age(panel, schema, name)
        if self.pipeline.source.unfinished == "warn":
            check_unfinished(panel, schema, self.instant, name)
        self.behind = silent(panel, schema, limits, name)
        season = schema.season[0] if schema.season else 1
        record.drift = check_drift(panel, live.forecaster.fitted_.history, season, name)
        before = record.as_of
        self.matched = match(self.ledger.forecasts(before, NEWEST), panel, schema)
        used = {at: tuple(past["intervals"]) for at, _, past in self.ledger.runs(NEWEST + 1, before) if at < before}
        if not record.settled:  # else as they were: runs of earlier instants may have been made up for since
            record.intervals = interval_factors(self.matched, used)
        return factors_by_level(record.intervals, config.levels)

    def _append(self, found: Forecasts, live: Live) -> None:
        fitted, record = live.forecaster.fitted_, self.record
        units = np.concatenate([[np.nan], fitted.seasonal_error])
        numbers = numbers_in(fitted.history.ids, found.panel.ids)[found.series]
        factors = factors_by_level(record.intervals, fitted.config.levels)
        middle = found.quantiles[..., fitted.config.levels.index(0.5), None]
        written = middle + (found.quantiles - middle) * factors
        # the lower ends stay free, else an interval that has grown down to its bound could never shrink again
        upper = slice(fitted.config.levels.index(0.5), None)
        written[..., upper] = np.maximum(written[..., upper], found.floor[:, None, None])
        kept = to_keep(
            found.panel, fitted.config.table, found.series, written, fitted.config.levels, units[numbers], record.as_of
        )
        scores = [] if self.matched is None else by_day(self.matched)
        record.scores = [vars(one) for one in scores[-7:]]
        _finish(record, self.begun)
        self.ledger.add_run(record.as_of, record.exit_code, record.model_dump_json(), kept, scores)


def _say_lines(lines: list[str]) -> None:
    for line in lines:
        log.info("%s", line)

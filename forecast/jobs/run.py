"""One run of a job: read, check, fit if due, forecast, write, record.

A run writes everything or nothing.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from forecast.artifacts.format import find_package_versions
from forecast.artifacts.store import Store, check_apart
from forecast.calendar.spec import as_text, parse_as_of
from forecast.errors import raise_if_interrupted
from forecast.inference.forecasting import (
    build_forecasts,
    compute_quantiles,
    find_skipped,
    panel_of_table,
)
from forecast.jobs import gate, inputs
from forecast.jobs.administration import claim, open_ledger
from forecast.jobs.ledger import BLOCKED, BLOCKED_INPUTS, INPUTS_TABLE
from forecast.jobs.new_version import fit_version
from forecast.jobs.past_runs import (
    check_panel,
    compare_with_past,
    learn_from_past,
    score_earlier,
)
from forecast.jobs.pipeline import Pipeline, files_read, keys_in_errors
from forecast.jobs.publishing import (
    Run,
    begin,
    build_publication,
    finish_promotion,
    recorded,
    run_to_accept,
)
from forecast.jobs.record import Record, sha256_of_file, sha256_of_frame
from forecast.jobs.sinks import OrdersSettings, SinkSettings
from forecast.jobs.sum_scores import compute_totals
from forecast.logs import log
from forecast.panel.infer import Source
from forecast.tables.table import Table
from forecast.tables.writing import check_output
from forecast.training.plan import Progress


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
            alone = {"sink": SinkSettings(path=output), "totals": (), "orders": OrdersSettings()}
            pipeline = pipeline.model_copy(update=alone)
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
            run = Run(pipeline, instant, record, store, writer, ledger, takes_over, on_step)
            with recorded(run):
                begin(run, warn_of_later=output is None)
                with keys_in_errors():
                    _read_fit_forecast_write(run)
    return record


def _record_input(run: Run, table: Table) -> None:
    """Record which table a run reads; of another one than was blocked nothing is accepted."""
    record = run.record
    digest = table.sha256 or sha256_of_frame(table.frame)
    if record.accepted and record.input["sha256"] != digest:
        text = "the source has changed since the run as of %s was blocked: nothing is accepted"
        log.warning(text, record.as_of)
        record.blocked_by = []
        record.accepted = []
    record.input = {"name": run.pipeline.hidden(table.name), "rows": len(table), "sha256": digest}


def _read_fit_forecast_write(run: Run) -> None:
    """Do the work of a run; if it is killed, the next run finishes or repeats what is missing."""
    pipeline = run.pipeline
    record = run.record
    ledger = run.ledger
    finish_promotion(ledger, run.store, run.writer)

    job_inputs = inputs.look(pipeline, run.store, ledger, run.instant)
    table = job_inputs.table
    _record_input(run, table)
    entry = None
    source: Source
    if job_inputs.live is None or job_inputs.why:
        entry, serving, source = fit_version(run, job_inputs)
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
    lagging = check_panel(run, serving, panel, source.name)
    score_earlier(run, serving, panel, has_fitted=entry is not None)
    series, quantiles = compute_quantiles(serving.predictor, panel)
    factors, days = learn_from_past(run, serving, panel, series, quantiles)
    skipped = find_skipped(fitted, panel)
    forecasts = build_forecasts(fitted, output, panel, series, quantiles, skipped, factors)
    if not record.ahead_of_clock:
        run.kept |= inputs.known_differences(pipeline, panel, serving.schema, run.instant)
    totals = compute_totals(pipeline, serving, forecasts)
    tonight = compare_with_past(run, serving, forecasts, totals)
    alarms = gate.check_run(pipeline, record, tonight, job_inputs.own_checks)
    raise_if_interrupted()
    publication = build_publication(run, forecasts, totals, serving, days, lagging, entry)
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

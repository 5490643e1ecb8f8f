"""Fit a new version in a run of a job, and decide whether it goes live."""

import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

from forecast.engine.fit import fit
from forecast.engine.requests import Callbacks, FitRequest
from forecast.inference.contents import to_contents
from forecast.inference.fitted import Fitted, describe_fit
from forecast.inference.predictor import Predictor
from forecast.jobs import inputs
from forecast.jobs.checks.promotion import ServingVersion, should_promote
from forecast.jobs.ledger import UNFINISHED_RUN, FitEntry
from forecast.jobs.past_runs import check_age
from forecast.jobs.publishing import Run
from forecast.jobs.refit import settings_of_fit
from forecast.logs import log
from forecast.panel.infer import Reading, check_to_fit, describe_reading


def fit_version(run: Run, job_inputs: inputs.JobInputs) -> tuple[FitEntry, ServingVersion, Reading]:
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
        check_age(run, panel, reading.schema, job_inputs.table.name)
    inputs.check_periods(pipeline, reading.schema, panel.origin, panel.ahead)
    log.info("fit      %s", job_inputs.why)
    check_to_fit(reading, None if live is None else live.fitted.history)
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
    run: Run, fitted: Fitted, live: ServingVersion | None, promoted: bool, verdict: str
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

"""The gate of a run on what it is about to write: publish it, block it, or put rows of the last run in its place."""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from forecast.checks import fallback
from forecast.checks.output import Finding, Output, Statistics, blocks, findings, outcome, statistic_text
from forecast.checks.promotion import ServingVersion
from forecast.inference.forecasting import Forecasts
from forecast.jobs import totals
from forecast.jobs.as_of import added_columns
from forecast.jobs.kinds import Results
from forecast.jobs.pipeline import Pipeline
from forecast.ledger.accuracy import beside
from forecast.ledger.ledger import Kept
from forecast.ledger.record import Record
from forecast.panel.panel import Ids
from forecast.panel.schema import calendar_of
from forecast.tables.writing import frame_of
from forecast.totals.sums import Totals

log = logging.getLogger("forecast")


@dataclass(frozen=True)
class Passed:
    """What a run may write, or what keeps it from that."""

    forecasts: Forecasts
    totals: list[Totals]
    problems: list[str] = field(default_factory=list)  # that block the run
    source: NDArray[np.object_] | None = None  # [rows], where the numbers of each row are from, if that is asked for
    replaced: Ids = ()  # series whose numbers are not tonight's

    def tables(self, pipeline: Pipeline, live: ServingVersion) -> list[Results]:
        """The table of forecasts, and those of sums, as sinks write them."""
        explained, forecasts, schema = frame_of(self.forecasts.columns), self.forecasts, live.schema
        if self.source is not None:
            explained[fallback.SOURCE] = self.source
        hidden = ["model", "status"] if added_columns(pipeline) and not pipeline.output.explain else []
        origins, horizon = forecasts.panel.origins[forecasts.series, None], forecasts.quantiles.shape[1]
        steps, calendar = origins + 1 + np.arange(horizon), calendar_of(schema)
        times, ends = calendar.times(steps.ravel()), calendar.times(origins.repeat(horizon))
        series = Results(explained.drop(columns=hidden), explained, times, ends, schema, live.version, pipeline.output)
        return [series, *(totals.sums_of(each, forecasts, live.version) for each in self.totals)]


def checked(
    pipeline: Pipeline, live: ServingVersion, forecasts: Forecasts, record: Record, last: Kept, past: list[Statistics]
) -> Passed:
    """Check what a run is about to write; the record gets the statistics, and the log what warns."""
    limits, schema, fitted = pipeline.checks.output, live.schema, live.fitted
    sums = totals.totals_of(pipeline, live.predictor, schema, forecasts)
    earlier = None if last is None else beside(last, forecasts, schema)
    found = findings(Output(forecasts, fitted, schema, pipeline.output, sums), earlier, past)
    record.checks = {name: finding.statistic() for name, finding in found.items()}
    words = {name: outcome(name, statistic, limits) for name, statistic in record.checks.items()}
    errors = {name: found[name] for name, word in words.items() if word == "error"}
    texts = {name: statistic_text(name, record.checks[name], found[name].series) for name in words if words[name]}
    problems = [texts[name] for name in errors if blocks(name, limits)]
    source = None if limits.on_error != "fallback" else np.full(forecasts.rows, fallback.TONIGHT, object)
    passed = Passed(forecasts, sums, problems, source)
    if source is not None and errors and not problems:
        passed = _fallen_back(pipeline, live, passed, last, {texts[name]: found[name] for name in errors})
    for text in (text for text in texts.values() if text not in passed.problems):
        log.warning("%s", pipeline.hidden(text))
    return passed


def _fallen_back(
    pipeline: Pipeline, live: ServingVersion, passed: Passed, last: Kept, errors: dict[str, Finding]
) -> Passed:
    """The forecasts with those of the last run for the series that errors name, unless these are too many."""
    forecasts, refused = passed.forecasts, {ids for finding in errors.values() for ids in finding.series}
    here = {forecasts.panel.ids[i] for i in forecasts.series}
    few = len(refused) <= fallback.MOST * len(here | refused)
    room = fallback.with_gone(forecasts, live.fitted, sorted(refused - here)) if few else None
    if room is None:
        why = f"{len(refused)} of {len(here | refused)} series are too many, or too new, for rows of the last run"
        return replace(passed, problems=[*errors, why])
    earlier = np.full((*room.means.shape, 5), np.nan) if last is None else beside(last, room, live.schema)[1]
    series = np.array([room.panel.ids[i] in refused for i in room.series], bool)
    output = pipeline.output.model_copy(update={"explain": pipeline.output.explain or bool(added_columns(pipeline))})
    made, source = fallback.replaced(room, live.fitted, output, series, earlier)
    return Passed(
        made, totals.totals_of(pipeline, live.predictor, live.schema, made), [], source, tuple(sorted(refused))
    )

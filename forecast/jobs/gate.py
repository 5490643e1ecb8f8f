"""Check what a run is about to write, and replace refused series by rows of the last run.

This gate is that of forecasts; the gate of new fits is `jobs/checks/promotion.py`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import Blocked, Setting
from forecast.inference.forecasting import Forecasts
from forecast.jobs.administration import open_ledger
from forecast.jobs.checks import actual, limits
from forecast.jobs.checks import output as checks
from forecast.jobs.checks.accuracy import Earlier, earlier_forecasts
from forecast.jobs.checks.actual import Night
from forecast.jobs.checks.limits import Alarm, Finding
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.inputs import explained_output
from forecast.jobs.ledger import Kept
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import Record
from forecast.jobs.sinks import Results
from forecast.jobs.sum_scores import compute_totals
from forecast.logs import log
from forecast.panel.panel import Id, Ids, ids_at
from forecast.panel.schema import build_calendar
from forecast.tables.writing import build_frame
from forecast.totals.periods import key_columns
from forecast.totals.sums import Totals


@dataclass(frozen=True)
class CheckedForecasts:
    """What a run is about to write.

    Attributes
    ----------
    problems : why the run is blocked; empty if it is not
    acceptable : whether the user may publish a blocked run nevertheless
    source : [rows], where the numbers of each row come from, or one source of all rows
    replaced : ids of series whose forecasts were replaced
    """

    forecasts: Forecasts
    totals: list[Totals]
    problems: tuple[str, ...] = ()
    acceptable: bool = True
    source: NDArray[np.object_] | str = checks.THIS_RUN
    replaced: Ids = ()

    def tables(self, pipeline: Pipeline, live: ServingVersion) -> list[Results]:
        """The table of forecasts, and the tables of sums, as sinks write them."""
        results = partial(Results, version=live.version, output=pipeline.output)
        calendar = build_calendar(live.schema)
        explained = build_frame(self.forecasts.columns)
        if pipeline.checks.output.on_error == "fallback":
            explained[checks.SOURCE] = self.source

        panel = self.forecasts.panel
        origins = panel.origins[self.forecasts.series, None]  # [series, 1]
        steps = np.arange(1, self.forecasts.quantiles.shape[1] + 1)
        of_series = results(
            explained=explained,
            times=calendar.times((origins + steps).ravel()),
            origins=calendar.times(origins.repeat(len(steps))),
            schema=live.schema,
        )
        tables = [of_series]
        newest = calendar.times(np.array([panel.origin]))
        for totals in self.totals:
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


def check_run(
    pipeline: Pipeline,
    live: ServingVersion,
    forecasts: Forecasts,
    record: Record,
    last: Kept,
    night: Night,
) -> CheckedForecasts:
    """Check what a run is about to write: its newest values first, then its forecasts.

    The record gets the statistics of the checks, and the log the warnings. If the job is set to
    fall back, refused series get rows of the last run: series with refused values before forecasts
    are checked, and series with refused forecasts afterwards.
    """
    falls_back = pipeline.checks.output.on_error == "fallback"
    passed = CheckedForecasts(forecasts, compute_totals(pipeline, live, forecasts))
    refused = set[Id]()
    findings = actual.findings(night, record.data_age)
    if "revised" in findings:
        record.revised = list(findings["revised"].runs)
    if falls_back:
        alarms = limits.alarms(findings, pipeline.checks, night.runs, record.accepted)
        refused = _find_refused_series(alarms, findings)
        passed = _fallen_back(pipeline, live, passed, last, refused)
    new = findings["new_series"].series if "new_series" in findings else ()
    earlier = None
    if last is not None:
        earlier = _comparable(last, passed.forecasts, night)
    output = checks.Output(
        forecasts=passed.forecasts,
        fitted=live.fitted,
        settings=pipeline.output,
        totals=passed.totals,
        earlier=earlier,
        past=limits.select_reference_runs(night.runs),
        new=set(new),
    )
    findings |= checks.findings(output)
    alarms = limits.alarms(findings, pipeline.checks, night.runs, record.accepted)
    problems = [*passed.problems]
    problems += [alarm.text for alarm in alarms.values() if alarm.word == "blocked"]
    if falls_back and not problems:
        of_forecasts = _find_refused_series(alarms, findings) - refused
        series = {*output.ids, *of_forecasts}
        if len(of_forecasts) > checks.MOST_REPLACED * len(series):
            text = "%d of %d series are too many for rows of the last run"
            problems = [text % (len(of_forecasts), len(series))]
            problems += [alarm.text for alarm in alarms.values() if alarm.word == "error"]
        else:
            passed = _fallen_back(pipeline, live, passed, last, of_forecasts)
            problems += passed.problems
    passed = replace(
        passed,
        problems=tuple(problems),
        acceptable=not limits.HARD.keys() & alarms.keys(),
    )

    record.checks = {name: finding.statistic() for name, finding in findings.items()}
    record.findings = list(alarms)
    if problems and pipeline._publishes:
        record.blocked_by = [name for name, alarm in alarms.items() if alarm.word != "warning"]
    record.accepted = [name for name in record.accepted if name in alarms and not problems]
    only_warns = all(alarm.word == "warning" for alarm in alarms.values())
    record.held = only_warns and any(limits.has_held(name, night.runs) for name in alarms)
    for alarm in alarms.values():
        if alarm.text not in passed.problems:
            log.warning("%s", pipeline.hidden(alarm.text))
    return passed


def _find_refused_series(alarms: Mapping[str, Alarm], findings: Mapping[str, Finding]) -> set[Id]:
    """The series named by errors that do not block the run: rows of the last run replace them."""
    errors = [name for name, alarm in alarms.items() if alarm.word == "error"]
    return {ids for name in errors for ids in findings[name].series}


def _fallen_back(
    pipeline: Pipeline,
    live: ServingVersion,
    passed: CheckedForecasts,
    last: Kept,
    refused: set[Id],
) -> CheckedForecasts:
    """Forecasts in which refused series have rows of the last run, or else seasonal naive."""
    if not refused:
        return passed
    forecasts = passed.forecasts
    gone = refused.difference(ids_at(forecasts.panel, forecasts.series))
    if gone - {*live.fitted.ids} or gone & {*forecasts.panel.ids}:
        problem = f"{len(gone)} series are too new for rows of the last run"
        return replace(passed, problems=(problem,))
    forecasts = checks.add_gone_series(forecasts, live.fitted, tuple(gone))
    published = np.full((*forecasts.means.shape, 5), np.nan)
    if last is not None:
        _, published = earlier_forecasts(last, forecasts, live.schema)
    replaced = refused.union(passed.replaced)
    is_replaced = [ids in replaced for ids in ids_at(forecasts.panel, forecasts.series)]
    forecasts, source = checks.replace_series(
        forecasts,
        live.fitted,
        explained_output(pipeline),
        series=np.array(is_replaced, bool),
        earlier=published,
    )
    return CheckedForecasts(
        forecasts=forecasts,
        totals=compute_totals(pipeline, live, forecasts),
        source=source,
        replaced=tuple(sorted(replaced)),
    )


def _comparable(last: pd.DataFrame, forecasts: Forecasts, night: Night) -> Earlier:
    """What the last run published, without steps that are touched by events of unknown effect."""
    names, published = earlier_forecasts(last, forecasts, night.schema)
    panel = forecasts.panel
    first = panel.offsets[forecasts.series] + panel.lengths[forecasts.series]
    slots = first[:, None] + np.arange(published.shape[1])
    touched = actual.mark_unknown_events(panel, night)[slots]
    return names, np.where(touched[..., None], np.nan, published)


def refuse(passed: CheckedForecasts) -> None:
    """Raise `Blocked` if a problem keeps the run from being published."""
    if not passed.problems:
        return
    cure = "`forecast diff` explains it; mend the source and run again"
    if passed.acceptable:
        cure = f"{cure}, or pass {Setting('accept')}"
    raise Blocked(f"blocked, and nothing was published: {'; '.join(passed.problems)}", cure=cure)


def replayed_checks(pipeline: Pipeline, runs: int) -> list[str]:
    """A line for each recent run that would raise an alarm under the current limits; a summary."""
    with pipeline.hidden.kept_out():
        records = [run for run in open_ledger(pipeline).runs(runs) if run.checks]
    lines = []
    counts = Counter[str]()
    for record in reversed(records):
        findings = {
            name: Finding(statistic.get("share"), statistic.get("usual"))
            for name, statistic in record.checks.items()
        }
        alarms = limits.alarms(findings, pipeline.checks)
        if not alarms:
            continue
        # blocked, error and warning: their alphabetical order is that of severity
        worst = "warning" if record.held else min(alarm.word for alarm in alarms.values())
        counts[worst] += 1
        texts = "; ".join(alarm.text for alarm in alarms.values())
        lines.append(f"{record.as_of}  {worst}: {texts}")
    summary = ", ".join(f"{counts[word]} {word}" for word in sorted(counts)) or "no alarm"
    return [*lines, f"replayed {len(records)} runs with the limits of {pipeline.file}: {summary}"]

"""Check what a run is about to write, and replace refused series by rows of the last run.

This gate is that of forecasts; the gate of new fits is `jobs/checks/promotion.py`.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from forecast.errors import Blocked, Setting
from forecast.inference.forecasting import Forecasts
from forecast.jobs.administration import open_ledger
from forecast.jobs.checks import actual, limits
from forecast.jobs.checks import output as checks
from forecast.jobs.checks.accuracy import Earlier, earlier_forecasts
from forecast.jobs.checks.actual import Night
from forecast.jobs.checks.limits import Alarm, Finding
from forecast.jobs.checks.promotion import ServingVersion
from forecast.jobs.ledger import Kept
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import Record
from forecast.logs import log
from forecast.totals.sums import Totals


def check_run(
    pipeline: Pipeline,
    live: ServingVersion,
    forecasts: Forecasts,
    totals: list[Totals],
    record: Record,
    last: Kept,
    night: Night,
) -> dict[str, Alarm]:
    """Check what a run is about to write: its newest values first, then its forecasts.

    The record gets the statistics of the checks, and the log the warnings.
    """
    findings = actual.findings(night, record.data_age)
    if "revised" in findings:
        record.revised = list(findings["revised"].runs)
    new = findings["new_series"].series if "new_series" in findings else ()
    output = checks.Output(
        forecasts=forecasts,
        fitted=live.fitted,
        settings=pipeline.output,
        totals=totals,
        earlier=None if last is None else _comparable(last, forecasts, night),
        past=limits.select_reference_runs(night.runs),
        new=set(new),
    )
    findings |= checks.findings(output)
    alarms = limits.alarms(findings, pipeline.checks, night.runs, record.accepted)
    record.checks = {name: finding.statistic() for name, finding in findings.items()}
    record.findings = list(alarms)
    is_blocked = bool(find_blocked(alarms))
    record.accepted = [name for name in record.accepted if name in alarms and not is_blocked]
    only_warns = all(alarm.word == "warning" for alarm in alarms.values())
    record.held = only_warns and any(limits.has_held(name, night.runs) for name in alarms)
    for alarm in alarms.values():
        log.warning("%s", pipeline.hidden(alarm.text))
    return alarms


def _comparable(last: pd.DataFrame, forecasts: Forecasts, night: Night) -> Earlier:
    """What the last run published, without steps that are touched by events of unknown effect."""
    names, published = earlier_forecasts(last, forecasts, night.schema)
    panel = forecasts.panel
    first = panel.offsets[forecasts.series] + panel.lengths[forecasts.series]
    slots = first[:, None] + np.arange(published.shape[1])
    touched = actual.mark_unknown_events(panel, night)[slots]
    return names, np.where(touched[..., None], np.nan, published)


def find_blocked(alarms: Mapping[str, Alarm]) -> list[str]:
    """The names of the checks that keep a run from being published; empty if none does."""
    serious = {name: alarm.word for name, alarm in alarms.items() if alarm.word != "warning"}
    return list(serious) if "blocked" in serious.values() else []


def refuse(alarms: Mapping[str, Alarm]) -> None:
    """Raise `Blocked` if a check keeps the run from being published."""
    if not find_blocked(alarms):
        return
    cure = "`forecast diff` explains it; mend the source and run again"
    if not limits.HARD.keys() & alarms.keys():
        cure = f"{cure}, or pass {Setting('accept')}"
    problems = [alarm.text for alarm in alarms.values() if alarm.word == "blocked"]
    raise Blocked(f"blocked, and nothing was published: {'; '.join(problems)}", cure=cure)


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

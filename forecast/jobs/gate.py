"""Check what a run is about to write, and replace refused series by rows of the last run.

This gate is that of forecasts; the gate of new fits is `jobs/checks/promotion.py`.
"""

from collections import Counter
from collections.abc import Mapping

from forecast.errors import Blocked, Setting
from forecast.jobs.administration import open_ledger
from forecast.jobs.checks import limits
from forecast.jobs.checks.check import Find
from forecast.jobs.checks.finding import Finding, has_held
from forecast.jobs.checks.limits import CHECKS, RULES, Alarm
from forecast.jobs.checks.tonight import Tonight
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.record import Record
from forecast.logs import log


def run_checks(tonight: Tonight, own: Mapping[str, Find] | None = None) -> dict[str, Finding]:
    """The finding of each check that has something to compare, by the name of the check."""
    checks: dict[str, Find] = {**CHECKS, **(own or {})}
    findings = {name: find(tonight) for name, find in checks.items()}
    return {name: finding for name, finding in findings.items() if finding is not None}


def check_run(
    pipeline: Pipeline, record: Record, tonight: Tonight, own: Mapping[str, Find]
) -> dict[str, Alarm]:
    """Check what a run is about to write: its newest values first, then its forecasts.

    The record gets the statistics of the checks, and the log the warnings.
    """
    findings = run_checks(tonight, own)
    if "revised" in findings:
        record.revised = list(findings["revised"].runs)
    alarms = limits.alarms(findings, pipeline.checks, tonight.runs, record.accepted)
    record.checks = {name: finding.statistic() for name, finding in findings.items()}
    record.findings = list(alarms)
    is_blocked = bool(find_blocked(alarms))
    record.accepted = [name for name in record.accepted if name in alarms and not is_blocked]
    only_warns = all(alarm.word == "warning" for alarm in alarms.values())
    record.held = only_warns and any(has_held(name, tonight.runs) for name in alarms)
    for alarm in alarms.values():
        log.warning("%s", pipeline.hidden(alarm.text))
    return alarms


def find_blocked(alarms: Mapping[str, Alarm]) -> list[str]:
    """The names of the checks that keep a run from being published; empty if none does."""
    serious = {name: alarm.word for name, alarm in alarms.items() if alarm.word != "warning"}
    return list(serious) if "blocked" in serious.values() else []


def refuse(alarms: Mapping[str, Alarm]) -> None:
    """Raise `Blocked` if a check keeps the run from being published."""
    if not find_blocked(alarms):
        return
    cure = "`forecast diff` explains it; mend the source and run again"
    if not RULES & alarms.keys():
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

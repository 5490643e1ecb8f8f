"""All checks of a job, the settings of their limits, and the alarms that findings cause."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field

from forecast.jobs.checks import actual, groups, known_columns, output
from forecast.jobs.checks.check import Check
from forecast.jobs.checks.finding import Finding, Limits, has_held
from forecast.jobs.record import Record
from forecast.panel.panel import series_names
from forecast.settings import CheckSettings, FilePath, SettingsGroup

CHECKS = {
    check.name: check
    for module in (actual, groups, known_columns, output)
    for check in vars(module).values()
    if isinstance(check, Check)
}
RULES = {name for name, check in CHECKS.items() if check.limits is None}


class OutputCheckSettings(SettingsGroup):
    """Checks of forecasts before a job writes them; `workshop.campaigns nights` measured the limits."""

    on_error: Literal["block", "warn"] = Field(
        "block", description="for all checks: block: exit with 5; or warn"
    )
    series_missing: Limits = output.check_series_missing.setting
    bounds: Limits = output.check_bounds.setting
    jump: Limits = output.check_jump.setting
    total_jump: Limits = output.check_total_jump.setting
    flat: Limits = output.check_flat.setting
    width: Limits = output.check_width.setting


class ActualCheckSettings(SettingsGroup):
    """Checks of the newest values before a job publishes what follows from them, on by default."""

    group: Limits = groups.check_group.setting
    value: Limits = groups.check_value.setting
    silent: Limits = actual.check_silent.setting
    late: Limits = actual.check_late.setting
    revised: Limits = actual.check_revised.setting
    known: Limits = known_columns.check_known.setting
    duplicate: Limits = actual.check_duplicate.setting
    new_series: Limits = actual.check_new_series.setting


class OwnCheckSettings(Limits):
    """A check of the user's own, beside the limits of its finding."""

    path: FilePath = Field(description="a Python file with a function check(tonight)")


class JobCheckSettings(CheckSettings, heading="Checks"):
    """Checks of the table of a job, of its newest values, and of its forecasts."""

    actual: ActualCheckSettings = Field(
        ActualCheckSettings(), description="checks of the newest values"
    )
    output: OutputCheckSettings = Field(OutputCheckSettings(), description="checks of forecasts")
    own: dict[str, OwnCheckSettings] = Field({}, description="checks of your own, by name")

    def limits(self, name: str) -> Limits | None:
        """The limits of a check; None for a rule."""
        limits: Limits | None = getattr(self.actual, name, getattr(self.output, name, None))
        return self.own.get(name, limits)


Word = Literal["blocked", "error", "warning"]


class Alarm(NamedTuple):
    word: Word
    text: str  # for people


def outcome(name: str, statistic: Mapping[str, float], limits: JobCheckSettings) -> str:
    """What the statistic of a check means: "error", "warn" or ""."""
    share = statistic.get("share")
    usual = statistic.get("usual")
    limit = limits.limits(name)
    if name in RULES:
        return "error" if share else ""
    if share is None or usual is None or limit is None or share <= usual:
        return ""
    if share > limit.error:
        return "error"
    return "warn" if share > limit.warn else ""


def alarms(
    findings: Mapping[str, Finding],
    limits: JobCheckSettings,
    runs: Sequence[Record] = (),
    accepted: Collection[str] = (),
) -> dict[str, Alarm]:
    """The alarms that findings cause, by the name of the check.

    A finding that the runs of a week have had, too, or that is `accepted`, is only a warning. `runs`
    are the earlier runs, newest first.
    """
    said = {}
    for name, finding in findings.items():
        statistic = finding.statistic()
        meaning = outcome(name, statistic, limits)
        if not meaning:
            continue
        text = finding.text
        if not text:
            text = _describe(name, statistic["share"], limits)
            if finding.series:
                text = f"{text} ({series_names(finding.series)})"
        if name in accepted and name not in RULES:
            meaning = "warn"
            text = f"{text}; it was accepted"
        elif name not in RULES and has_held(name, runs):
            meaning = "warn"
            text = f"{text}; as the runs of a week have found it, it counts as right"
        keeps_back = name in RULES or limits.output.on_error == "block"
        serious: Word = "blocked" if keeps_back else "error"
        said[name] = Alarm("warning" if meaning == "warn" else serious, f"{name}: {text}")
    return said


def _describe(name: str, share: float, limits: JobCheckSettings) -> str:
    if name in limits.own:
        return f"{share:.3g} is what {Path(limits.own[name].path).name} has found"
    return CHECKS[name].describe(share)

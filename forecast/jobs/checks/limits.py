"""Findings of checks, their limits, and the past runs from which checks learn what is usual."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from forecast.jobs.record import Record
from forecast.panel.panel import Ids, series_names
from forecast.settings import CheckSettings, SettingsGroup

MIN_REFERENCE_RUNS = 20  # fewest past runs with which a run is compared
USUAL = 0.95  # quantile of the statistics of past runs up to which a statistic is usual
HELD_RUNS = 7  # a finding of so many runs, over as many days, is taken for the new normal
HARD = {
    "finite": "numbers that are not finite",
    "order": "rows whose quantiles are not in order",
    "negative": "rows below 0 of series that never were",
}
NO_SHARES = {"group", "value", "late", "known"}  # checks whose statistic is not a share


class Limits(SettingsGroup):
    """Beyond `warn` a check warns, beyond `error` it is an error; no share is beyond 1."""

    warn: float = Field(ge=0, description="the share beyond which it warns")
    error: float = Field(ge=0, description="the share beyond which it is an error")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.error:
            raise ValueError(f"warn {self.warn:g} lies above error {self.error:g}")
        return self

    def __str__(self) -> str:
        return f"warn {self.warn:g}, error {self.error:g}"


def _limits(warn: float, error: float, description: str) -> Any:
    return Field(Limits(warn=warn, error=error), description=description)


class OutputCheckSettings(SettingsGroup):
    """Checks of forecasts before a job writes them; `workshop.campaigns nights` measured the limits."""

    on_error: Literal["block", "warn"] = Field(
        "block", description="for [checks.actual] too: block: exit with 5; or warn"
    )
    series_missing: Limits = _limits(
        0.005, 0.02, "the share of the last run's series that have no rows, unless they ended"
    )
    bounds: Limits = _limits(
        0.005, 0.02, "the share of series with a median above 3 times the largest value of a year"
    )
    jump: Limits = _limits(
        0.05, 0.25, "the share of series whose median moved much further than in past runs"
    )
    total_jump: Limits = _limits(
        0.15, 0.3, "the change of the sum of all medians, if over 3 times that of past runs"
    )
    flat: Limits = _limits(
        0.05, 0.5, "the share of series with a constant median, if more than in past runs"
    )
    width: Limits = _limits(
        0.05,
        1.0,
        "the share of series, of 20 at least, with intervals 3 times as wide as before or a third",
    )


class ActualCheckSettings(SettingsGroup):
    """Checks of the newest values before a job publishes what follows from them, on by default."""

    group: Limits = _limits(
        1.5, 1.5, "how many times the forecast a group's new values are, or the inverse"
    )
    value: Limits = _limits(
        6.0, 1000.0, "how far a new value lies from its median, in distances of its 95 % end"
    )
    silent: Limits = _limits(
        0.0, 1.0, "the share of series in groups without values at the newest times of others"
    )
    late: Limits = _limits(0.9, 30.0, "how many runs the data are older than they usually are")
    revised: Limits = _limits(
        0.05, 0.5, "by what share a group's past values changed since the last run"
    )
    known: Limits = _limits(
        0.5, 5.0, "the steps at which a known column of a group is blank or has another scale"
    )
    duplicate: Limits = _limits(
        0.0, 0.05, "the share of series that equal others over their whole past, of 100 at least"
    )
    new_series: Limits = _limits(
        0.05, 0.2, "the new series, as a share of those of the last run, or of 25"
    )


class JobCheckSettings(CheckSettings, heading="Checks"):
    """Checks of the table of a job, of its newest values, and of its forecasts."""

    actual: ActualCheckSettings = Field(
        ActualCheckSettings(), description="checks of the newest values"
    )
    output: OutputCheckSettings = Field(OutputCheckSettings(), description="checks of forecasts")

    def limits(self, name: str) -> Limits | None:
        """The limits of a check of the newest values or of forecasts; None for a rule."""
        limits: Limits | None = getattr(self.actual, name, getattr(self.output, name, None))
        return limits


ABOUT = {**OutputCheckSettings.model_fields, **ActualCheckSettings.model_fields}


@dataclass(frozen=True)
class Finding:
    """What a check measured.

    Attributes
    ----------
    share : the statistic of the check: a share of series, another number that the limits of the
        check describe, or for a rule a count; None if there is nothing to compare
    usual : the usual statistic of past runs, up to which there is no alarm; None while there are
        too few runs
    series : ids of the affected series
    size : the size of jumps, with which later runs compare theirs
    sizes : distances by kind of group, with which later runs compare theirs
    text : the finding in words
    runs : times of the affected earlier runs
    """

    share: float | None = None
    usual: float | None = 0.0
    series: Ids = ()
    size: float | None = None
    sizes: Mapping[str, float] = field(default_factory=dict)
    text: str = ""
    runs: Sequence[str] = ()

    def statistic(self) -> dict[str, float]:
        numbers = {"share": self.share, "usual": self.usual, "size": self.size, **self.sizes}
        return {
            name: round(float(number), 6) for name, number in numbers.items() if number is not None
        }


Word = Literal["blocked", "error", "warning"]


class Alarm(NamedTuple):
    word: Word
    text: str  # for people


def outcome(name: str, statistic: Mapping[str, float], limits: JobCheckSettings) -> str:
    """What the statistic of a check means: "error", "warn" or ""."""
    share = statistic.get("share")
    usual = statistic.get("usual")
    limit = limits.limits(name)
    if name in HARD:
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
            text = _describe(name, statistic["share"])
            if finding.series:
                text = f"{text} ({series_names(finding.series)})"
        if name in accepted and name not in HARD:
            meaning = "warn"
            text = f"{text}; it was accepted"
        elif has_held(name, runs):
            meaning = "warn"
            text = f"{text}; as the runs of a week have found it, it counts as right"
        keeps_back = name in HARD or limits.output.on_error == "block"
        serious: Word = "blocked" if keeps_back else "error"
        said[name] = Alarm("warning" if meaning == "warn" else serious, f"{name}: {text}")
    return said


def _describe(name: str, share: float) -> str:
    if name in HARD:
        return f"{share:,.0f} {HARD[name]}"
    description = ABOUT[name].description
    if name in NO_SHARES:
        return f"{share:.3g} is {description}"
    percent = f"{100 * share:,.0f}" if share > 1 else f"{100 * share:.3g}"
    return f"{percent} % is {description}"


def select_reference_runs(runs: Sequence[Record]) -> list[Record]:
    """The runs from which checks learn what is usual: they published, and nothing was wrong.

    A run with a finding is left out, unless it was accepted or the runs of a week before it had the
    same finding. A run is also left out if its newest values were revised later, or if it was dated
    ahead of its clock or its data.
    """
    revised = {as_of for run in runs for as_of in run.revised}
    return [
        run
        for run in runs
        if (not run.findings or run.held or is_accepted(run))
        and run.settled
        and not run.dated_ahead
        and run.as_of not in revised
    ]


def is_accepted(run: Record) -> bool:
    return run.published and bool(run.accepted)


def usual_size(past: Sequence[Record], name: str, what: str = "share") -> float | None:
    """The usual value of a statistic: a high quantile over past runs.

    It is larger if a recent run with a larger value was accepted; None if neither is known.
    """
    sized = [run for run in past if what in run.checks.get(name, {})]
    sizes = [run.checks[name][what] for run in sized]
    usual = [run.checks[name][what] for run in sized[:HELD_RUNS] if is_accepted(run)]
    if len(sizes) >= MIN_REFERENCE_RUNS:
        usual.append(float(np.quantile(sizes, USUAL)))
    return max(usual, default=None)


def has_held(name: str, runs: Sequence[Record]) -> bool:
    """Whether all runs of the past week had this finding.

    At least the newest seven runs count; `runs` are newest first.
    """
    checked = [run for run in runs if run.checks and not run.dated_ahead]
    if name in HARD or len(checked) < HELD_RUNS:
        return False
    week_ago = datetime.fromisoformat(checked[0].as_of) - timedelta(days=7)
    of_week = [run for run in checked if datetime.fromisoformat(run.as_of) > week_ago]
    newest = max(of_week, checked[:HELD_RUNS], key=len)
    return all(name in run.findings for run in newest)

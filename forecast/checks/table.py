"""Check the table of a run before the forecast: its age, and its drift since the fit."""

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from forecast.calendar.spec import STEPS, on_clock
from forecast.errors import Setting, StaleData, Words
from forecast.logs import log
from forecast.panel.naming import series_names
from forecast.panel.panel import SKIPPED, Integers, Numbers, Panel, series_index
from forecast.panel.schema import Schema, calendar_of
from forecast.settings import CheckSettings, seconds_of


@dataclass(frozen=True)
class DriftPriors:
    """From which drift since the fit on a run warns."""

    min_values: int = 30
    # statistic of the Kolmogorov-Smirnov test
    min_statistic: float = 0.4
    max_p_value: float = 1e-4
    # by how much the share of missing values may exceed that of the fit
    more_missing: float = 0.2


PRIORS = DriftPriors()


def age(newest: int, schema: Schema, instant: datetime) -> float | None:
    """Seconds from the end of the newest observed period to an instant.

    None if times are numbered steps.
    """
    now = on_clock(instant, schema.time_format)
    if now is None or schema.layout == "rows":
        return None
    return float(now - calendar_of(schema).ends(np.array([newest]))[0])


def lagging(
    panel: Panel, schema: Schema, limits: CheckSettings, name: str
) -> list[tuple[str, ...]]:
    """The series that end before others by more than an age limit, or else by a horizon.

    Logs a warning about them.
    """
    if schema.layout == "rows":
        return []
    times = calendar_of(schema).times
    newest = panel.origins - panel.trailing_gap()
    limit = limits.error_after or limits.warn_after
    if limit is None or schema.time_format.kind == STEPS:
        behind = panel.origins.max() - newest >= panel.ahead
    else:
        newest_of_all = times(panel.origins.max(keepdims=True))
        behind = newest_of_all - times(newest) >= seconds_of(limit)
    ended = np.isin(panel.status, SKIPPED)  # reported with the statuses
    ids = [panel.ids[i] for i in np.flatnonzero(behind & ~ended)]
    if ids:
        text = "%s: %d series have no recent value, while others do: %s"
        cure = "if one closed, add an event of kind closed"
        log.warning(f"{text}; {cure}", name, len(ids), series_names(ids))
    return ids


def check_age(seconds: float | None, limits: CheckSettings, name: str) -> None:
    """Warn if a table is old; raises `StaleData` if it is as old as `limits.error_after`."""
    if seconds is None:
        return
    text = f"{name}: the newest value is {age_text(seconds)}"
    if limits.error_after is not None and seconds >= seconds_of(limits.error_after):
        limit = Setting("error_after")
        problem = Words(text, ", and ", limit, f" is {limits.error_after}; nothing was forecast")
        raise StaleData(problem)
    if limits.warn_after is not None and seconds >= seconds_of(limits.warn_after):
        log.warning("%s (%s)", text, Setting("warn_after", limits.warn_after))


def without_forecast(
    skipped: dict[tuple[str, ...], str], require_all: bool
) -> list[tuple[str, ...]]:
    """The skipped series for which a run counts as incomplete.

    Ended series are among them only with `require_all`.
    """
    incomplete = {"missing", "gone", "ended"} if require_all else {"missing"}
    return [series for series, status in skipped.items() if status in incomplete]


def duration_text(seconds: float) -> str:
    """A length of time as text: 3.2 days."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if abs(seconds) >= 2 * size:
            count = seconds / size
            return f"{count:,.0f} {unit}" if abs(count) >= 100 else f"{count:.3g} {unit}"
    return f"{seconds:.0f} seconds"


def age_text(seconds: float) -> str:
    """The age of the newest value as text; it is negative before the end of its period."""
    return (
        f"{duration_text(seconds)} old"
        if seconds >= 0
        else f"of a period that ends in {duration_text(-seconds)}"
    )


def check_drift(panel: Panel, fitted: Panel, season: int, name: str) -> dict[str, float]:
    """Compare the values since the fit with the newest values of the fit, and warn of drift.

    The two-sample Kolmogorov-Smirnov test compares changes over a season, in units of each series'
    mean change at fit, so that neither level nor trend nor season counts as drift. `season` is in
    steps, 1 for none. Returns the number of new values, the share that is missing, and the
    statistic of the test if there are enough new values.
    """
    in_fit = series_index(fitted.ids, panel.ids) - 1
    if (in_fit < 0).all():
        return {}
    end = np.where(in_fit >= 0, fitted.origins[in_fit], 2**62)
    old, old_series, _ = _changes(fitted, season)
    new, new_series, position = _changes(panel, season)
    count = np.bincount(old_series, minlength=len(fitted))
    total_change = np.bincount(old_series, np.abs(old), len(fitted))
    mean_change = total_change / count.clip(1)
    old_unit = mean_change[old_series]
    new_unit = mean_change[in_fit[new_series]]
    since_fit = (position > end[new_series]) & (new_unit > 0)
    new = new[since_fit] / new_unit[since_fit]
    old = old[old_unit > 0] / old_unit[old_unit > 0]

    missing = _missing_share(panel, end)
    missing_at_fit = _missing_share(fitted, np.full(len(fitted), -(2**62)))
    if missing > PRIORS.more_missing + missing_at_fit:
        text = "%s: %.0f %% of the values since the fit are missing, more than at fit"
        log.warning(text, name, 100 * missing)
    drift: dict[str, float] = {"values": len(new), "missing": missing}
    if min(len(new), len(old)) < PRIORS.min_values:
        return drift
    statistic, p_value = kolmogorov_smirnov(old, new)
    if statistic > PRIORS.min_statistic and p_value < PRIORS.max_p_value:
        values = f"the {len(new)} values since the fit change differently from those before"
        cure = "has the source changed? Fit again if it has"
        log.warning("%s: %s (Kolmogorov-Smirnov statistic %.2f); %s", name, values, statistic, cure)
    return {**drift, "statistic": statistic}


def kolmogorov_smirnov(first: Numbers, second: Numbers) -> tuple[float, float]:
    """The statistic of two samples, and the probability of one as large (Stephens 1970)."""
    both = np.concatenate([first, second])
    below_first = np.searchsorted(np.sort(first), both, side="right") / len(first)
    below_second = np.searchsorted(np.sort(second), both, side="right") / len(second)
    statistic = float(np.abs(below_first - below_second).max())
    size = np.sqrt(len(first) * len(second) / len(both))
    scaled = (size + 0.12 + 0.11 / size) * statistic
    terms = np.arange(1, 101)
    signs = (-1.0) ** (terms - 1)
    p_value = 2 * (signs * np.exp(-2 * (terms * scaled) ** 2)).sum()
    return statistic, float(np.clip(p_value, 0.0, 1.0))


def _changes(panel: Panel, season: int) -> tuple[Numbers, Integers, Integers]:
    """Changes over a season between observed past values, their series and grid positions."""
    step = panel.positions
    later = np.flatnonzero((step >= season) & panel.observed)
    later = later[panel.observed[later - season]]
    change = panel.values[later] - panel.values[later - season]
    series = panel.series_of_slots[later]
    return change, series, panel.starts[series] + step[later]


def _missing_share(panel: Panel, after: Integers) -> float:
    """Share of the past slots after a grid position [series] that are not observed."""
    series = panel.series_of_slots
    step = panel.positions
    later = panel.starts[series] + step > after[series]
    observed = panel.observed[later & (step < panel.lengths[series])]
    return float((~observed).mean()) if len(observed) else 0.0

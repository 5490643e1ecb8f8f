"""Check the table of a run before the forecast: its age, and series without recent values."""

from datetime import datetime

import numpy as np

from forecast.calendar.spec import STEP_KIND, on_clock
from forecast.errors import Setting, StaleData
from forecast.logs import log
from forecast.panel.events import closed_now
from forecast.panel.panel import SKIPPED, Id, Ids, Panel, ids_at, series_names
from forecast.panel.schema import Schema, build_calendar
from forecast.settings import CheckSettings, parse_duration


def age(newest: int, schema: Schema, instant: datetime) -> float | None:
    """Seconds from the end of the newest observed period to an instant.

    None if times are numbered steps.
    """
    now = on_clock(instant, schema.time_format)
    if now is None or schema.layout == "rows":
        return None
    return float(now - build_calendar(schema).ends(np.array([newest]))[0])


def find_lagging_series(panel: Panel, schema: Schema, limits: CheckSettings, name: str) -> Ids:
    """The series that end before others by more than an age limit, or else by a horizon.

    Logs a warning about them.
    """
    if schema.layout == "rows":
        return ()
    times = build_calendar(schema).times
    newest = panel.origins - panel.trailing_gap()
    limit = limits.error_after or limits.warn_after
    if limit is None or schema.time_format.kind == STEP_KIND:
        behind = panel.origin - newest >= panel.ahead
    else:
        newest_of_all = times(panel.origins.max(keepdims=True))
        behind = newest_of_all - times(newest) >= parse_duration(limit)
    ended = np.isin(panel.status, SKIPPED)  # reported with the statuses
    ids = ids_at(panel, np.flatnonzero(behind & ~ended & ~closed_now(panel, schema)))
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
    if limits.error_after is not None and seconds >= parse_duration(limits.error_after):
        limit = Setting("error_after")
        problem = f"{text}, and {limit} is {limits.error_after}; nothing was forecast"
        raise StaleData(problem)
    if limits.warn_after is not None and seconds >= parse_duration(limits.warn_after):
        log.warning("%s (%s)", text, Setting("warn_after", limits.warn_after))


def find_unforecast_series(skipped: dict[Id, str], require_all: bool) -> list[Id]:
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

"""The promises of docs/reliability.md and docs/jobs.md, checked after every attempt at a night."""

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from forecast.jobs.ledger import KILLED
from workshop.campaigns._commands import Ended
from workshop.campaigns._counts import Counts
from workshop.campaigns._night_job import HORIZON, KEEP, LOOKBACK, NightJob, State
from workshop.campaigns._operations import Torn
from workshop.campaigns._stations import HOUR, ZONE

DONE, STALE = 0, 4
NEVER_BEGAN = (2, 75)  # exit codes of a run that leaves no trace
NO_RECORD = (73, 74)  # of a run whose failure may keep it from being recorded, too
STOPPED = (130, 143)  # by a signal, perhaps before the run began to record, or after it had written
CUT_OFF = (*NO_RECORD, *STOPPED)
SPARED = 2  # versions that stay beside those that `keep` counts
STALE_AFTER = 72 * HOUR
DIGITS = 2e-3  # by which a written forecast may differ from the one in the ledger, as a share and in units


@dataclass(frozen=True)
class Attempt:
    """A run of a night, and what was there before it.

    Attributes
    ----------
    what : what was done, in words
    as_of : time of the run, as the ledger writes it
    before : what was there
    ended : how it ended
    """

    what: str
    as_of: str
    before: State
    ended: Ended


def check_attempt(job: NightJob, attempt: Attempt, codes: tuple[int, ...], counts: Counts) -> State:
    """What is there after an attempt: whole, and nothing of before is lost."""
    before, ended, what = attempt.before, attempt.ended, attempt.what
    try:
        after = job.look()
    except Torn as torn:
        counts.lose(f"{what}: {torn}")
        raise

    def hold(holds: bool, problem: str) -> None:
        if not holds:
            counts.lose(f"{what}: {problem}")

    hold(ended.code in codes, f"ended with {ended.code}, not {codes}: {ended.said[-1500:]}")
    hold("Traceback" not in ended.said, f"a traceback: {ended.said[-1500:]}")
    hold(
        before.live is None or before.live in after.versions,
        f"the live version {before.live} is gone",
    )
    hold(len(after.versions) <= KEEP + SPARED, f"{len(after.versions)} versions stay")
    lost = [as_of for as_of in before.runs if as_of not in after.runs]
    hold(not lost, f"the ledger lost the runs {lost[:3]}")
    for name in ("runs", "kept", "fits"):
        earlier, now = getattr(before, name), getattr(after, name)
        pruned = min(now, default="") if name == "kept" else ""  # forecasts of old runs are deleted
        changed = [
            a for a in earlier if a != attempt.as_of and a >= pruned and earlier[a] != now.get(a)
        ]
        hold(not changed, f"the ledger changed its {name} as of {changed[:3]}")
    fewer = [origin for origin, rows in before.sink.items() if after.sink.get(origin, 0) < rows]
    hold(not fewer, f"the sink lost rows of {fewer[:3]}")
    recorded = after.runs.get(attempt.as_of)
    if ended.code >= 0 and ended.code not in (*NEVER_BEGAN, *CUT_OFF):
        hold(
            recorded == ended.code,
            f"the ledger has exit code {recorded} of a run that ended with {ended.code}",
        )
    elif ended.code < 0 or ended.code in STOPPED:
        allowed = (None, KILLED, DONE, STALE, ended.code, before.runs.get(attempt.as_of))
        hold(recorded in allowed, f"the ledger has exit code {recorded} of a run that was cut off")
    if ended.code > 0 and ended.code not in CUT_OFF:
        hold(
            after.output == before.output, f"a run that ended with {ended.code} changed the output"
        )
        hold(after.sink == before.sink, f"a run that ended with {ended.code} changed the table")
        hold(
            after.live == before.live,
            f"a run that ended with {ended.code} changed the live version",
        )
    return after


def check_done(job: NightJob, attempt: Attempt, newest: Mapping[str, int], counts: Counts) -> None:
    """A run that ended with 0 or 4 must have done all, and left nothing else.

    Parameters
    ----------
    newest : start of the newest hour of each station, as the table shows it
    """
    what, ended, after = attempt.what, attempt.ended, job.look()
    stale = (
        int(datetime.fromisoformat(attempt.as_of).timestamp()) - max(newest.values()) - HOUR
        >= STALE_AFTER
    )
    if (ended.code == STALE) != stale:
        counts.lose(
            f"{what}: ended with {ended.code}, and the data are {'stale' if stale else 'not stale'}"
        )
    if job.left_behind():
        counts.lose(f"{what}: {job.left_behind()} were left behind")
    if ended.code != DONE:
        return
    record = after.records[attempt.as_of]
    if not record["settled"] or record["version"] not in after.versions:
        counts.lose(
            f"{what}: the record names version {record['version']}, and is settled: {record['settled']}"
        )
    for problem in forecast_problems(job, attempt.as_of, after, newest):
        counts.lose(f"{what}: {problem}")


def forecast_problems(
    job: NightJob, as_of: str, after: State, newest: Mapping[str, int]
) -> list[str]:
    """What is wrong with the forecasts of a run: their series, their hours and their intervals, in file and ledger."""
    origin = max(newest.values())
    wanted = {name for name, last in newest.items() if origin - last <= LOOKBACK * HOUR}
    text = (after.output or b"").decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    written: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        written.setdefault(row["station"], []).append(row)
    problems = (
        []
        if set(written) == wanted
        else [f"forecasts of {sorted(written)}, not of {sorted(wanted)}"]
    )
    zone = ZoneInfo(ZONE)
    hours = [origin + HOUR * step for step in range(1, HORIZON + 1)]
    texts = [
        datetime.fromtimestamp(hour, UTC).astimezone(zone).strftime("%Y-%m-%d %H:%M")
        for hour in hours
    ]
    kept, _ = job.rows_of(as_of)
    stored: dict[str, list[tuple[float, ...]]] = {}
    for series, _, instant, *numbers in kept:
        stored.setdefault(series, []).append((instant, *numbers))
    for name, own in written.items():
        if [row["time"] for row in own] != texts:
            problems.append(
                f"{name}: hours {own[0]['time']} to {own[-1]['time']}, not {texts[0]} to {texts[-1]}"
            )
        numbers = [
            [float(row[column]) for column in ("lo_95", "lo_80", "forecast", "hi_80", "hi_95")]
            for row in own
        ]
        if not all(math.isfinite(number) for row in numbers for number in row):
            problems.append(f"{name}: a forecast is not finite")
        if any(low > high for row in numbers for low, high in pairwise(row)):
            problems.append(f"{name}: the intervals are not nested")
        ledger = stored.get(f'["{name}"]', [])
        if [instant for instant, *_ in ledger] != hours:
            problems.append(f"{name}: the ledger holds {len(ledger)} forecasts, or of other hours")
        pairs = [(row[2], entry[1]) for row, entry in zip(numbers, ledger, strict=False)]
        if any(abs(one - other) > DIGITS * max(1, abs(one)) for one, other in pairs):
            problems.append(f"{name}: the ledger holds other forecasts than the file")
    return problems

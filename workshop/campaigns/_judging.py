"""Look at what a fault left: the old state or the new one, and a next run that completes and sweeps."""

import os
import shutil
import time
from pathlib import Path

from forecast.durable import STALE_SECONDS, TEMPORARY
from forecast.errors import ForecastError
from workshop.campaigns._counts import Counts
from workshop.campaigns._operations import Operation, Torn
from workshop.campaigns._strace import run


def fresh(place: Path) -> Path:
    """A copy of what is there before, always under the same name."""
    copy = place.with_name("scene")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(place, copy)
    return copy


def judge(
    operation: Operation, place: Path, allowed: tuple[str, ...], what: str, counts: Counts
) -> None:
    """One of the states that are allowed has to be there, and the next run has to complete it and to sweep."""
    try:
        found = operation.look(place)
        if found not in allowed:
            counts.lose(f"{what}: then {found} was there, not {' or '.join(allowed)}")
        let_time_pass(place)
        after = run(operation.act, place)
        if after.code or operation.look(place) != operation.new:
            counts.lose(f"{what}: the next run ended with {after.code} {after.message}")
        elif left_behind(place):
            counts.lose(f"{what}: the next run did not sweep {left_behind(place)}")
    except (Torn, ForecastError) as error:
        counts.lose(f"{what}: {error}")


def left_behind(place: Path) -> list[str]:
    """Temporary files and folders."""
    return sorted(path.name for path in place.rglob(TEMPORARY))


def let_time_pass(place: Path) -> None:
    """Make temporary files so old that nothing can be writing them any more."""
    then = time.time() - STALE_SECONDS - 1
    for path in place.rglob(TEMPORARY):
        os.utime(path, (then, then))

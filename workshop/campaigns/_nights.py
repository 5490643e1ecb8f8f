"""What happens on a night of the year: runs that are repeated, killed, stopped, refused, and run again."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from forecast.artifacts.store import LOCK
from forecast.durable import lock_file
from workshop.campaigns._breaking import KINDS as WAYS_TO_BREAK
from workshop.campaigns._breaking import broken
from workshop.campaigns._commands import Commands, Ended
from workshop.campaigns._counts import Counts
from workshop.campaigns._disk import Disk
from workshop.campaigns._judging import let_time_pass
from workshop.campaigns._night_job import NightJob, State
from workshop.campaigns._promises import Attempt, check_attempt, check_done
from workshop.campaigns._stations import DAY_HOURS, HOUR, Stations

DONE = (0, 4)
KILLED = (*DONE, -signal.SIGKILL)
STOPPED = (*DONE, -signal.SIGTERM, 143)
FULL = (*DONE, 73, 74)
ROOM = 40  # pages, up to which a full disk has room: a night needs about thirty
DAY = DAY_HOURS * HOUR


@dataclass
class Year:
    """A job whose nights go by.

    Attributes
    ----------
    disk : the small disk that its folder lies on, if one could be mounted
    before : where the files of the beginning of the night are
    ended : the runs of this night
    """

    job: NightJob
    stations: Stations
    commands: Commands
    counts: Counts
    before: Path
    disk: Disk | None
    ended: list[Ended] = field(default_factory=list)

    def run(
        self,
        what: str,
        as_of: int,
        codes: tuple[int, ...],
        *words: str,
        at: tuple[int, float] | None = None,
    ) -> Attempt:
        """Run the job, and check what any attempt has to leave alone."""
        let_time_pass(self.job.folder)
        before, text = self.job.look(), _text(as_of)
        ended = self.commands.run("run", "job.toml", "--as-of", text, *words, signal_after=at)
        self.ended.append(ended)
        attempt = Attempt(what, text, before, ended)
        check_attempt(self.job, attempt, codes, self.counts)
        self.counts.done["runs"] += 1
        return attempt

    def run_whole(self, what: str, night: int, *words: str) -> Attempt:
        """Run the job to its end, and check that it did all that it has to."""
        attempt = self.run(what, self.stations.as_of(night), DONE, *words)
        if attempt.ended.code in DONE:
            check_done(self.job, attempt, self.stations.newest(night), self.counts)
        return attempt

    def left(self, night: int) -> tuple[Any, ...]:
        """What a run of this night leaves, but for what a clock decides."""
        state = self.job.look()
        sink = self.job.sink_rows() if state.sink else []
        return state.live, state.output, sink, self.job.rows_of(_text(self.stations.as_of(night)))

    def same(self, what: str, night: int, wanted: tuple[Any, ...]) -> None:
        """What is there must be what was left before."""
        names = ("live version", "output", "rows of the sink", "rows of the ledger")
        left = self.left(night)
        others = [
            name for name, one, other in zip(names, left, wanted, strict=True) if one != other
        ]
        if others:
            self.counts.lose(f"{what}: other {', '.join(others)} than without it")


def _text(instant: int) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def quiet(year: Year, night: int, random: Random) -> None:
    """Nothing happens."""
    year.run_whole(f"night {night}", night)


def again(year: Year, night: int, random: Random) -> None:
    """The same night twice gives the same bytes, even if the table has later rows by then."""
    what = f"night {night}, repeated"
    year.run_whole(what, night)
    wanted = year.left(night)
    year.job.feed(year.stations.table(night, later=1e5))
    year.run_whole(what, night)
    year.same(what, night, wanted)
    year.job.feed(year.stations.table(night))


def kill(year: Year, night: int, random: Random) -> None:
    """A run is killed; another one repairs what it left, and leaves what a run leaves that nothing killed."""
    _interrupted(year, night, random, signal.SIGKILL, KILLED)


def stop(year: Year, night: int, random: Random) -> None:
    """A run is stopped by SIGTERM, as by a shutdown."""
    _interrupted(year, night, random, signal.SIGTERM, STOPPED)


def _interrupted(
    year: Year, night: int, random: Random, number: int, codes: tuple[int, ...]
) -> None:
    share = (
        random.random() if random.random() < 0.5 else random.uniform(0.5, 1.0)
    )  # it writes in its second half
    ended = year.run_whole(f"night {night}", night).ended
    wanted = year.left(night)
    while True:
        year.job.restore(year.before)
        year.job.feed(year.stations.table(night))
        what = f"night {night}, {signal.Signals(number).name} after {share:.3f} of the run"
        at = number, share * ended.seconds
        attempt = year.run(what, year.stations.as_of(night), codes, at=at)
        _check_output(year, attempt, wanted[1])
        if attempt.ended.code not in DONE:
            break
        # the run was faster than the one before
        year.counts.done["ends before a signal"] += 1
        share /= 2
    year.counts.done["interrupted"] += 1
    year.run_whole(f"{what}, run again", night)
    year.same(what, night, wanted)


def full_disk(year: Year, night: int, random: Random) -> None:
    """The disk is full; with room again the night leaves what it leaves on a roomy one."""
    if year.disk is None:
        quiet(year, night, random)
        return
    kind, share = random.choice(["pages", "pages", "pages", "files"]), random.random() ** 2
    room = int(share * (ROOM if kind == "pages" else 20))
    what = f"night {night}, room for {room} {kind}"
    year.run_whole(f"night {night}", night)
    wanted = year.left(night)
    year.job.restore(year.before)
    year.job.feed(year.stations.table(night))
    year.disk.free(**{kind: room})
    try:
        attempt = year.run(what, year.stations.as_of(night), FULL)
    finally:
        year.disk.free()
    _check_output(year, attempt, wanted[1])
    if attempt.ended.code not in DONE:
        year.counts.done["full disks"] += 1
        if year.job.left_behind():
            year.counts.lose(f"{what}: left {year.job.left_behind()}")
    year.run_whole(f"{what}, run again", night)
    year.same(what, night, wanted)


def _check_output(year: Year, attempt: Attempt, new: bytes | None) -> None:
    """The output is that of before, or that of tonight."""
    if year.job.look().output not in (attempt.before.output, new):
        year.counts.lose(f"{attempt.what}: the output is neither the old nor the new one")


def broken_table(year: Year, night: int, random: Random) -> None:
    """The table is broken, and mended before the next run."""
    kind = random.choice(WAYS_TO_BREAK)
    table = year.stations.table(night)
    data, codes = broken(table, kind, random)
    year.job.feed(data)
    what = f"night {night}, broken table ({kind})"
    attempt = year.run(what, year.stations.as_of(night), codes)
    if attempt.ended.code not in DONE and "loads.csv" not in attempt.ended.said:
        year.counts.lose(f"{what}: the message does not name the file: {attempt.ended.said[-500:]}")
    year.counts.done["broken tables"] += 1
    year.job.feed(table)
    year.run_whole(f"{what}, mended", night)


def no_table(year: Year, night: int, random: Random) -> None:
    """The table is missing at first."""
    (year.job.folder / "loads.csv").unlink()
    year.run(f"night {night}, no table", year.stations.as_of(night), (66,))
    year.job.feed(year.stations.table(night))
    year.run_whole(f"night {night}, with its table", night)


def busy(year: Year, night: int, random: Random) -> None:
    """Another process holds the store."""
    year.job.store.path.mkdir(exist_ok=True)
    with lock_file(year.job.store.path / LOCK):
        attempt = year.run(
            f"night {night}, a store that is held", year.stations.as_of(night), (75,)
        )
    if "process" not in attempt.ended.said:
        year.counts.lose(
            f"night {night}: the message does not name the holder: {attempt.ended.said}"
        )
    year.run_whole(f"night {night}", night)


def clock_wrong(year: Year, night: int, random: Random) -> None:
    """The clock of the machine is a day and an hour slow, or two days fast, and is corrected."""
    off = random.choice([-DAY - HOUR, 2 * DAY])
    year.run(
        f"night {night}, a clock off by {off // HOUR} hours", year.stations.as_of(night) + off, DONE
    )
    year.run_whole(f"night {night}, the clock corrected", night)


def bit_rot(year: Year, night: int, random: Random) -> None:
    """A byte of the live version flips, and is restored from a backup."""
    state: State = year.job.look()
    if state.live is not None:
        files = sorted(
            path for path in (year.job.store.path / state.live).iterdir() if path.stat().st_size
        )
        path = random.choice(files)
        whole = path.read_bytes()
        at = random.randrange(len(whole))
        path.write_bytes(
            whole[:at] + bytes([whole[at] ^ (1 << random.randrange(8))]) + whole[at + 1 :]
        )
        ended = year.commands.run("run", "job.toml", "--as-of", _text(year.stations.as_of(night)))
        if ended.code != 76 or path.name not in ended.said:
            year.counts.lose(
                f"night {night}, byte {at} of {path.name} flipped: ended with {ended.code}: {ended.said}"
            )
        path.write_bytes(whole)
        year.counts.done["damaged versions"] += 1
        if (after := year.job.look()).output != state.output or after.live != state.live:
            year.counts.lose(
                f"night {night}: a damaged version changed the output or the live version"
            )
    year.run_whole(f"night {night}", night)


def back(year: Year, night: int, random: Random) -> None:
    """Someone rolls back to the version before."""
    state = year.job.look()
    ended = year.commands.run("rollback", "job.toml")
    older = [
        version for version in state.versions if state.live is not None and version < state.live
    ]
    if ended.code not in ((0, 66) if older else (66,)) or "Traceback" in ended.said:
        year.counts.lose(f"night {night}: rollback ended with {ended.code}: {ended.said}")
    if ended.code == 0 and year.job.look().live not in older:
        year.counts.lose(f"night {night}: rollback went to {year.job.look().live}")
    year.run_whole(f"night {night}, after a rollback", night)


def off(year: Year, night: int, random: Random) -> None:
    """The machine is off, and the run is made up for a day later, before that of the day."""


def make_up(year: Year, night: int) -> None:
    """Run a night that the machine was off, with the table of the next one."""
    year.run(f"night {night}, made up for", year.stations.as_of(night), DONE)


Act = Callable[[Year, int, Random], None]
KINDS: dict[str, tuple[float, Act]] = {
    "quiet": (0.55, quiet),
    "again": (0.04, again),
    "kill": (0.14, kill),
    "stop": (0.03, stop),
    "full disk": (0.07, full_disk),
    "broken table": (0.06, broken_table),
    "no table": (0.015, no_table),
    "busy": (0.015, busy),
    "clock": (0.03, clock_wrong),
    "bit rot": (0.02, bit_rot),
    "rollback": (0.01, back),
    "off": (0.02, off),
}


def kind_of(seed: int, night: int) -> str:
    """What happens on a night; the first is quiet."""
    random = Random(f"{seed} kind {night}")
    if night == 0:
        return "quiet"
    names = list(KINDS)
    return random.choices(names, [KINDS[name][0] for name in names])[0]


def live_night(year: Year, night: int) -> str:
    """One night, whose kind is returned."""
    seed = year.stations.seed
    kind = kind_of(seed, night)
    year.ended.clear()
    year.job.feed(year.stations.table(night))
    if night and kind_of(seed, night - 1) == "off":
        make_up(year, night - 1)
        year.job.copy_to(year.before)
    KINDS[kind][1](year, night, Random(f"{seed} night {night}"))
    year.counts.done[f"{kind} nights"] += 1
    return kind

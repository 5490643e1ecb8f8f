"""Fail every system call of whatever reads or writes: disk full, I/O error, no permission, read-only."""

import shutil
import tempfile
from pathlib import Path
from random import Random

import click

from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._disk import Disk, small_disk
from workshop.campaigns._judging import fresh, judge, left_behind
from workshop.campaigns._operations import Operation, operations, write_by_halves
from workshop.campaigns._strace import Call, Ended, check_strace, fail_at, record, run

DISK = (0, 74)
"""Exit codes after ENOSPC, EDQUOT and EIO; 0 where what failed does not matter, as in removing what is old."""
CLOSED = (0, 66, 73, 74, 76)
CODES = {"ENOSPC": DISK, "EDQUOT": DISK, "EIO": DISK, "EACCES": CLOSED, "EROFS": CLOSED}
HELD = {("flock", "EACCES"): (75,)}
"""POSIX lets a system refuse a lock that another process holds with EACCES, as network file systems do."""

Case = tuple[str, Call, str, bool]


@click.command()
@click.option("--times", default=1, show_default=True, help="rounds, on things of other sizes")
@click.option("--sample", type=int, help="errors in a round, chosen by the seed; default all")
@click.option("--operation", "only", multiple=True, help="leave out all others; repeatable")
@click.option("--seed", default=0, show_default=True)
def command(times: int, sample: int | None, only: tuple[str, ...], seed: int) -> None:
    """Fail every system call that touches files, once and for good, and fill a real disk."""
    check_strace()
    write_by_halves()
    random = Random(seed)
    with campaign("errors") as counts, tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            chosen = operations(random)
            fail_round(
                {n: chosen[n] for n in only or chosen},
                Path(folder) / str(number),
                sample,
                random,
                counts,
            )
        fill_disks(operations(random), Path(folder) / "disk", sample, counts)


def fail_round(
    chosen: dict[str, Operation], folder: Path, sample: int | None, random: Random, counts: Counts
) -> None:
    """Fail each operation at each of its calls, or at a sample of all, by each error, once or for good."""
    every: list[Case] = []
    for name, operation in chosen.items():
        place = folder / name
        place.mkdir(parents=True)
        operation.prepare(place)
        for call in record(operation.act, fresh(place), folder / "log"):
            every += [(name, call, error, random.random() < 0.5) for error in CODES]
    for name, call, error, lasting in (
        every if sample is None else random.sample(every, min(sample, len(every)))
    ):
        place = fresh(folder / name)
        ended = fail_at(chosen[name].act, place, call, error, lasting)
        what = (
            f"{name}, {error} {'from' if lasting else 'at'} {call.name} {call.number}: {call.text}"
        )
        counts.done[f"errors in '{name}'"] += 1
        if ended.code and not lasting and set(left_behind(place)) - set(left_behind(folder / name)):
            counts.lose(f"{what}: left {left_behind(place)}")
        if (
            ended.open_files and call.name != "close"
        ):  # which does close, when it fails without strace
            counts.lose(f"{what}: {ended.open_files} files were left open")
        codes = (
            CODES[error]
            + tuple(chosen[name].vague.get(call.name, ()))
            + HELD.get((call.name, error), ())
        )
        check_end(chosen[name], place, ended, codes, what, counts)


def fill_disks(
    chosen: dict[str, Operation], folder: Path, sample: int | None, counts: Counts
) -> None:
    """Run each operation on a disk with room for 0, 1, 2, ... pages or files, until it succeeds."""
    for name, operation in chosen.items():
        if operation.old == operation.new:
            continue
        before = folder / name
        before.mkdir(parents=True)
        operation.prepare(before)
        with small_disk(folder / "disk") as disk:
            if disk is None:
                counts.done["full disks, since none can be mounted"] = 0
                return
            for kind in ("pages", "files"):
                for room in range(2 if sample else 1000):
                    ended = fill_disk(
                        operation,
                        disk,
                        before,
                        kind,
                        room,
                        f"{name}, room for {room} {kind}",
                        counts,
                    )
                    if not ended.code:
                        break
                    counts.done["full disks"] += 1


def fill_disk(
    operation: Operation, disk: Disk, before: Path, kind: str, room: int, what: str, counts: Counts
) -> Ended:
    """Run an operation on a disk with little room, and again with enough."""
    disk.free()
    disk.clear()
    shutil.copytree(before, disk.place, dirs_exist_ok=True)
    disk.free(**{kind: room})
    ended = run(operation.act, disk.place)
    if ended.code and left_behind(disk.place):
        counts.lose(f"{what}: left {left_behind(disk.place)}")
    disk.free()
    check_end(operation, disk.place, ended, DISK, what, counts)
    return ended


def check_end(
    operation: Operation,
    place: Path,
    ended: Ended,
    codes: tuple[int, ...],
    what: str,
    counts: Counts,
) -> None:
    """It has to end with one of `codes` and a message that names the place, and to leave what `judge` allows."""
    if ended.code not in codes:
        counts.lose(f"{what}: ended with {ended.code}: {ended.message}")
    if ended.code and str(place) not in ended.message:
        counts.lose(f"{what}: the message names no file: {ended.message}")
    judge(
        operation,
        place,
        (operation.old, operation.new) if ended.code else (operation.new,),
        what,
        counts,
    )

"""Kill whatever writes, at every system call that touches its files, and whole commands at random instants."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import click

from forecast.artifacts.store import Store
from forecast.durable import TEMPORARY
from forecast.errors import ForecastError
from workshop.campaigns._counts import Counts, campaign
from workshop.campaigns._judging import fresh, judge, left_behind, let_time_pass
from workshop.campaigns._operations import Operation, operations, write_by_halves
from workshop.campaigns._strace import Call, check_strace, kill_at, record, run

DATA = Path(__file__).parents[2] / "data" / "air_passengers.csv"
FIT = (
    "--model",
    "linear",
    "--steps",
    "5",
    "--members",
    "1",
    "--no-guard",
    "--keep",
    "2",
    "--quiet",
)


@click.command()
@click.option("--times", default=3, show_default=True, help="rounds, on things of other sizes")
@click.option(
    "--sample", type=int, help="kills in a round, chosen by the seed; default one at every call"
)
@click.option("--commands", default=20, show_default=True, help="kills of whole commands")
@click.option("--operation", "only", multiple=True, help="leave out all others; repeatable")
@click.option("--seed", default=0, show_default=True)
def command(
    times: int, sample: int | None, commands: int, only: tuple[str, ...], seed: int
) -> None:
    """Kill every writer at every system call that touches its files."""
    check_strace()
    write_by_halves()
    random = Random(seed)
    with campaign("kill") as counts, tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            chosen = {name: one for name, one in operations(random).items() if one.old != one.new}
            kill_round(
                {n: chosen[n] for n in only or chosen},
                Path(folder) / str(number),
                sample,
                random,
                counts,
            )
        kill_commands(commands, Path(folder) / "commands", random, counts)


def kill_round(
    chosen: dict[str, Operation], folder: Path, sample: int | None, random: Random, counts: Counts
) -> None:
    """Kill each operation at each of its calls, or at a sample of all."""
    every: list[tuple[str, Call]] = []
    for name, operation in chosen.items():
        place = folder / name
        place.mkdir(parents=True)
        operation.prepare(place)
        run(operation.act, fresh(place))  # compiles what it imports, which no later run does
        every += [(name, call) for call in record(operation.act, fresh(place), folder / "log")]
    for name, call in every if sample is None else random.sample(every, min(sample, len(every))):
        place = fresh(folder / name)
        ended = kill_at(chosen[name].act, place, call)
        what = f"{name}, killed at {call.name} {call.number}: {call.text}"
        if ended.code:
            counts.lose(f"{what}: ended with {ended.code}; {ended.message}")
            continue
        # a run may make one call fewer than the one that was recorded, and then ends
        counts.done[f"{'kills' if ended.killed else 'ends before a kill'} of '{name}'"] += 1
        allowed = (chosen[name].old, chosen[name].new) if ended.killed else (chosen[name].new,)
        judge(chosen[name], place, allowed, what, counts)


def kill_commands(times: int, folder: Path, random: Random, counts: Counts) -> None:
    """Kill `forecast fit` and `forecast predict` in turn: at any instant, and every other time while they write."""
    if not times:
        return
    folder.mkdir()
    store, output = Store(folder / "store"), folder / "out.csv"
    fit = ["fit", str(DATA), "--artifact", str(store.path), *FIT]
    predict = ["predict", "--artifact", str(store.path), "--output", str(output), "--quiet"]
    seconds = {"fit": _run(fit), "predict": _run(predict)}
    new = output.read_bytes()  # of all versions, since they are fitted to the same data
    left = times
    for number in range(3 * times):  # a few end before they are killed
        if not left:
            break
        words = (fit, predict)[number % 2]
        output.write_bytes(b"old")
        live = store.current()
        place = (store.path, folder)[number % 2] if number // 2 % 2 else None
        killed, what = _kill(words, random.uniform(0, seconds[words[0]]), place, random)
        left -= killed
        counts.done[f"{'kills' if killed else 'ends before a kill'} of `forecast {words[0]}`"] += 1
        try:
            store.load()
            if live not in [store.load(version.id)[1].id for version in store.versions()]:
                counts.lose(f"{what}: the version that was live is gone")
            if output.read_bytes() not in (b"old", new):
                counts.lose(f"{what}: the output is neither the old nor the new one")
            let_time_pass(folder)
            _run(words)
        except (ForecastError, subprocess.CalledProcessError) as error:
            counts.lose(f"{what}: {error}")
        if left_behind(folder) or output.read_bytes() != (b"old" if words is fit else new):
            counts.lose(
                f"{what}: the next run left {left_behind(folder)} and {output.read_bytes()[:80]!r}"
            )


def _run(words: list[str]) -> float:
    """Run a command to its end; the seconds that it took."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-m", "forecast", *words], check=True, capture_output=True)
    return time.monotonic() - begun


def _kill(words: list[str], after: float, begun: Path | None, random: Random) -> tuple[bool, str]:
    """Kill a command after some seconds, or within milliseconds of its first temporary file in a folder.

    Returns
    -------
    Whether it was killed before it ended, and what was done, in words.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "forecast", *words], stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + (60 if begun else after)
        while process.poll() is None and time.monotonic() < deadline:
            if begun is not None and next(begun.glob(TEMPORARY), None):
                time.sleep(random.uniform(0, 0.004))
                break
            time.sleep(0.0002 if begun else 0.01)
        process.kill()
    killed = process.wait() == -signal.SIGKILL
    return (
        killed,
        f"`forecast {words[0]}`, killed {'while it wrote' if begun else f'after {after:.2f} s'}",
    )

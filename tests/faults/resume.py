"""Stop fits by SIGTERM at random instants, resume them, and compare with fits that nothing stopped."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import click

from forecast.artifacts.store import Store
from tests.faults._counts import Counts, campaign

DATA = Path(__file__).parents[2] / "data" / "air_passengers.csv"
SMALL = ("-p", "hidden_size=8")
FITS = {
    "one": (
        "--model",
        "gru",
        "--members",
        "1",
        "--steps",
        "400",
        "-p",
        "hidden_size=8",
        "-p",
        "dropout=0.2",
    ),
    "auto": ("--horizon", "6", "--lookback", "12", "--patience", "2", *SMALL),
    "jobs": (
        "--model",
        "segrnn",
        "--members",
        "4",
        "--jobs",
        "2",
        "--steps",
        "400",
        *SMALL,
        "-p",
        "dropout=0.2",
    ),
    "budget": ("--horizon", "6", "--budget", "10", *SMALL),
}
STOPPED = (143, -signal.SIGTERM)  # the latter before the command has begun to listen
PATIENCE = (
    20.0  # seconds that a stop may take; what was started in other processes is gone 5 s later
)


@click.command()
@click.option("--times", default=20, show_default=True, help="stops of each fit")
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(list(FITS)),
    help="leave out the other fits; repeatable",
)
@click.option(
    "--again", default=0.3, show_default=True, help="share of resumed fits that are stopped too"
)
@click.option("--seed", default=0, show_default=True)
def command(times: int, only: tuple[str, ...], again: float, seed: int) -> None:
    """Stop fits at random instants, and resume them."""
    main(times, only or tuple(FITS), again, seed)


def main(
    times: int = 20, only: tuple[str, ...] = tuple(FITS), again: float = 0.3, seed: int = 0
) -> None:
    """Stop each fit `times` times and resume it until it ends; its artifact must be that of a fit nothing stopped."""
    random = Random(seed)
    with campaign("resume") as counts, tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        _run(_words(before, ("--model", "linear", "--steps", "2")))
        for name in only:
            whole = Path(folder) / name
            begun = time.monotonic()
            _run(_words(whole, FITS[name]))
            seconds = time.monotonic() - begun
            while counts.done[f"stopped fits '{name}'"] < times:
                store, expected = Path(folder) / "store", whole
                shutil.copytree(before, store)
                what, stops = stop_and_resume(name, store, seconds, again, random, counts)
                seconds *= 1.05 if stops else 0.8  # a machine is not as fast at all times
                if (
                    name == "budget"
                ):  # measured anew each time: the plan that came of it repeats the fit
                    expected = Path(folder) / "expected"
                    _run(_words(expected, ("--horizon", "6", "--plan", str(store), *SMALL)))
                if _hash(store) != _hash(expected):
                    counts.lose(
                        f"{what}: another artifact than that of the fit that nothing stopped"
                    )
                counts.done[f"stopped fits '{name}'"] += stops > 0
                for gone in {store, expected} - {whole}:
                    shutil.rmtree(gone)


def stop_and_resume(
    name: str, store: Path, seconds: float, again: float, random: Random, counts: Counts
) -> tuple[str, int]:
    """Stop a fit at a random instant and resume it, with more stops perhaps, until it ends; what was done, and how
    many stops there were."""
    words, live, what, stops = _words(store, FITS[name]), Store(store).current(), f"'{name}'", 0
    while True:
        after = random.uniform(0, seconds)
        what += f" stopped after {after:.2f} s"
        code, said = _stop(words, after, counts, what)
        versions = [version.id for version in Store(store).versions()]
        Store(store).load()
        if live not in versions or (Store(store).current() != live and len(versions) == 1):
            counts.lose(f"{what}: the live version is gone")
        if code == 0:
            counts.done["fits that ended before"] += 1
            return what, stops
        stops += 1
        if code not in STOPPED or "Traceback" in said:
            counts.lose(f"{what}: ended with {code}: {said[-500:]}")
        if len(versions) > 1:
            counts.done["stops after saving"] += 1
        if "training stops" in said:
            counts.done["stops within training"] += 1
        words = _words(store, (*FITS[name], "--resume"))
        if random.random() >= again:
            _run(words)
            if (store / ".resume").exists():
                counts.lose(
                    f"{what}: the checkpoint is still there after the resumed fit was saved"
                )
            return what, stops


def _stop(words: list[str], after: float, counts: Counts, what: str) -> tuple[int, str]:
    """Send SIGTERM to a command after some seconds; its exit code, and what it said."""
    with tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(words, stdout=said, stderr=said, start_new_session=True)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            process.terminate()
        try:
            code = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            counts.lose(f"{what}: still running {PATIENCE:g} s after SIGTERM")
            process.kill()
            code = process.wait()
        deadline = time.monotonic() + 5
        while (left := _alive(process.pid)) and time.monotonic() < deadline:
            time.sleep(0.05)
        if left:
            counts.lose(f"{what}: left processes behind: {left}")
        said.seek(0)
        return code, said.read()


def _alive(session: int) -> list[int]:
    """The processes of a session, those that only wait to be buried left out."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(own) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


def _words(store: Path, options: tuple[str, ...]) -> list[str]:
    return [sys.executable, "-m", "forecast", "fit", str(DATA), "--artifact", str(store), *options]


def _run(words: list[str]) -> None:
    """Run a command to its end."""
    ended = subprocess.run(words, capture_output=True, text=True)
    if ended.returncode:
        raise click.ClickException(
            f"{' '.join(words)}: ended with {ended.returncode}: {ended.stderr[-1000:]}"
        )


def _hash(store: Path) -> str:
    return Store(store).load()[1].hash

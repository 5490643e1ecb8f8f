"""Send random tables through the command line: inspect, fit and predict may refuse them, but never break."""

import io
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path

import click
from hypothesis import HealthCheck, Phase, given, seed, settings

from workshop.campaigns._tables import ONLY_TEXT, Sample, samples

CODES = {0, 2, 3, 65, 66, 69}
SLOW = 5.0  # seconds of processor time
ROUND = 1000


@dataclass
class Ran:
    """What a command left behind; `broke` is where it broke, if it did."""

    code: int
    out: bytes
    err: str
    seconds: float
    broke: str = ""


def forecast(*words: str) -> Ran:
    """Run the command line in this process."""
    from forecast.cli import main

    kept = (
        sys.argv,
        sys.stdout,
        sys.stderr,
        {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)},
    )
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    began, code, broke = time.process_time(), 0, ""
    sys.argv, sys.stdout, sys.stderr = ["forecast", *words], out, err
    try:
        main()
    except SystemExit as left:
        code = int(left.code or 0)
    except Exception as error:
        frames = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if "/forecast/" in frame.filename
        ]
        place = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}:{frames[-1].name}"
        code, broke = 1, f"{type(error).__name__} at {place}: {str(error)[:200]}"
    finally:
        sys.argv, sys.stdout, sys.stderr = kept[:3]
        for number, handler in kept[3].items():
            signal.signal(number, handler)
    out.flush()
    err.flush()
    return Ran(
        code,
        out.buffer.getvalue(),
        err.buffer.getvalue().decode(),
        time.process_time() - began,
        broke,
    )


def faults(sample: Sample, folder: Path) -> list[str]:
    """What breaks on the way of one table from inspect to predict; nothing, if all is as it must be."""
    table, store = folder / "table.csv", folder / "store"
    table.write_bytes(sample.data)
    commands = [
        ["inspect", str(table), *sample.words()],
        [
            "fit",
            str(table),
            "--model",
            "last",
            "--artifact",
            str(store),
            "--horizon",
            "3",
            *sample.words(),
        ],
        ["predict", "--artifact", str(store)],
        ["predict", str(table), "--artifact", str(store), *sample.words(ONLY_TEXT)],
    ]
    found: list[str] = []
    for words in commands:
        ran = forecast(*words)
        name = " ".join(words[:1])
        if ran.broke:
            found.append(f"{name}: {ran.broke}")
        elif ran.code not in CODES:
            found.append(f"{name}: exit {ran.code}: {ran.err[-300:]}")
        if "this is a bug" in ran.err or "Traceback" in ran.err:
            found.append(f"{name}: {ran.err[-300:]}")
        if ran.seconds > SLOW:
            found.append(f"{name}: {ran.seconds:.0f} s")
        if ran.code not in (0, 3):
            return (
                found
                if words[0] != "predict" or ran.code == 65 or found
                else [f"{name}: {ran.code}: {ran.err[-300:]}"]
            )
        if words[0] == "predict":
            found += _bad_forecasts(ran.out)
    return found


def _bad_forecasts(out: bytes) -> list[str]:
    """What is wrong with a table of forecasts."""
    import pandas as pd

    frame = pd.read_csv(io.BytesIO(out), keep_default_na=False)
    numbers = frame[["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]].apply(
        pd.to_numeric, errors="coerce"
    )
    if not len(frame) or not numbers.abs().lt(float("inf")).all(axis=None):
        return ["predict: forecasts that are no numbers"]
    ordered = numbers["lo_95"].le(numbers["lo_80"]) & numbers["lo_80"].le(numbers["forecast"])
    ordered &= numbers["forecast"].le(numbers["hi_80"]) & numbers["hi_80"].le(numbers["hi_95"])
    return [] if ordered.all() else ["predict: intervals that do not lie in each other"]


@click.command()
@click.option("--tables", default=20_000, show_default=True, help="random tables")
@click.option("--seed", "first", default=1, show_default=True)
@click.option(
    "--folder", type=click.Path(path_type=Path), default=None, help="where findings are kept"
)
def command(tables: int, first: int, folder: Path | None) -> None:
    """Make tables and follow each from inspect to predict."""
    os.environ["FORECAST_TRACEBACK"] = "1"
    folder = folder or Path(tempfile.gettempdir()) / "forecast-random-tables"
    folder.mkdir(parents=True, exist_ok=True)
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    known: dict[str, int] = {}
    done, fitted, slowest, began = 0, 0, 0.0, time.monotonic()

    def follow(sample: Sample) -> None:
        nonlocal done, fitted, slowest
        start = time.process_time()
        with tempfile.TemporaryDirectory(dir=shared) as place:
            found = faults(sample, Path(place))
            fitted += (Path(place) / "store" / "CURRENT").exists()
        done, slowest = done + 1, max(slowest, time.process_time() - start)
        for one in found:
            key = one.partition(": ")[0] + one.partition(": ")[2].partition(": ")[0]
            known[key] = known.get(key, 0) + 1
            if known[key] == 1:
                path = folder / f"finding-{len(known):03d}"
                path.with_suffix(".csv").write_bytes(sample.data)
                path.with_suffix(".json").write_text(
                    json.dumps({"what": one, "flags": sample.flags})
                )
                click.echo(f"{path.name}: {one} {sample.flags}")

    for number in range(first, first + -(-tables // ROUND)):
        options = settings(
            max_examples=min(ROUND, tables),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        seed(number)(options(given(samples())(follow)))()
        click.echo(
            f"{done:,} tables, {fitted:,} fitted, {len(known)} findings, {time.monotonic() - began:.0f} s"
        )
    click.echo(
        f"{done:,} random tables in {time.monotonic() - began:.0f} s: {fitted:,} were fitted and forecast, the others "
        f"refused; {len(known)} findings; slowest {slowest:.1f} s"
    )
    sys.exit(1 if known else 0)

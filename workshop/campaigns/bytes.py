"""Flip and cut every byte of a store, and of what a blocked run kept: nothing wrong may come out."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import click

from forecast.artifacts.format import encode
from forecast.artifacts.store import Store
from forecast.errors import ArtifactRefused, ForecastError, NoInput
from workshop.campaigns._counts import Counts, campaign

DATA = Path(__file__).parents[2] / "data" / "air_passengers.csv"
FIT = (
    "--model",
    "gru",
    "-p",
    "hidden_size=2",
    "--steps",
    "5",
    "--members",
    "1",
    "--no-guard",
    "--quiet",
)
SHORT = ("--horizon", "2", "--lookback", "4")
HOLDER = b"4711 host\n"  # what a killed process leaves in the lock

Change = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Damage:
    """Something done to one file; None in place of a change removes it."""

    path: Path
    kind: str
    change: Change | None

    @contextmanager
    def done(self) -> Iterator[None]:
        """Do it, and mend it afterwards."""
        whole = self.path.read_bytes()
        try:
            if self.change is None:
                self.path.unlink()
            else:
                _put(self.path, self.change(whole))
            yield
        finally:
            _put(self.path, whole)


@click.command()
@click.option("--sample", type=int, help="damages, chosen by the seed; default all")
@click.option(
    "--commands",
    default=10,
    show_default=True,
    help="damages that a command is to refuse, of each kind",
)
@click.option(
    "--artifact",
    type=click.Path(exists=True, path_type=Path),
    help="a store; default that of a small fit",
)
@click.option("--seed", default=0, show_default=True)
def command(sample: int | None, commands: int, artifact: Path | None, seed: int) -> None:
    """Flip every byte of a store, and cut its files at every byte."""
    random = Random(seed)
    with campaign("bytes") as counts, tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "store"
        if artifact is None:
            _forecast("fit", str(DATA), "--artifact", str(place), *FIT, *SHORT).check_returncode()
        else:
            shutil.copytree(artifact, place)
        (place / ".lock").write_bytes(HOLDER)
        every = damages(place, random)
        damage_store(
            Store(place), every if sample is None else random.sample(every, sample), counts
        )
        damage_commands(Store(place), random.sample(every, commands), counts)


def damages(folder: Path, random: Random) -> list[Damage]:
    """Every damage to the files of a folder: a bit or all bits of each byte, a cut at each, a byte too many, none."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for position in range(path.stat().st_size):
            found.append(Damage(path, "bits flipped", _flip(position, 1 << random.randrange(8))))
            found.append(Damage(path, "bytes flipped", _flip(position, 0xFF)))
            found.append(Damage(path, "cuts", _cut(position)))
        found.append(Damage(path, "bytes added", lambda whole: whole + b"\0"))
        found.append(Damage(path, "files removed", None))
    return found


def damage_store(store: Store, chosen: list[Damage], counts: Counts) -> None:
    """Load the live version, and the same by its id, after each damage."""
    contents, info = store.load()
    whole = encode(contents)
    for damage in chosen:
        counts.done[damage.kind] += 1
        with damage.done():
            for version in (None, info.id):
                try:
                    found, _ = store.load(version)
                except ForecastError as error:
                    judge_refusal(damage, error, version, counts)
                    continue
                if encode(found) != whole:
                    counts.lose(f"{damage.kind}, {damage.path.name}: another forecaster was loaded")
                elif matters(damage, version):
                    counts.lose(
                        f"{damage.kind}, {damage.path.name}: loaded as if nothing were wrong"
                    )
            if damage.path.name == ".lock":
                with store.lock():
                    pass
    if store.load()[1] != info:
        counts.lose("the store is not as it was")


def matters(damage: Damage, version: str | None) -> bool:
    """Whether a damage has to be found: who names a version asks neither the pointer nor for its checksum.

    What stands in the manifest beside checksums, the packages and the time, has no checksum but in the pointer.
    """
    return damage.path.name != ".lock" and (
        version is None or damage.path.name not in ("CURRENT", "MANIFEST.json")
    )


def judge_refusal(
    damage: Damage, error: ForecastError, version: str | None, counts: Counts
) -> None:
    """It has to be an `ArtifactRefused` that names the file, but for a pointer that is not there at all."""
    if damage.path.name == "CURRENT" and damage.change is None and version is None:
        right = isinstance(error, NoInput)
    else:
        # a wrong name or size is told of what it was believed of
        named = damage.path.name in str(error) or damage.path.name in ("CURRENT", "MANIFEST.json")
        right = isinstance(error, ArtifactRefused) and named
    if not right or damage.path.name == ".lock":
        counts.lose(f"{damage.kind}, {damage.path.name}: {type(error).__name__}: {error}")


def damage_commands(store: Store, chosen: list[Damage], counts: Counts) -> None:
    """Let the command forecast from a damaged store: it has to say nothing on stdout and to end with its code."""
    whole = _forecast("predict", "--artifact", str(store.path)).stdout if chosen else b""
    for damage in chosen:
        counts.done["`forecast predict` with a damaged store"] += 1
        with damage.done():
            ended = _forecast("predict", "--artifact", str(store.path))
        missing = damage.path.name == "CURRENT" and damage.change is None
        right = (0, whole) if damage.path.name == ".lock" else (66 if missing else 76, b"")
        if (ended.returncode, ended.stdout) != right:
            counts.lose(
                f"{damage.kind}, {damage.path.name}: {ended.returncode} {ended.stdout!r} {ended.stderr!r}"
            )


def _put(path: Path, data: bytes) -> None:
    """Write in place: some file systems wait for the disk when a file is emptied first."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(data)
        file.truncate()


def _flip(position: int, bits: int) -> Change:
    return lambda whole: whole[:position] + bytes([whole[position] ^ bits]) + whole[position + 1 :]


def _cut(position: int) -> Change:
    return lambda whole: whole[:position]


def _forecast(*words: str) -> "subprocess.CompletedProcess[bytes]":
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "forecast", *words],
        capture_output=True,
        env=environment,
        check=False,
    )

"""What the campaigns cut off: each writes something of which the old state or the new one must always be there."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import numpy as np
import pandas as pd

from forecast.artifacts.format import Contents, encode
from forecast.artifacts.store import Store
from forecast.cli._data import write
from forecast.durable import TEMPORARY
from forecast.errors import NoInput
from workshop.campaigns._ledger import VAGUE, add_run, numbers_in_ledger

NEW = 100  # the number of what is written; what was there before has smaller ones
KEEP = 2


class Torn(Exception):
    """Something is visible that is neither the old state nor the new one."""


@dataclass(frozen=True)
class Operation:
    """Something that writes, or only reads.

    Attributes
    ----------
    prepare : makes what is there before, in an empty folder
    act : what is cut off; done again it completes what was begun
    look : what a user finds, in a word; raises `Torn` where that is not whole
    old, new : what `look` finds before and after
    vague : exit codes, by the call that fails, where what is below does not tell why
    """

    prepare: Callable[[Path], None]
    act: Callable[[Path], None]
    look: Callable[[Path], str]
    old: str
    new: str
    vague: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: {"access": (73,)})


def operations(random: Random) -> dict[str, Operation]:
    """All operations by name, on things of random sizes."""
    versions, size, rows = random.randint(2, 4), random.randint(1, 3000), random.randint(1, 300)
    runs, horizon = random.randint(1, 5), random.randint(1, 30)
    live = versions - 1

    def save(place: Path, reuse: bool = False) -> None:
        with Store(place / "store").lock() as writer:
            writer.save(contents(NEW, size), keep=KEEP, reuse=reuse)

    def promote(place: Path) -> None:
        store = Store(place / "store")
        with store.lock() as writer:
            writer.promote(store.versions()[-2].id)

    def load(place: Path) -> None:
        if _number(Store(place / "store"), None, size) != live:
            raise Torn("another version than the live one was loaded")

    def fill(place: Path) -> None:
        for number in range(versions):
            with Store(place / "store").lock() as writer:
                writer.save(contents(number, size), keep=KEEP + 1)

    def litter(place: Path) -> None:
        fill(place)
        store = place / "store"
        version = next(store.glob("v-*"))
        shutil.copytree(version, store / TEMPORARY.replace("*", "0123456789abcdef"))
        (store / TEMPORARY.replace("*", "fedcba9876543210")).write_bytes(b"half a pointer")

    def table(number: int) -> Callable[[Path], None]:
        return lambda place: write(frame(number, rows), str(place / "out.csv"))

    def look(place: Path) -> str:
        return look_at_store(place, size)

    def look_at(place: Path) -> str:
        return look_at_table(place, rows)

    def record(place: Path) -> None:
        add_run(place, NEW, horizon)

    def record_runs(place: Path) -> None:
        for number in range(runs):
            add_run(place, number, horizon)

    def look_at_runs(before: list[int]) -> Callable[[Path], str]:
        return lambda place: look_at_ledger(place, horizon, before)

    nothing = str(None)
    return {
        "save": Operation(fill, save, look, str(live), str(NEW)),
        "first save": Operation(lambda place: None, save, look, nothing, str(NEW)),
        "save of a job": Operation(
            fill, lambda place: save(place, reuse=True), look, str(live), str(NEW)
        ),
        "save after a kill": Operation(litter, save, look, str(live), str(NEW)),
        "promote": Operation(fill, promote, look, str(live), str(live - 1)),
        "load": Operation(fill, load, look, str(live), str(live)),
        "table": Operation(table(0), table(NEW), look_at, "0", str(NEW)),
        "new table": Operation(lambda place: None, table(NEW), look_at, nothing, str(NEW)),
        "ledger": Operation(
            record_runs, record, look_at_runs([*range(runs)][::-1]), str(runs - 1), str(NEW), VAGUE
        ),
        "new ledger": Operation(
            lambda place: None, record, look_at_runs([]), nothing, str(NEW), VAGUE
        ),
    }


def contents(number: int, size: int) -> Contents:
    """What version `number` holds: its number in every file."""
    return Contents(
        config={"number": number},
        weights={"w": np.full(size, number, np.float32)},
        arrays={"values": np.full(size // 2, number, np.float32)},
    )


def frame(number: int, rows: int) -> pd.DataFrame:
    """A table of forecasts; the number stands in every row."""
    return pd.DataFrame({"series": [f"s{row}" for row in range(rows)], "forecast": float(number)})


def look_at_store(place: Path, size: int) -> str:
    """The number of the live version, None without one; all versions have to be whole."""
    store = Store(place / "store")
    try:
        live = _number(store, None, size)
        for version in store.versions():
            _number(store, version.id, size)
    except NoInput:
        return str(None)
    strange = [name for name in os.listdir(store.path) if not name.startswith(("v-", ".forecast-"))]
    if sorted(strange) != [".lock", "CURRENT"]:
        raise Torn(f"the store holds {sorted(strange)}")
    return str(live)


def look_at_table(place: Path, rows: int) -> str:
    """The number of the table, None without one; byte for byte the table of that number."""
    path = place / "out.csv"
    if not path.exists():
        return str(None)
    data = path.read_bytes()
    for number in (0, NEW):
        if data == frame(number, rows).to_csv(index=False, lineterminator="\n").encode():
            return str(number)
    raise Torn(f"out.csv holds {data[:200]!r}")


def look_at_ledger(place: Path, horizon: int, before: list[int]) -> str:
    """The number of the newest run, None without one; all runs have to be there, and whole."""
    try:
        numbers = numbers_in_ledger(place, horizon)
    except ValueError as error:
        raise Torn(f"the ledger: {error}") from None
    if numbers not in (before, [NEW, *before]):
        raise Torn(f"the ledger holds the runs {numbers}")
    return str(numbers[0]) if numbers else str(None)


def write_by_halves() -> None:
    """Let the system take each write in two parts, so that it can be cut off in the middle."""
    whole = os.write
    halved = False

    def half(descriptor: int, data: bytes) -> int:
        nonlocal halved
        halved = not halved
        return whole(descriptor, data[: max(1, len(data) // 2)] if halved else data)

    os.write = half


def _number(store: Store, version: str | None, size: int) -> int:
    found, _ = store.load(version)
    number = int(found.config["number"])
    if encode(found) != encode(contents(number, size)):
        raise Torn(f"version {version or 'that is live'} does not hold what was saved")
    return number

"""Every row of the table of bad input, as `cases.toml` has it, through the real command line."""

import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast import Forecaster
from forecast.panel.dated import normalise
from forecast.settings import TextSettings
from forecast.tables.reading import read_table
from tests.conftest import Run

HERE = Path(__file__).parent
FILES = HERE / "files"
ROWS = 73
STORE = "forecast-model"  # what commands use by default, here in the folder of the case
HUGE = 1 << 30
QUICK = "--model last --horizon 2"  # stands for {quick} in a command line
STORES: dict[str, tuple[str, dict[str, Any]]] = {
    "wide": ("wide.csv", {}),
    "long": ("long.csv", {}),
    "rows": ("rows.csv", {}),
    "hours": ("hours.csv", {}),
    "known": ("known.csv", {"known": ("promo",), "horizon": 3}),
    "blind": ("51_no_future_rows.csv", {"known": ("promo",), "horizon": 3}),
    "zeros": ("37_leading_zeros.csv", {}),
    "index": ("13_index_only.csv", {}),
}
OF_SCENES = {"61_format_1.zip"}
KEPT_ON_PURPOSE = (".runs/", "/OWNER")  # by a run that failed
# flags that only a bad file needs
FLAGS = (
    r" --(encoding|delimiter|decimal|thousands|sheet|header-row|skip-rows|date-format|on-duplicate|dst|timezone) "
    r"""('[^']*'|"[^"]*"|\S+)"""
)
# what a command says of what it does: a word, then the answer; or what a stop and a check say
INFO = re.compile(
    r"[a-z]+ {2,}\S|left out \S|training stops at step|\S+\.toml: the file is valid"
    r"| *[A-Z]+  on held-out values| *[\d.e+-]+  \S"  # the table of candidates
    r"|forecasts of \d+ of \d+ series would end below 0|lower ends of intervals of \d+ of \d+ series are cut at 0"
)


@dataclass(frozen=True)
class Case:
    """A line of the table; README.md says what the fields mean."""

    row: int
    run: str
    then: str | None = None
    store: str = "wide"
    scene: str = "nothing"
    code: int = 0
    err: tuple[str, ...] = ()
    quiet: bool = False
    out: tuple[str, ...] = ()
    like: str | None = None
    numbers: str | None = None
    touched: tuple[str, ...] = ()
    process: bool = False

    def __str__(self) -> str:
        lines = self.run if self.then is None else f"{self.run} and {self.then}"
        return f"{self.row}: {lines}" + (f" [{self.scene}]" if self.scene != "nothing" else "")

    @property
    def line(self) -> str:
        """The command line."""
        return self.run.replace("{quick}", QUICK)

    @property
    def done(self) -> bool:
        """Whether the command does its work, if only in part."""
        return self.code in (0, 3)


CASES = [
    Case(**one) for one in tomllib.loads((HERE / "cases.toml").read_text(encoding="utf-8"))["case"]
]


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of each clean table, with a forecaster that is a baseline."""
    folder = tmp_path_factory.mktemp("stores")
    for name, (file, knobs) in STORES.items():
        table = normalise(read_table(str(FILES / file), TextSettings()))
        Forecaster(**{"model": "last", "horizon": 2, **knobs}).fit(table).save(str(folder / name))
    return folder


@pytest.fixture(scope="session")
def clean() -> dict[tuple[str | None, ...], str]:
    """What came of clean files, by command lines and store: each is run once."""
    return {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bad_input_gets_its_answer(
    case: Case,
    forecast: Run,
    stores: Path,
    scenes: dict[str, Any],
    clean: dict[tuple[str | None, ...], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(case.line)
    prepare(tmp_path, case.line, stores / case.store)
    with pytest.MonkeyPatch.context() as patch, scenes[case.scene](tmp_path, patch):
        before = snapshot(tmp_path)
        found = forecast(*words)
        after = snapshot(tmp_path)
    assert found.code == case.code, found.err
    check_messages(found.err, case)
    check_files(before, after, case)
    if case.process:
        check_process(words, found, tmp_path)
    if not case.done:
        assert found.out == ""
    if case.then is not None:
        found = forecast(*shlex.split(case.then))
        assert found.code == case.code, found.err
    for part in case.out:
        assert part in found.out
    if case.like is not None:
        expected = of_clean(case, case.like, forecast, stores, clean, tmp_path, monkeypatch)
        assert without_flags(found.out) == without_flags(expected)
    if case.numbers is not None:
        expected = of_clean(case, case.numbers, forecast, stores, clean, tmp_path, monkeypatch)
        assert numbers_in(found.out) == numbers_in(expected)


def test_every_row_has_cases_and_every_file_is_used() -> None:
    assert len({str(case) for case in CASES}) == len(CASES)
    assert {case.row for case in CASES} == set(range(1, ROWS + 1))
    words = {
        word
        for case in CASES
        for line in (case.run, case.like, case.numbers)
        for word in (line or "").split()
    }
    words |= {word for case in CASES for word in (case.then or "").split()}
    pipelines = [path.read_text("latin-1") for path in FILES.glob("*.toml")]
    words |= {word for text in pipelines for word in re.findall(r'"(\w+\.csv)"', text)}
    assert {path.name for path in FILES.iterdir()} - {
        file for file, _ in STORES.values()
    } - OF_SCENES <= words


def prepare(folder: Path, line: str, store: Path) -> None:
    """Put a store into a folder, and the files that a command line, or a pipeline file in it, names."""
    shutil.copytree(store, folder / STORE)
    for word in line.split():
        if (FILES / word).is_file():
            shutil.copy(FILES / word, folder / word)
            text = (FILES / word).read_text("latin-1") if word.endswith(".toml") else ""
            for named in re.findall(r'"(\w+\.csv)"', text):
                if (FILES / named).is_file():
                    shutil.copy(FILES / named, folder)


def snapshot(folder: Path) -> dict[str, bytes]:
    """All files below a folder and what they hold, a huge one left out."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {
        name: path.read_bytes()
        for name, path in files.items()
        if path.stat().st_size < HUGE and not any(part in name for part in KEPT_ON_PURPOSE)
    }


def check_files(before: dict[str, bytes], after: dict[str, bytes], case: Case) -> None:
    """A failure leaves all files as they were; only a fit writes into the store."""
    assert set(before) <= set(after)
    changed = {name for name, data in after.items() if before.get(name) != data}
    if not case.done:
        assert changed == set(case.touched)
    elif case.run.startswith("fit "):
        assert f"{STORE}/CURRENT" in changed
    else:
        assert not any(name.startswith(STORE) for name in changed)


def check_messages(said: str, case: Case) -> None:
    """One line for each thing that is said, none twice; a failure is one sentence, the last one."""
    lines = said.splitlines()
    assert "this is a bug" not in said, said
    assert all(line.isprintable() for line in lines), said
    assert len(set(lines)) == len(lines), said
    failed = [line for line in lines if line.startswith("error: ")]
    assert failed == ([] if case.done else lines[-1:]), said
    others = [line for line in lines if not line.startswith(("error: ", "warning: "))]
    assert all(INFO.match(line) for line in others), said
    assert not (case.quiet and "warning: " in said), said
    for part in case.err:
        assert part in said


def check_process(words: list[str], found: Any, folder: Path) -> None:
    """A process of its own answers as the call in this one did."""
    command = [sys.executable, "-m", "forecast", *words]
    alone = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert (alone.returncode, alone.stdout) == (found.code, found.out)
    assert lasting(alone.stderr) == lasting(found.err)


def lasting(said: str) -> str:
    """What is said, without what is different in every run."""
    return re.sub(r"v-\d{8}T\S+|[0-9.]+ GiB are free", "", said)


def of_clean(
    case: Case,
    name: str,
    forecast: Run,
    stores: Path,
    clean: dict[tuple[str | None, ...], str],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """What the last command of a case puts out with a clean file in the place of the bad one."""
    bad = next(word for word in case.run.split() if (FILES / word).is_file())
    line = re.sub(FLAGS, "", case.line).replace(bad, name)
    key = (line, case.then, case.store)
    if key not in clean:
        place = folder / "clean"
        place.mkdir()
        monkeypatch.chdir(place)
        prepare(place, line, stores / case.store)
        for each in filter(None, (line, case.then)):
            found = forecast(*shlex.split(each))
            assert found.code == 0, found.err
        clean[key] = found.out
    return clean[key]


def without_flags(told: str) -> str:
    """What is put out, without the flags that JSON repeats."""
    return re.sub(r'"reading": \{[^}]*\}', "", told)


def numbers_in(table: str) -> list[list[float]]:
    """The numbers of a table of forecasts."""
    frame = pd.read_csv(io.StringIO(table))
    numbers: list[list[float]] = (
        frame.loc[:, "forecast":].select_dtypes("number").to_numpy().tolist()
    )
    return numbers

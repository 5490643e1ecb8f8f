"""Options and fixtures that all tests share."""

import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

# a busy machine is no failure; what the gate samples, `pytest --slow` runs in full
settings.register_profile("gate", deadline=None, max_examples=30)
settings.register_profile("slow", deadline=None)
settings.load_profile("gate")

metadata.version = cache(
    metadata.version
)  # every fit that is saved asks for ten; a real process saves one fit

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"

# files that take longest come first: where two workers share the files, neither is left with one of them at the end
SLOWEST_FILES = {
    *(
        "test_kills",
        "test_slim",
        "test_stops",
        "test_new_model",
        "test_new_baseline",
        "test_new_choices",
        "test_way",
    ),
    *(
        "test_campaigns",
        "test_pretraining",
        "test_parallel",
        "test_examples",
        "test_commands",
        "test_regressor",
    ),
    *(
        "test_patterns",
        "test_cli",
        "test_refit",
        "test_bad_input",
        "test_every_model",
        "test_forecaster",
    ),
    *("test_accuracy", "test_ledger", "test_warm_start", "test_report", "test_typing"),
}


# rooms below the ensemble and the engine, whose tests call functions on arrays and small tables
UNIT_ROOMS = frozenset(
    (
        "artifacts",
        "baselines",
        "calendar",
        "events",
        "metrics",
        "panel",
        "pretrained",
        "reading",
        "tables",
        "windows",
    )
)
# fixtures that fit a forecaster or run a command
WHOLE = frozenset(("forecast", "store", "without_exports"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.getoption("--slow") else "gate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in SLOWEST_FILES)
    for item in items:
        fixtures = frozenset(getattr(item, "fixturenames", ()))
        is_whole = "slow" in item.keywords or bool(fixtures & WHOLE)
        if item.path.parent.name in UNIT_ROOMS and not is_whole:
            item.add_marker(pytest.mark.unit)
    if config.getoption("--slow"):
        return
    skip = pytest.mark.skip(reason="slow; pass --slow")
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(skip)


@dataclass
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def frame(self) -> pd.DataFrame:
        return pd.read_csv(io.StringIO(self.out), dtype={"series": str, "shop": str})


Run = Callable[..., Ran]  # the command line: words to how it ended
At = Callable[[int], str]  # the number of a day to its time


@pytest.fixture
def forecast(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run the command line in this process: ``forecast("fit", path, "--quiet")``."""
    from forecast.cli import main
    from forecast.errors import Interrupted

    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*words: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["forecast", *map(str, words)])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capfdbinary.readouterr()
        assert "Traceback" not in err.decode()
        return Ran(int(left.value.code or 0), out.decode(), err.decode())

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)
    Interrupted.received = None  # a process ends with it, and this one goes on
    logger = logging.getLogger("forecast")  # the command line took its messages for itself
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


COMMANDS = """
import contextlib, io, json, sys
from forecast.cli import main
ended = []
class Written(io.TextIOWrapper):
    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8", write_through=True)
    def text(self):
        return self.buffer.getvalue().decode()
for words in json.loads(sys.argv.pop()):
    sys.argv[1:], code = words, 0
    with contextlib.redirect_stdout(Written()) as out, contextlib.redirect_stderr(Written()) as err:
        try:
            exec(words[1], {}) if words[0] == "-c" else main()
        except SystemExit as left:
            code = left.code or 0
    ended.append((code, out.text(), err.text()))
print(json.dumps(ended))
"""


@dataclass(frozen=True)
class PackageCopy:
    """A copy of the package, to which a test adds files."""

    folder: Path

    def run(self, *words: str, code: int = 0, cwd: Path | None = None) -> Ran:
        """Run Python with the copy, which must end with `code`."""
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=cwd or self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stdout + ended.stderr
        return Ran(code, ended.stdout, ended.stderr)

    def ran(self, *commands: tuple[str, ...], cwd: Path | None = None) -> list[Ran]:
        """How commands of the copy end, and code after `-c`, one after another in one process: start-up takes long."""
        lines = self.run("-c", COMMANDS, json.dumps(commands), cwd=cwd).out
        return [Ran(*ended) for ended in json.loads(lines)]

    def forecast(self, *commands: tuple[str, ...]) -> list[str]:
        """What commands of the copy write, which all must end with 0."""
        found = self.ran(*commands)
        assert [ran.code for ran in found] == [0] * len(found), found
        return [ran.out for ran in found]

    def add(self, path: str, text: str) -> None:
        """Write a file into the copy."""
        (self.folder / path).write_text(text, encoding="utf-8")

    def add_tests(self, path: str, keyword: str) -> tuple[str, str]:
        """Copy a file of tests, and what it needs; the command that runs those with a word in their names."""
        (self.folder / path).parent.mkdir(parents=True)
        helpers = [str(file.relative_to(ROOT)) for file in (ROOT / path).parent.glob("_*.py")]
        for name in ("tests/conftest.py", "tests/_inputs.py", path, "setup.cfg", *helpers):
            shutil.copy(ROOT / name, self.folder / name)
        return (
            "-c",
            f"import pytest; exit(pytest.main(['-q', '-p', 'no:cacheprovider', '{path}', '-k', '{keyword}']))",
        )


@pytest.fixture
def package(tmp_path: Path) -> PackageCopy:
    """A copy of the package, with its compiled modules, which saves seconds."""
    shutil.copytree(ROOT / "forecast", tmp_path / "forecast")
    return PackageCopy(tmp_path)


@pytest.fixture
def without_exports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions have no ONNX files, which take longer to write than small networks to train."""
    monkeypatch.setattr("forecast.engine.exporting.has_package", lambda package: False)


@pytest.fixture(scope="session")
def passengers() -> Path:
    """The monthly sample."""
    return DATA / "air_passengers.csv"


@pytest.fixture(scope="session")
def panel_frame() -> pd.DataFrame:
    """A long table: four shops, 80 days, a promotion known in advance, prices known afterwards, a size."""
    from forecast.tables.synthetic import synthesize

    frame = synthesize("seasonal", series=4, length=80, seed=3).rename(
        columns={"series": "shop", "value": "units"}
    )
    day = frame.groupby("shop").cumcount()
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).dt.strftime(
        "%Y-%m-%d"
    )
    frame["promo"] = (day % 5 == 0).astype(int)
    frame["price"] = 10 + (day * 7 % 11) / 10
    frame["size"] = frame["shop"].map(
        {"s001": "small", "s002": "large", "s003": "small", "s004": "large"}
    )
    return frame[["shop", "day", "units", "promo", "price", "size"]]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, passengers: Path) -> Path:
    """A store with a small forecaster of the monthly sample; not to be written to."""
    from forecast import Forecaster

    place = tmp_path_factory.mktemp("fitted") / "store"
    Forecaster(steps=30, params={"hidden_size": 8}, guard=False).fit(pd.read_csv(passengers)).save(
        str(place)
    )
    return place

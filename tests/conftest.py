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
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

# a busy machine is no failure; what the gate samples, `pytest --slow` runs in full
settings.register_profile("gate", deadline=None, max_examples=30)
settings.register_profile("slow", deadline=None)
settings.load_profile("gate")

ROOT = Path(__file__).parents[1]
DATA = ROOT / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("slow" if config.getoption("--slow") else "gate")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
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


@pytest.fixture
def forecast(
    capfdbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ran]]:
    """Run the command line in this process: ``forecast("fit", path, "--quiet")``."""
    from forecast.cli import main

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
    logger = logging.getLogger("forecast")  # the command line took its messages for itself
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)


BREAK = "\f"
COMMANDS = f"""
import json, sys
from forecast.cli import main
for words in json.loads(sys.argv.pop()):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as left:
        if left.code:
            raise
    print({BREAK!r}, end="", flush=True)
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

    def forecast(self, *commands: tuple[str, ...]) -> list[str]:
        """What commands of the copy write, one after another in one process: start-up takes longer than the work."""
        return self.run("-c", COMMANDS, json.dumps(commands)).out.split(BREAK)[:-1]

    def add(self, path: str, text: str) -> None:
        """Write a file into the copy."""
        (self.folder / path).write_text(text, encoding="utf-8")

    def add_tests(self, path: str) -> None:
        """Copy a file of tests, and what it needs."""
        (self.folder / path).parent.mkdir(parents=True)
        helpers = [str(file.relative_to(ROOT)) for file in (ROOT / path).parent.glob("_*.py")]
        for name in ("tests/conftest.py", path, "setup.cfg", *helpers):
            shutil.copy(ROOT / name, self.folder / name)


@pytest.fixture
def package(tmp_path: Path) -> PackageCopy:
    """A copy of the package, with its compiled modules, which saves seconds."""
    shutil.copytree(ROOT / "forecast", tmp_path / "forecast")
    return PackageCopy(tmp_path)


@pytest.fixture(scope="session")
def passengers() -> Path:
    """The monthly sample."""
    return DATA / "air_passengers.csv"


@pytest.fixture(scope="session")
def panel_frame() -> pd.DataFrame:
    """A long table: four shops, 80 days, a promotion known in advance, prices known afterwards, a size."""
    from forecast.tables.synthetic import synthesize

    frame = synthesize("seasonal", series=4, length=80, seed=3).rename(columns={"series": "shop", "value": "units"})
    day = frame.groupby("shop").cumcount()
    frame["day"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).dt.strftime("%Y-%m-%d")
    frame["promo"] = (day % 5 == 0).astype(int)
    frame["price"] = 10 + (day * 7 % 11) / 10
    frame["size"] = frame["shop"].map({"s001": "small", "s002": "large", "s003": "small", "s004": "large"})
    return frame[["shop", "day", "units", "promo", "price", "size"]]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, passengers: Path) -> Path:
    """A store with a small forecaster of the monthly sample; not to be written to."""
    from forecast import Forecaster

    place = tmp_path_factory.mktemp("fitted") / "store"
    Forecaster(steps=30, params={"hidden_size": 8}, guard=False).fit(pd.read_csv(passengers)).save(str(place))
    return place

"""Options and fixtures that all tests share."""

import io
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import settings

settings.register_profile("any speed", deadline=None)  # a busy machine is no failure
settings.load_profile("any speed")

DATA = Path(__file__).parents[1] / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


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

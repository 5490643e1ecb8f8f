"""A real browser, and reports to open in it."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.browser.pages import HORIZON, NAMES, Browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
HOURS = 748


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Nothing of the gate needs a browser."""
    return None if config.getoption("--slow") else True


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Debian's Chromium, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def browser(chromium: Any) -> Iterator[Browser]:
    """Opens files, and closes them after the test."""
    opener = Browser(chromium)
    yield opener
    opener.close()


def command(*words: object) -> None:
    """Run the command line, which must end well."""
    from forecast.cli import cli

    made = cli.main(
        [*map(str, words)], prog_name="forecast", standalone_mode=False, obj=time.monotonic()
    )
    assert made in (None, 0)


def report_of(frame: pd.DataFrame, folder: Path, *words: object) -> Path:
    """The report of a fit, with a backtest."""
    frame.to_csv(folder / "table.csv", index=False)
    fast = (*words, "--model", "seasonal-naive,theta", "--quiet")
    command(
        "fit",
        folder / "table.csv",
        *words,
        "--model",
        "theta",
        "--artifact",
        folder / "shops",
        "--quiet",
    )
    command(
        "backtest", folder / "table.csv", *fast, "--windows", 2, "--output", folder / "tests.json"
    )
    made = ("--backtest", folder / "tests.json", "--output", folder / "report.html", "--quiet")
    command("report", "--artifact", folder / "shops", *made)
    return folder / "report.html"


@pytest.fixture(scope="session")
def hourly(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 414 series by the hour with days and weeks, like those of the M4 competition."""
    random, hours = np.random.default_rng(0), np.arange(HOURS)
    times = pd.date_range("2024-01-01", periods=HOURS, freq="h")
    names = [*NAMES, *(f"H{number}" for number in range(3, 415))]
    frames = []
    for name in names:
        day, week = random.normal(size=24).cumsum(), random.normal(size=7)
        shape = 10 + day[hours % 24] + week[hours // 24 % 7] + random.normal(0, 0.3, HOURS)
        values = (10 ** random.uniform(0, 4) * np.maximum(shape, 0.1)).round(2)
        frames.append(pd.DataFrame({"id": name, "hour": times, "y": values}))
    folder = tmp_path_factory.mktemp("hourly")
    return report_of(pd.concat(frames), folder, "--horizon", HORIZON, "--season", 24)


@pytest.fixture(scope="session")
def thousands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 10,000 daily series."""
    series, days = 10_000, 70
    random = np.random.default_rng(0)
    values = random.lognormal(5, 1, (days, series)) * (1 + np.arange(days)[:, None] % 7)
    frame = pd.DataFrame(
        values.round(3), columns=[f"product number {number}" for number in range(series)]
    )
    frame.insert(0, "day", pd.date_range("2024-01-01", periods=days))
    return report_of(frame, tmp_path_factory.mktemp("thousands"), "--horizon", 14, "--season", 7)

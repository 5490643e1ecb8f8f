"""Each planted change of a job's input is found in its own step, and the steps add up."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from forecast.cli import cli
from forecast.errors import ForecastError, as_flag
from forecast.jobs import replay
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job

HORIZON, START = 7, pd.Timestamp("2024-01-01")
THETA = 'model = "theta"\nhorizon = 7'
TRAIN = 'model = "linear"\nhorizon = 7\nlookback = 14\nsteps = 10\nmembers = 2\nguard = false\ndevice = "cpu"'


class Nights:
    """A job whose table, events and settings change from night to night, as a test says."""

    def __init__(self, folder: Path, train: str = TRAIN) -> None:
        self.folder, self.train, self.days, self.night, self.shops = (
            folder,
            train,
            60,
            0,
            ["north", "south", "west"],
        )
        self.generator = np.random.default_rng(0)
        self.history: dict[tuple[str, int], float] = {}
        self.prices: dict[tuple[str, int], float] = {}
        self.events = ["2024-01-10,fair", "2024-01-31,fair", "2024-02-14,fair"]
        self.top, self.output = 'refit = "never"', ""
        self.first = dict.fromkeys(self.shops, 0)  # earlier days are not in the table

    def value(self, shop: str, day: int) -> float:
        price = self.price(shop, day)
        event = 40 if f"{START + pd.Timedelta(days=day):%Y-%m-%d},fair" in self.events else 0
        noise = self.generator.normal(0, 2)
        return round(80 + 10 * np.sin(2 * np.pi * day / 7) - 3 * price + event + noise, 2)

    def price(self, shop: str, day: int) -> float:
        return self.prices.setdefault((shop, day), float(self.generator.integers(1, 6)))

    def write(self) -> None:
        rows = []
        for shop in self.shops:
            for day in range(self.first.get(shop, 0), self.days + HORIZON):
                known = self.price(shop, day)
                units: Any = ""
                if day < self.days:
                    units = self.history.setdefault((shop, day), self.value(shop, day))
                rows.append((shop, f"{START + pd.Timedelta(days=day):%Y-%m-%d}", units, known))
        pd.DataFrame(rows, columns=["shop", "day", "units", "price"]).to_csv(
            self.folder / "sales.csv", index=False
        )
        (self.folder / "events.csv").write_text("date,name\n" + "\n".join(self.events) + "\n")
        table = 'id = "shop"\ntarget = "units"\nknown = "price"\nevents = "events.csv"'
        self.file.write_text(
            f'store = "store"\n{self.top}\n[source]\npath = "sales.csv"\n[table]\n{table}\n[train]\n{self.train}\n'
            f'[output]\n{self.output}\n[checks]\noutput.on_error = "warn"\n[sink]\npath = "out.csv"\n'
        )

    @property
    def file(self) -> Path:
        return self.folder / "job.toml"

    def run(self) -> None:
        self.write()
        self.night += 1
        at = START + pd.Timedelta(days=self.days, minutes=self.night)
        run_job(read_pipeline(str(self.file)), as_of=f"{at}+00:00")

    def fails(self, *words: str) -> tuple[int, str]:
        """The exit code of the command, and what it says."""
        done = CliRunner().invoke(cli, ["diff", str(self.file), *words], standalone_mode=False)
        assert isinstance(done.exception, ForecastError)
        return done.exception.exit_code, done.exception.render(as_flag)

    def diff(self, *words: str) -> dict[str, Any]:
        """What the command says of the last two runs, whose steps add up."""
        done = CliRunner().invoke(
            cli, ["diff", str(self.file), "--json", "--quiet", *words], catch_exceptions=False
        )
        assert done.exit_code == 0, done.output
        facts: dict[str, Any] = json.loads(done.stdout)[0]
        for row in (*facts["by_series"], *facts["by_time"], *facts["sums"]):
            assert sum(row["steps"].values()) == pytest.approx(
                row["change"], rel=1e-9, abs=1e-9 * abs(row["new"])
            )
        assert sum(row["change"] for row in facts["steps"]) == pytest.approx(
            sum(row["change"] for row in facts["by_series"]), rel=1e-9, abs=1e-7
        )
        shown = [abs(row["change"]) for row in facts["by_series"]]
        assert shown == sorted(shown, reverse=True)
        return facts


def steps_of(facts: dict[str, Any]) -> list[str]:
    """The steps that changed some forecast."""
    return [row["step"] for row in facts["steps"] if row["size"] or row["change"]]


@pytest.mark.slow
def test_each_change_is_found_in_its_own_step(tmp_path: Path) -> None:
    nights = Nights(tmp_path)
    nights.run()
    nights.run()
    assert steps_of(nights.diff()) == []
    nights.history["north", 58] += 30
    nights.run()
    facts = nights.diff()
    assert steps_of(facts) == ["revised history"]
    assert [row["shop"] for row in facts["by_series"] if row["moved"]] == ["north"]
    nights.prices["south", 62] += 4
    nights.run()
    facts = nights.diff()
    assert steps_of(facts) == ["known columns"]
    assert [row["shop"] for row in facts["by_series"] if row["moved"]] == ["south"]
    nights.events.append("2024-03-03,fair")
    nights.run()
    facts = nights.diff("--sum-by", "all")
    assert steps_of(facts) == ["events"]
    assert max(facts["sums"], key=lambda row: row["moved"])["time"] == "2024-03-03"
    nights.days += 1
    nights.run()
    assert steps_of(nights.diff()) == ["new actuals"]
    nights.output = "max = 80"
    nights.run()
    assert steps_of(nights.diff()) == ["bounds and rounding"]
    nights.shops = ["south", "west", "east"]
    nights.run()
    facts = nights.diff("--sum-by", "all")
    assert steps_of(facts) == ["series"]
    assert {row["shop"] for row in facts["by_series"] if row["moved"]} == {"north", "east"}
    assert facts["size"] == 0
    nights.top = 'refit = "daily"'
    nights.days += 1
    nights.run()
    facts = nights.diff()
    assert set(steps_of(facts)) == {"new actuals", "refit"}
    assert any("a refit alone moves a network" in note for note in facts["notes"])
    page = tmp_path / "report.html"
    assert (
        CliRunner()
        .invoke(cli, ["report", str(nights.file), "--output", str(page), "--quiet"])
        .exit_code
        == 0
    )
    assert "Steps in the order in which they were taken" in page.read_text()


def test_a_series_that_ended_may_be_all_that_is_revised(tmp_path: Path) -> None:
    nights = Nights(tmp_path, THETA)
    nights.write()
    nights.history |= {("north", day): "" for day in range(20, 200)}
    nights.run()
    nights.history["north", 10] += 30
    nights.run()
    facts = nights.diff()
    assert steps_of(facts) == []
    assert any("revised history: 1 values of 1 series (north)" in note for note in facts["notes"])


@pytest.mark.parametrize("refit", [False, True])
def test_a_past_that_is_cut_off_at_its_beginning_is_revised_history(
    tmp_path: Path, refit: bool
) -> None:
    nights = Nights(tmp_path, THETA)
    nights.history |= {("south", day): "" for day in range(20, 30)}
    nights.run()
    nights.first["north"] = 30
    nights.top = f'refit = "{"daily" if refit else "never"}"'
    nights.days += refit
    nights.run()
    facts = nights.diff()
    assert (facts["from"]["version"] != facts["to"]["version"]) == refit
    lost = "revised history: 30 values of 1 series (north), 2024-01-01 to 2024-01-30"
    assert lost in facts["notes"]
    assert "revised history" in steps_of(facts)
    assert "refit" not in steps_of(facts) or refit
    nights.run()
    assert not any("revised history" in note for note in nights.diff()["notes"])


def test_a_window_of_the_source_that_moves_with_the_night_is_no_revised_history(
    tmp_path: Path,
) -> None:
    nights = Nights(tmp_path, THETA)
    nights.run()
    nights.days += 3
    nights.first = dict.fromkeys(nights.shops, 3)
    nights.run()
    facts = nights.diff()
    assert not any("revised history" in note for note in facts["notes"])
    assert steps_of(facts) == ["new actuals"]
    nights.days += 3
    nights.first = dict.fromkeys(nights.shops, 20)
    nights.run()
    facts = nights.diff()
    lost = "revised history: 51 values of 3 series (north, south, west), 2024-01-04 to 2024-01-20"
    assert lost in facts["notes"]


def simulated(nights: Nights, count: int, every: int) -> None:
    """Nights with planted changes, each of which is found in its own step and in no other."""
    nights.top = f'refit = "every {every} days"'
    draw = np.random.default_rng(1)
    nights.run()
    for night in range(count):
        planted = {"new actuals", "refit"} if night % 4 else set()
        nights.days += night % 4 > 0
        if draw.random() < 0.3:
            nights.history["north", nights.days - 2] += 30
            planted.add("revised history")
        if draw.random() < 0.3:
            nights.prices["south", nights.days + 3] += 4
            planted.add("known columns")
        if draw.random() < 0.3:
            nights.events.append(f"{START + pd.Timedelta(days=nights.days + 2):%Y-%m-%d},fair")
            nights.events = list(dict.fromkeys(nights.events))
            planted.add("events")
        if night % 5 == 2:
            nights.shops = sorted({*nights.shops, f"shop {night}"})
            planted.add("series")
        nights.run()
        facts = nights.diff("--sum-by", "all", "--sum-every", "week")
        found = set(steps_of(facts))
        assert found <= planted
        assert found >= planted - {"refit", "events", "known columns"}
        if nights.train == TRAIN:
            assert ("refit" in found) == (facts["from"]["version"] != facts["to"]["version"])
            assert ("known columns" in found) == ("known columns" in planted)


def test_simulated_nights_are_explained(tmp_path: Path) -> None:
    simulated(Nights(tmp_path, THETA), 8, 3)


@pytest.mark.slow
def test_sixty_simulated_nights_are_explained(tmp_path: Path) -> None:
    simulated(Nights(tmp_path), 60, 10)


def test_a_run_that_kept_nothing_and_a_version_that_is_gone_are_named(tmp_path: Path) -> None:
    nights = Nights(tmp_path, THETA)
    nights.run()
    assert nights.fails()[0] == 66
    nights.days += 1
    nights.run()
    nights.days += 1
    nights.run()
    nights.diff("--from", "2024-03-01")
    code, said = nights.fails("--from", "2024-03")
    assert (code, "may mean 2 runs" in said) == (2, True)
    assert nights.fails("--to", "2025")[0] == 66
    with closing(sqlite3.connect(tmp_path / "store.runs" / "ledger.db")) as ledger, ledger:
        ledger.execute(
            "UPDATE forecast_inputs SET cells = substr(cells, 1, 50) WHERE as_of > '2024-03-03'"
        )
    assert nights.fails() == (
        76,
        "job 'job': what the run as of 2024-03-03T00:03:00Z forecast from is damaged in the ledger; compare other runs",
    )
    with closing(sqlite3.connect(tmp_path / "store.runs" / "ledger.db")) as ledger, ledger:
        ledger.execute("DROP TABLE forecast_inputs")  # as a ledger of before
    code, said = nights.fails()
    assert (code, "does not hold what the run as of 2024-03-02" in said) == (66, True)


def test_a_run_that_is_too_large_keeps_some_series_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nights = Nights(tmp_path, THETA)
    nights.run()
    monkeypatch.setattr(replay, "MAX_REPLAYED_NUMBERS", 150)
    nights.days += 1
    nights.history["north", 58] += 30
    nights.run()
    facts = nights.diff()
    assert facts["series"] < 3
    assert any("kept what" in note for note in facts["notes"])

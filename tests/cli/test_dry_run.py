"""`fit --dry-run` says what a fit does, trains nothing and writes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from forecast.training import fitting
from forecast.training.context import TrainingContext
from forecast.training.fitting import Fitter
from forecast.training.loop import Trained
from forecast.training.plan import PRIORS, Member
from tests.conftest import DATA, Ran

Command = Callable[..., Ran]
DELAYS = (
    DATA / "nyc_flight_delays.csv",
    "--id",
    "airport,airline",
    "--target",
    "delayed",
    "--known",
    "scheduled",
)
SMALL = ("--steps", "4", "-p", "hidden_size=4")


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the fits of a test train, a round each."""
    rounds: list[dict[str, Any]] = []
    whole = Fitter.train

    def noted(
        self: Fitter, members: list[Member], context: TrainingContext
    ) -> tuple[list[Member], list[Trained]]:
        ended, trained = whole(self, members, context)
        windows = {
            "training": self.count,
            "held_out": len(self.index[0]),
            "last_steps": int(self.split.count(True).sum()),
        }
        weights = [sum(array.size for array in one.weights.values()) for one in trained]
        rounds.append({"windows": windows, "members": ended, "weights": weights})
        return ended, trained

    monkeypatch.setattr(Fitter, "train", noted)
    return rounds


@pytest.fixture
def no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*words: object) -> None:
        raise AssertionError("a dry run trained")

    monkeypatch.setattr(fitting, "train_members", refused)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def check(forecast: Command, fits: list[dict[str, Any]], tmp_path: Path, *words: object) -> None:
    """A dry run must say what the first round of a fit then trains."""
    dry = forecast("fit", *words, "--artifact", tmp_path / "store", "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert files(tmp_path) == []
    found = json.loads(dry.out)
    fitted = forecast("fit", *words, "--artifact", tmp_path / "store")
    assert fitted.code == 0, fitted.err
    planned = [network for network in found["networks"] if network["round"] == 1]
    assert found["windows"] == fits[0]["windows"]
    assert [network["weights"] for network in planned] == fits[0]["weights"]
    names = ("model", "params", "scaling", "lookback", "batch_size", "steps")
    assert [{name: network[name] for name in names} for network in planned] == [
        {name: getattr(member, name) for name in names} for member in fits[0]["members"]
    ]
    written = sum(path.stat().st_size for path in (tmp_path / "store").rglob("*") if path.is_file())
    assert written / 3 < found["store"]["bytes"] < written * 3


@pytest.mark.slow
def test_windows_and_networks_are_those_of_the_fit(
    forecast: Command, passengers: Path, fits: list[dict[str, Any]], tmp_path: Path
) -> None:
    check(forecast, fits, tmp_path, passengers, *SMALL, "--members", "2", "--model", "gru")


@pytest.mark.slow
@pytest.mark.parametrize("table", ["passengers", "delays", "panel"])
def test_a_bare_fit_trains_what_its_dry_run_says(
    forecast: Command,
    fits: list[dict[str, Any]],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    table: str,
) -> None:
    panel = tmp_path_factory.mktemp("panel") / "panel.csv"
    if table == "panel":
        from forecast.tables.synthetic import synthesize

        synthesize("seasonal", series=300, length=150, seed=1).to_csv(panel, index=False)
    words = {
        "passengers": (DATA / "air_passengers.csv",),
        "delays": (*DELAYS, "--horizon", "7"),
        "panel": (panel,),
    }
    check(forecast, fits, tmp_path, *words[table])


def test_people_get_a_table(
    forecast: Command,
    passengers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_training: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = forecast("fit", passengers, *SMALL, "--model", "gru", "--members", "2", "--dry-run")
    assert ran.code == 0, ran.err
    for words in (
        "layout   wide: 1 series",
        "try      2 networks in 1 round",
        "Nothing was trained or written.",
    ):
        assert words in ran.out
    assert ran.out.count("gru") == 2
    assert files(tmp_path) == []


def test_baselines_alone_train_no_network(
    forecast: Command, passengers: Path, tmp_path: Path
) -> None:
    ran = forecast(
        "fit", passengers, "--model", "theta", "--dry-run", "--artifact", tmp_path / "store"
    )
    assert ran.code == 0, ran.err
    assert "compare  1 baselines: theta" in ran.out
    assert "try      no network" in ran.out
    assert files(tmp_path) == []


def test_a_budget_bounds_the_estimate(
    forecast: Command, passengers: Path, tmp_path: Path, no_training: None
) -> None:
    words = (
        "fit",
        passengers,
        "-p",
        "hidden_size=4",
        "--budget",
        "60",
        "--artifact",
        tmp_path / "store",
    )
    found = json.loads(forecast(*words, "--dry-run", "--json").out)
    assert found["seconds"] < 65
    assert found["networks"]


def test_what_a_fit_refuses_is_refused(forecast: Command, passengers: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert (
        forecast("fit", passengers, "--dry-run", "--artifact", tmp_path / "file" / "store").code
        == 73
    )
    assert forecast("fit", passengers, "--dry-run", "--horizon", "500", "--model", "gru").code == 65
    ran = forecast("fit", passengers, "--json")
    assert ran.code == 2
    assert "--dry-run" in ran.err


def test_a_warm_start_is_rehearsed(
    forecast: Command, store: Path, passengers: Path, tmp_path: Path, no_training: None
) -> None:
    words = (
        "fit",
        passengers,
        "--warm-start",
        "--artifact",
        store,
        "--no-guard",
        *SMALL[:2],
        "-p",
        "hidden_size=8",
    )
    ran = forecast(*words, "--dry-run", "--json")
    assert ran.code == 0, ran.err
    before = json.loads(forecast("inspect", "--artifact", store, "--json").out)
    assert len(json.loads(ran.out)["networks"]) == len(before["plan"]["members"])


def test_a_short_panel_trains_the_pretrained_network_once_and_briefly(
    forecast: Command, passengers: Path, tmp_path: Path, no_training: None
) -> None:
    frame = pd.read_csv(passengers)
    frame["other"] = frame.passengers + 1.0
    frame.to_csv(tmp_path / "two.csv", index=False)
    store = tmp_path / "store"
    shown = forecast("fit", tmp_path / "two.csv", "--dry-run", "--json", "--artifact", store)
    (network,) = json.loads(shown.out)["networks"]
    assert (network["model"], network["steps"]) == ("finetuned", PRIORS.tuning_steps)
    alone = forecast("fit", passengers, "--dry-run", "--json", "--artifact", store)
    assert not json.loads(alone.out)["networks"]


def test_few_windows_are_learned_by_few_networks(
    forecast: Command, tmp_path: Path, no_training: None
) -> None:
    words = (
        "--id",
        "airport,airline",
        "--target",
        "delayed",
        "--known",
        "scheduled",
        "--horizon",
        7,
    )
    shown = forecast(
        "fit",
        DATA / "nyc_flight_delays.csv",
        *words,
        "--dry-run",
        "--json",
        "--artifact",
        tmp_path / "s",
    )
    assert len(json.loads(shown.out)["networks"]) == 4

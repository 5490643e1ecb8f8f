"""A fit that a signal stopped goes on with --resume to the artifact of a fit that nothing stopped."""

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
import pytest

from forecast.training import halving
from forecast.training.halving import RoundPriors
from forecast.training.plan import StepPriors
from forecast.training.state import TrainingState

pytestmark = pytest.mark.usefixtures("without_exports")
Command = Callable[..., "object"]
SMALL = ("--horizon", 6, "--lookback", 12, "-p", "hidden_size=4", "--baselines", "last")
GRU = ("--model", "gru", "--steps", 30, "--jobs", 1, *SMALL, "-p", "dropout=0.2")
THREE = (*GRU, "--members", 3)


@contextmanager
def signal_at(step: int, number: int = signal.SIGTERM) -> Iterator[None]:
    """Send a signal in the middle of a training step, counted over all networks."""
    taken, real = 0, TrainingState.take

    def take(self: TrainingState, batch: object) -> float:
        nonlocal taken
        taken += 1
        if taken == step:
            signal.raise_signal(number)
        return real(self, batch)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "take", take)
        yield


@pytest.fixture
def hash_of(forecast: Command) -> Callable[[Path], str]:
    def found(store: Path) -> str:
        return json.loads(forecast("inspect", "--artifact", store, "--json").out)["hash"]

    return found


@pytest.fixture(scope="module")
def wholes() -> list[str]:
    """The hash of the artifact of a fit that nothing stopped, once there is one."""
    return []


@pytest.fixture
def whole(
    forecast: Command,
    hash_of: Callable[[Path], str],
    passengers: Path,
    tmp_path: Path,
    wholes: list[str],
) -> str:
    if not wholes:
        assert forecast("fit", passengers, *THREE, "--artifact", tmp_path / "whole").code == 0
        assert not (tmp_path / "whole" / ".resume").exists()
        wholes.append(hash_of(tmp_path / "whole"))
    return wholes[0]


@pytest.mark.parametrize(
    ("step", "number", "code"), [(1, signal.SIGINT, 130), (89, signal.SIGTERM, 143)]
)
def test_a_stopped_fit_is_resumed_to_the_same_artifact(
    forecast: Command,
    hash_of: Callable[[Path], str],
    passengers: Path,
    tmp_path: Path,
    whole: str,
    step: int,
    number: int,
    code: int,
) -> None:
    store = tmp_path / "store"
    fit = ("fit", passengers, *THREE)
    forecast("fit", passengers, "--model", "last", "--artifact", store)
    live = (store / "CURRENT").read_bytes()
    with signal_at(step, number):
        stopped = forecast(*fit, "--artifact", store)
    assert stopped.code == code
    assert (
        f"training stops at step {(step - 1) % 30 + 1} of network {(step - 1) // 30 + 1}"
        in stopped.err
    )
    assert (store / "CURRENT").read_bytes() == live
    resumed = forecast(*fit, "--artifact", store, "--resume")
    assert resumed.code == 0, resumed.err
    assert "goes on from step" in resumed.err
    assert hash_of(store) == whole
    assert not (store / ".resume").exists()


def test_a_signal_passes_by_who_catches_every_exception(
    forecast: Command, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(*arguments: object) -> None:
        with suppress(Exception):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("forecast.reading.reading.infer_schema", careless)
    assert forecast("fit", passengers, "--artifact", tmp_path / "s").code == 143


class Dying:
    """Gets a signal while it is being removed, where nothing that is raised gets out."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGTERM)


def test_a_signal_within_a_finaliser_is_not_lost(
    forecast: Command, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def waiting(*arguments: object) -> None:
        Dying()
        time.sleep(5)
        pytest.fail("the signal was lost")

    monkeypatch.setattr("forecast.reading.reading.infer_schema", waiting)
    assert forecast("fit", passengers, "--artifact", tmp_path / "s").code == 143


def test_a_resumed_fit_trains_only_what_was_left(
    forecast: Command, passengers: Path, tmp_path: Path
) -> None:
    fit = ("fit", passengers, *THREE, "--artifact", tmp_path / "s")
    with signal_at(45):
        forecast(*fit)
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        real = TrainingState.take
        patch.setattr(TrainingState, "take", lambda run, batch: taken.append(1) or real(run, batch))
        assert forecast(*fit, "--resume").code == 0
    assert len(taken) == 90 - 45


def test_rounds_go_on_as_they_were_begun(
    forecast: Command,
    hash_of: Callable[[Path], str],
    passengers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(halving, "PRIORS", RoundPriors(few_networks=6))
    monkeypatch.setattr("forecast.training.plan.PRIORS", StepPriors(min_steps=20))
    fit = ("fit", passengers, *SMALL)
    assert forecast(*fit, "--artifact", tmp_path / "whole").code == 0
    members = json.loads(forecast("inspect", "--artifact", tmp_path / "whole", "--json").out)[
        "plan"
    ]["members"]
    assert len(members) > 2, "there must be a second round"
    with signal_at(members[0]["steps"] + 5):
        assert forecast(*fit, "--artifact", tmp_path / "s").code == 143
    with signal_at(members[2]["steps"] * 2):
        assert forecast(*fit, "--artifact", tmp_path / "s", "--resume").code == 143
    assert forecast(*fit, "--artifact", tmp_path / "s", "--resume").code == 0
    assert hash_of(tmp_path / "s") == hash_of(tmp_path / "whole")


@pytest.mark.slow
def test_what_a_budget_measured_is_not_measured_again(
    forecast: Command,
    hash_of: Callable[[Path], str],
    passengers: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fit = ("fit", passengers, *SMALL, "--budget", 6, "--jobs", 1)
    store, repeated = tmp_path / "s", tmp_path / "r"
    with signal_at(40):
        assert forecast(*fit, "--artifact", store).code == 143
    (folder,) = (store / ".resume").iterdir()
    planned = json.loads(
        (folder / "plan").read_bytes().split(b"\n", 1)[1].split(b"\n}\n")[0] + b"}"
    )
    monkeypatch.setattr("forecast.training.fitting.Fitter.cost", None)  # whatever measures fails
    # and there is no round after the first
    monkeypatch.setattr(halving, "PRIORS", RoundPriors(most_networks=0))
    resumed = forecast(*fit, "--artifact", store, "--resume")
    assert resumed.code == 0, resumed.err
    monkeypatch.undo()
    members = json.loads(forecast("inspect", "--artifact", store, "--json").out)["plan"]["members"]
    assert [{**one, "cut": None} for one in members] == planned["rounds"][0]
    assert forecast("fit", passengers, *SMALL, "--plan", store, "--artifact", repeated).code == 0
    assert hash_of(repeated) == hash_of(store)


def test_other_data_and_other_settings_start_anew(
    forecast: Command, passengers: Path, tmp_path: Path
) -> None:
    fit = ("--artifact", tmp_path / "s", *GRU, "--members", 1)
    nothing = forecast("fit", passengers, *fit, "--resume")
    assert nothing.code == 0
    assert "nothing to resume" in nothing.err
    with signal_at(3):
        forecast("fit", passengers, *fit)
    with signal_at(3):
        assert "--resume would go on" in forecast("fit", passengers, *fit).err
    other = forecast("fit", passengers, *fit, "--resume", "--learning-rate", 0.01)
    assert other.code == 0
    assert "another plan" in other.err
    changed = tmp_path / "changed.csv"
    frame = pd.read_csv(passengers)
    frame.iloc[3, 1] += 1
    frame.to_csv(changed, index=False)
    moved = forecast("fit", changed, *fit, "--resume")
    assert moved.code == 0
    assert "other data" in moved.err
    assert forecast("fit", passengers, *fit, "--resume").code == 0
    assert not (tmp_path / "s" / ".resume").exists()


def test_a_damaged_checkpoint_is_left_alone(
    forecast: Command, hash_of: Callable[[Path], str], passengers: Path, tmp_path: Path, whole: str
) -> None:
    fit = ("fit", passengers, *THREE)
    with signal_at(70):
        forecast(*fit, "--artifact", tmp_path / "s")
    for file in (tmp_path / "s" / ".resume").glob("*/*"):
        data = file.read_bytes()
        file.write_bytes(data[:-9] + b"X" + data[-8:])
    resumed = forecast(*fit, "--artifact", tmp_path / "s", "--resume")
    assert resumed.code == 0, resumed.err
    assert resumed.err.count("differs from its checksum") == 4
    assert hash_of(tmp_path / "s") == whole

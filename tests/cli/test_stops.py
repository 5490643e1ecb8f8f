"""A fit that a signal stops ends with its code, and leaves the live version as it was."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from forecast.training.loop import TrainingState

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


@pytest.mark.parametrize(
    ("step", "number", "code"), [(1, signal.SIGINT, 130), (89, signal.SIGTERM, 143)]
)
def test_a_stopped_fit_leaves_the_live_version(
    forecast: Command,
    passengers: Path,
    tmp_path: Path,
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


def test_a_signal_passes_by_who_catches_every_exception(
    forecast: Command, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(*arguments: object) -> None:
        with suppress(Exception):
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr("forecast.panel.infer.infer_schema", careless)
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

    monkeypatch.setattr("forecast.panel.infer.infer_schema", waiting)
    assert forecast("fit", passengers, "--artifact", tmp_path / "s").code == 143

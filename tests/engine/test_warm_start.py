"""A warm start goes on from an earlier fit, with fewer steps, honestly; where that does not fit it starts cold."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest
import torch

from forecast import Forecaster
from forecast.artifacts.store import Store
from forecast.training.loop import TrainingState
from forecast.training.plan import Member

Command = Callable[..., "object"]
SMALL = {"horizon": 6, "guard": False, "params": {"hidden_size": 4}, "jobs": 1}


def table(days: int, shops: tuple[str, ...] = ("a", "b", "c")) -> pd.DataFrame:
    """Shops with a week, of a given number of days."""
    day = np.arange(days)
    parts = []
    for number, shop in enumerate(shops):
        values = (
            50
            + 10 * number
            + 8 * np.sin(2 * np.pi * (day + number) / 7)
            + np.sin(day * (1.7 + number))
        )
        parts.append(
            pd.DataFrame(
                {"shop": shop, "day": pd.date_range("2024-01-01", periods=days), "units": values}
            )
        )
    return pd.concat(parts)


def fitted(frame: pd.DataFrame, start: Forecaster | None = None, **more: object) -> Forecaster:
    knobs = {
        **SMALL,
        "model": "gru",
        "members": 2,
        "steps": 8,
        "warm_start": start is not None,
        **more,
    }
    return Forecaster(**knobs).fit(frame, start=start)


@pytest.fixture(scope="module")
def live() -> Forecaster:
    return fitted(table(100))


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, logger="forecast")
    return caplog


def test_a_second_fit_goes_on_from_the_first(live: Forecaster, tmp_path: Path) -> None:
    again = fitted(table(107), live)
    hash_of_live = live.save(str(tmp_path / "s")).hash
    assert again.plan_.started_from == hash_of_live
    assert [member.warm for member in again.plan_.members] == [1, 1]
    itself = Forecaster(**{**SMALL, "model": "gru", "members": 2, "steps": 8, "warm_start": True})
    itself.fit(table(100)).fit(table(107))
    pd.testing.assert_frame_equal(itself.predict(), again.predict(), check_exact=True)
    cold = fitted(table(107))
    assert cold.plan_.started_from is None
    assert cold.fitted_.config.validation != again.fitted_.config.validation
    third = fitted(table(110), again)
    assert [member.warm for member in third.plan_.members] == [2, 2]
    assert third.plan_.started_from not in (None, hash_of_live)


def test_it_takes_clearly_fewer_steps() -> None:
    knobs = {"model": "linear", "params": None, "steps": None, "members": 1}
    cold = fitted(table(60), **knobs)
    warm = fitted(table(61), cold, **knobs)
    assert warm.plan_.members[0].steps <= 0.5 * cold.plan_.members[0].steps
    again = fitted(table(62), warm, **knobs)
    assert again.plan_.members[0].steps == warm.plan_.members[0].steps


def test_without_the_setting_an_earlier_fit_changes_nothing(live: Forecaster) -> None:
    cold = fitted(table(107))
    same = fitted(table(107), live, warm_start=False)
    pd.testing.assert_frame_equal(same.predict(), cold.predict(), check_exact=True)


def test_it_never_starts_from_weights_that_saw_what_is_held_out(live: Forecaster) -> None:
    begun: list[dict[str, torch.Tensor]] = []
    real = TrainingState.__init__

    def watched(self: TrainingState, network: torch.nn.Module, *rest: object) -> None:
        begun.append({name: value.clone() for name, value in network.state_dict().items()})
        real(self, network, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "__init__", watched)
        fitted(table(107), live)
    for weights, base, final in zip(
        begun, live.fitted_.base_weights, live.fitted_.network_weights, strict=True
    ):
        assert all(np.array_equal(value.numpy(), base[name]) for name, value in weights.items())
        assert any(not np.array_equal(base[name], final[name]) for name in base)


def test_values_that_were_trained_on_are_not_held_out(
    live: Forecaster, told: pytest.LogCaptureFixture
) -> None:
    again = fitted(table(90), live)  # what is held out now lies before what was held out then
    assert again.plan_.started_from is None
    assert "held out now" in told.text


def test_what_it_brings_is_never_made_worse_by_training(live: Forecaster) -> None:
    start = fitted(table(107), live, learning_rate=1e-9)
    ruined = fitted(table(107), live, learning_rate=1.0)
    assert all(
        a <= b * (1 + 1e-6)
        for a, b in zip(
            ruined.fitted_.config.validation, start.fitted_.config.validation, strict=True
        )
        if a is not None and b is not None
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"horizon": 5}, "its horizon is 6, not 5"),
        ({"lookback": 9}, "its lookback"),
        ({"params": {"hidden_size": 5}}, "another params"),
        ({"model": "lstm"}, "another model"),
        ({"loss": "mae"}, "another loss"),
        ({"members": 3}, "it has 2 networks, not 3"),
        ({"season": (5,)}, "reads tables differently"),
    ],
)
def test_where_it_does_not_fit_it_starts_cold_and_says_so(
    live: Forecaster, told: pytest.LogCaptureFixture, changed: dict[str, object], reason: str
) -> None:
    warm = fitted(table(107), live, **changed)
    assert reason in told.text
    cold = fitted(table(107), **changed)
    assert warm.plan_ == cold.plan_
    pd.testing.assert_frame_equal(warm.predict(), cold.predict(), check_exact=True)


def test_a_forecaster_without_networks_is_no_start(told: pytest.LogCaptureFixture) -> None:
    cold = fitted(table(107))
    assert fitted(table(107), fitted(table(100), model="theta", params=None)).plan_ == cold.plan_
    assert "no network has a share" in told.text


def test_new_and_lost_series_keep_what_belongs_to_each() -> None:
    knobs = {"model": "esrnn", "members": 1, "steps": 30, "learning_rate": 0.05, "season": 7}
    live = fitted(table(100), **knobs)
    rows = live.fitted_.base_weights[0]["own.weight"]  # [1 + series, coefficients]
    assert len(rows) == 4
    assert np.abs(rows[1:]).min() > 0
    begun: list[np.ndarray] = []
    real = TrainingState.__init__

    def watched(self: TrainingState, network: torch.nn.Module, *rest: object) -> None:
        begun.append(network.own.weight.detach().numpy().copy())  # type: ignore[union-attr]
        real(self, network, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "__init__", watched)
        frame = table(107, ("a", "b", "c", "d"))
        again = fitted(frame[frame["shop"] != "b"].replace({"shop": {"d": "aa"}}), live, **knobs)
    assert again.plan_.started_from is not None
    np.testing.assert_array_equal(begun[0], rows[[0, 1, 0, 3]])  # nobody, a, aa, c


def test_the_command_line_goes_on_from_the_live_version(
    forecast: Command, passengers: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    fit = (
        "fit",
        passengers,
        "--artifact",
        store,
        *split("--no-guard -p hidden_size=4 --steps 20 --jobs 1"),
    )
    cold = forecast(*fit, "--warm-start")
    assert cold.code == 0
    assert "starts from scratch" in cold.err
    (first,) = Store(store).versions()
    warm = forecast(*fit, "--warm-start")
    assert warm.code == 0, warm.err
    assert "nothing" not in warm.err
    shown = forecast("inspect", "--artifact", store).out
    assert f"start    from the networks of {first.hash}, 1 warm start\n" in shown
    assert (
        json.loads(forecast("inspect", "--artifact", store, "--json").out)["plan"]["started_from"]
        == first.hash
    )
    assert forecast("predict", "--artifact", store).code == 0
    loaded = Forecaster.load(str(store)).set_params(warm_start=True, steps=20)
    frame = pd.read_csv(passengers)
    assert loaded.fit(frame).plan_.members[0].warm == 2


@pytest.mark.slow
def test_a_backtest_with_fits_at_each_origin_goes_on_from_one_to_the_next() -> None:
    warm = fitted(table(100), **{"warm_start": True, "jobs": 2})
    generations: list[int] = []
    real = TrainingState.__init__

    def watched(
        self: TrainingState,
        network: torch.nn.Module,
        settings: object,
        member: Member,
        *rest: object,
    ) -> None:
        generations.append(member.warm)
        real(self, network, settings, member, *rest)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingState, "__init__", watched)
        warm.set_params(members=1).backtest(table(100), windows=3, refit=True)
    assert generations == [0, 1, 2]

"""Forecasts of the pretrained network: any length, any horizon, any scale, nothing of the future."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecast.errors import ArtifactRefused
from forecast.pretrained import forecasting
from forecast.pretrained.features import compute_features
from forecast.pretrained.forecasting import (
    FILE,
    HOURS_FILE,
    Network,
    forecast_quantiles,
    how_it_was_made,
    load_network,
    network_for,
)
from forecast.pretrained.network import LEVELS, build_tokens, run

NETWORK = load_network()
MIDDLE = LEVELS.index(0.5)


def _sine(steps: int, season: int = 12) -> np.ndarray:
    return 100 + 10 * np.sin(2 * np.pi * np.arange(steps) / season)


def _forecast(
    values: np.ndarray, horizon: int = 12, seasons: tuple[int, ...] = (12,)
) -> np.ndarray:
    values = np.atleast_2d(values)
    return forecast_quantiles(NETWORK, np.nan_to_num(values), ~np.isnan(values), horizon, seasons)


@given(
    steps=st.integers(1, 300),
    horizon=st.integers(1, 90),
    season=st.integers(1, 60),
    scale=st.sampled_from([1e-6, 1.0, 1e9]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_any_past_is_forecast_with_quantiles_in_order(
    steps: int, horizon: int, season: int, scale: float, seed: int
) -> None:
    values = scale * np.random.default_rng(seed).normal(5, 2, (3, steps))
    quantiles = _forecast(values, horizon, (season,))
    assert quantiles.shape == (3, horizon, len(LEVELS))
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=-1) >= 0).all()


def test_a_season_is_continued() -> None:
    ahead = _sine(132)[120:]
    median = _forecast(_sine(120))[0, :, MIDDLE]
    assert np.abs(median - ahead).mean() < 1.0  # a tenth of the amplitude


def test_a_line_is_continued() -> None:
    median = _forecast(np.arange(60.0), 6, ())[0, :, MIDDLE]
    assert np.abs(median - np.arange(60, 66)).max() < 2.5


@pytest.mark.parametrize("added", [300, 1000, 10_000])
def test_a_constant_added_to_all_values_is_added_to_forecasts(added: float) -> None:
    noise = np.random.default_rng(0).normal(0, 5, (4, 120))
    values = _sine(120) + noise
    plain = _forecast(values)
    moved = _forecast(values + added) - added
    assert np.abs(moved[..., MIDDLE] / plain[..., MIDDLE] - 1).max() < 0.01
    widths, widths_moved = (table[..., -1] - table[..., 0] for table in (plain, moved))
    assert np.abs(widths_moved.mean(1) / widths.mean(1) - 1).max() < 0.02


def test_shift_and_scale_of_a_series_shift_and_scale_its_forecast() -> None:
    values = np.random.default_rng(0).normal(size=(4, 80)).cumsum(1)
    plain, moved = _forecast(values), _forecast(1000 + 50 * values)
    spread = plain[..., -1] - plain[..., 0]
    # the network sees how far from zero a series lies
    assert (np.abs((moved - 1000) / 50 - plain)[..., MIDDLE] < spread).all()


def test_the_mirror_image_of_a_series_has_the_mirror_image_of_its_forecast() -> None:
    values = np.random.default_rng(1).normal(3, 1, (2, 70))
    assert _forecast(-values) == pytest.approx(-_forecast(values)[..., ::-1])


def test_a_network_of_an_earlier_release_reads_the_whole_past_both_ways() -> None:
    earlier = load_network(NETWORK.data.replace(b'"architecture":"2"', b'"architecture":"1"'))
    values = 9 + np.random.default_rng(5).normal(size=(2, 1024))
    changed = np.concatenate(
        [values[:, :600] + 0.4 * (np.arange(600) % 5 == 0), values[:, 600:]], 1
    )
    seen = np.ones(values.shape, bool)

    def forecast(network: Network, past: np.ndarray) -> np.ndarray:
        return forecast_quantiles(network, past, seen, 8, (7,))

    assert forecast(earlier, -values) == pytest.approx(-forecast(earlier, values)[..., ::-1])
    assert not np.allclose(forecast(earlier, values), forecast(NETWORK, values), rtol=1e-3)
    assert not np.allclose(forecast(earlier, values), forecast(earlier, changed))


def test_windows_forecast_together_are_forecast_as_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    values = np.full((9, 200), np.nan)
    for row, steps in enumerate([3, 200, 40, 41, 39, 120, 8, 9, 64]):
        values[row, -steps:] = rng.normal(10, 3, steps)
    together = _forecast(values)
    monkeypatch.setattr(forecasting, "NETWORK_CELLS_AT_ONCE", 300)
    assert _forecast(values) == pytest.approx(together, rel=1e-4, abs=1e-3)
    for row in range(9):
        assert _forecast(values[row])[0] == pytest.approx(together[row], rel=1e-4, abs=1e-3)


def test_the_past_before_what_the_network_reads_does_not_count() -> None:
    values = np.random.default_rng(3).normal(size=1500)
    changed = np.concatenate([values[:-1024] + 100, values[-1024:]])
    assert np.array_equal(_forecast(values, seasons=(7,)), _forecast(changed, seasons=(7,)))


def test_features_of_the_past_do_not_depend_on_the_horizon() -> None:
    values = np.random.default_rng(4).normal(size=(3, 64))
    seasons = np.array([[12, 0, 12], [1, 0, 70], [7, 28, 7]])
    near, far = (
        compute_features(values, np.ones((3, 64), bool), seasons, horizon) for horizon in (8, 40)
    )
    assert np.array_equal(near.steps[:, :64], far.steps[:, :64])
    assert np.array_equal(near.summary, far.summary)


def test_steps_before_the_newest_come_as_means_of_those_observed() -> None:
    values, seen = np.random.default_rng(4).normal(size=(3, 256)), np.ones((3, 256), bool)
    seen[:, 96:110] = seen[1, :70] = False
    seasons = np.array([[12, 0, 12], [1, 0, 70], [7, 28, 7]])
    whole, recent = (
        compute_features(values, seen, seasons, 8),
        compute_features(values, seen, seasons, 8, 64),
    )
    assert (recent.coarse, recent.context, whole.coarse) == (16, 64, 0)
    assert np.array_equal(recent.steps[:, 16:], whole.steps[:, 192:])
    assert np.array_equal(recent.summary, whole.summary)
    scaled = np.where(seen, whole.steps[:, :256, 0], np.nan)[:, :192].reshape(3, 12, 16)
    blocks = np.isfinite(scaled).any(2)
    assert recent.steps[:, 4:16, 0][blocks] == pytest.approx(
        np.nanmean(scaled[blocks], 1), abs=1e-5
    )
    assert not recent.steps[:, :4, :4].any()


def test_gaps_and_a_silent_end_are_bridged() -> None:
    values = _sine(120)
    values[30:41] = np.nan
    values[-4:] = np.nan
    median = _forecast(values)[0, :, MIDDLE]
    assert np.abs(median - _sine(132)[120:]).mean() < 2.5


@pytest.mark.parametrize("file", [FILE, HOURS_FILE])
def test_the_weights_are_those_that_were_recorded(file: str) -> None:
    assert load_network(file=file).hash == how_it_was_made(file)["sha256"]
    assert len(load_network(file=file).data) < 1_500_000


@pytest.mark.parametrize("seasons", [(24, 168), (24,), (48, 336), (96, 672)])
def test_hours_and_parts_of_them_have_a_network_of_their_own(seasons: tuple[int, ...]) -> None:
    assert network_for(seasons).hash == how_it_was_made(HOURS_FILE)["sha256"]


@pytest.mark.parametrize("seasons", [(), (1,), (7, 365), (12,), (52,), (168,), (1440,)])
def test_other_seasons_have_the_network_for_all(seasons: tuple[int, ...]) -> None:
    assert network_for(seasons).hash == how_it_was_made(FILE)["sha256"]


def test_the_network_of_hours_knows_them_better() -> None:
    """Days that grow and shrink with the year, and weekends of another shape."""
    rng, hour = np.random.default_rng(6), np.arange(1072)
    phase, weekend = 2 * np.pi * hour / 24, hour // 24 % 7 > 4
    days = np.exp(
        1.5 * np.sin(phase + rng.uniform(0, 6, (40, 1)))
        + np.sin(2 * phase + rng.uniform(0, 6, (40, 1)))
    )
    other = np.exp(np.sin(phase + rng.uniform(0, 6, (40, 1))))
    size = np.exp(
        0.4 * np.sin(hour / 300 + rng.uniform(0, 6, (40, 1))) + 0.05 * rng.normal(size=(40, 1072))
    )
    values = size * np.where(weekend & (np.arange(40) % 2 == 0)[:, None], other, days)

    def error(network: Network) -> float:
        seen = np.ones((40, 1024), bool)
        median = forecast_quantiles(network, values[:, :1024], seen, 48, (24, 168))[..., MIDDLE]
        return float(np.abs(median - values[:, 1024:]).mean())

    assert error(network_for((24, 168))) < 0.95 * error(NETWORK)


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasting, "how_it_was_made", lambda file: {"sha256": "0" * 64})
    load_network.cache_clear()
    with pytest.raises(ArtifactRefused, match="another hash"):
        load_network()
    load_network.cache_clear()
    with pytest.raises(ArtifactRefused):
        load_network(b"no weights")


def test_weights_of_another_architecture_are_refused() -> None:
    data = load_network().data.replace(b'"architecture":"2"', b'"architecture":"7"')
    with pytest.raises(ArtifactRefused, match="another release"):
        load_network(data)


def test_the_network_takes_little_memory_beside_its_inputs() -> None:
    """What is computed of one token fits into a cache, and waits for no other token."""
    values = np.tile(_sine(256, 7), (64, 1))
    features = compute_features(
        values, np.ones(values.shape, bool), np.tile([7, 0, 7], (64, 1)), 16, 64
    )
    tracemalloc.start()
    run(NETWORK.layers, features)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    tokens = build_tokens(features)
    assert peak < 2.8 * tokens.nbytes
    assert tokens.transpose(1, 2, 0).flags.c_contiguous  # token by token, as it reads them

"""Window scales, transforms and lags."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast import Forecaster
from forecast.panel.lookback import choose_lags, choose_lookback
from forecast.panel.panel import Panel
from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize
from forecast.windows.scaling import scale_windows
from forecast.windows.transforms import apply_power, fit_power, undo_power

SCALINGS = ["standard", "robust", "mean", "last", "none"]
finite = st.floats(-1e6, 1e6, width=32)


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


@pytest.mark.parametrize("scaling", SCALINGS)
@given(values=arrays(np.float32, (3, 12), elements=finite), seen=arrays(np.bool_, (3, 12)))
def test_a_scale_is_positive_and_undone_exactly_enough(scaling: str, values: np.ndarray, seen: np.ndarray) -> None:
    past, spread = values.astype(np.float64), np.abs(values).max(1)
    location, scale, weight = scale_windows(past, seen, spread, scaling)
    assert (scale > 0).all()
    assert np.isfinite(location).all()
    assert ((weight >= 0) & (weight <= 1)).all()
    back = location + scale * ((past - location) / scale)
    np.testing.assert_allclose(back, past, rtol=1e-9, atol=1e-6)
    arrays = scale_windows(*map(torch.from_numpy, (past, seen, spread)), scaling)
    for ours, other in zip((location, scale, weight), arrays, strict=True):
        np.testing.assert_allclose(other.numpy(), ours, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("scaling", SCALINGS)
def test_masked_values_reach_no_scale(scaling: str) -> None:
    past = torch.randn(4, 20, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(4, 20, dtype=torch.bool)
    mask[:, ::3] = False
    changed = torch.where(mask, past, 1e9)
    for one, other in zip(
        scale_windows(past, mask, past.std(1), scaling), scale_windows(changed, mask, past.std(1), scaling), strict=True
    ):
        assert torch.equal(one, other)


def test_a_flat_window_of_a_series_that_moved_takes_the_scale_of_its_past() -> None:
    flat = torch.zeros(1, 10)
    _, scale, weight = scale_windows(flat, torch.ones(1, 10, dtype=torch.bool), torch.tensor([3.0]), "standard")
    assert float(scale) == 3.0
    assert 0 < float(weight) <= 1


@given(st.lists(st.lists(st.floats(-1e5, 1e5, width=32), min_size=2, max_size=30), min_size=1, max_size=5))
def test_expanding_std_is_the_deviation_of_the_past_alone(series: list[list[float]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
    values = np.concatenate(series).astype(np.float64)
    none = np.zeros((len(values), 0))
    panel = Panel(
        ids=tuple((str(i),) for i in range(len(series))),
        order=np.arange(len(series)),
        offsets=offsets,
        starts=np.zeros(len(series), np.int64),
        ahead=0,
        values=values,
        observed=np.ones(len(values), bool),
        known=none,
        past=none,
        static=np.zeros((len(series), 0)),
    )
    spread = panel.expanding_std()
    for i, one in enumerate(series):
        own = np.array(one)
        expected = [own[: k + 1].std() for k in range(len(own))]
        size = np.abs(own - own[0]).max()
        np.testing.assert_allclose(spread[offsets[i] : offsets[i + 1]], expected, rtol=1e-3, atol=1e-6 * size + 1e-30)


@pytest.mark.parametrize("power", [0.0, 0.2, 0.5, 1.0])
def test_a_transform_is_undone(power: float) -> None:
    values = np.array([0.01, 1, 7, 1e5])
    values = values if power == 0 else np.concatenate([-values, values])
    moved = apply_power(values, np.ones(len(values), bool), power)
    np.testing.assert_allclose(undo_power(moved, power), values, rtol=1e-4)
    assert (np.diff(undo_power(np.sort(moved), power)) > 0).all()


def test_the_power_evens_out_what_grows_with_the_level() -> None:
    time = pd.date_range("2000-01-01", periods=240, freq="MS")
    level = np.exp(np.linspace(0, 4, 240))
    growing = pd.DataFrame({"time": time, "y": level * (1 + 0.3 * np.sin(np.arange(240) * np.pi / 6))})
    steady = pd.DataFrame({"time": time, "y": 10 * np.linspace(1, 9, 240) + 5 * np.sin(np.arange(240) * np.pi / 6)})
    assert fit_power("power", panel_of(growing), 12, panel_of(growing).lengths) < 0.2
    assert fit_power("power", panel_of(steady), 12, panel_of(steady).lengths) > 0.8


def test_a_week_of_hours_is_found_where_it_is() -> None:
    hours = synthesize("multi-season", series=2, length=1400)
    assert choose_lags(panel_of(hours), (24,)) == (24, 168)
    daily = pd.DataFrame({"time": pd.date_range("2024-01-01", periods=800, freq="h")})
    noise = np.random.default_rng(0).normal(size=800).cumsum()
    daily["y"] = 10 * np.sin(np.arange(800) * 2 * np.pi / 24) + noise
    assert choose_lags(panel_of(daily), (24,)) == (24,)


@given(st.integers(1, 500), st.lists(st.integers(2, 400), max_size=2, unique=True), st.integers(1, 5000))
def test_a_lookback_holds_a_season_and_no_padding(horizon: int, seasons: list[int], longest: int) -> None:
    lookback = choose_lookback(horizon, tuple(sorted(seasons)), longest)
    assert 1 <= lookback <= max(1, longest - 1)
    if longest > 5000 // 2 and seasons:
        assert lookback >= min(min(seasons), 168)


def test_units_of_the_target_do_not_matter() -> None:
    frame = synthesize("seasonal", series=2, length=60)
    knobs = {"horizon": 4, "steps": 10, "params": {"hidden_size": 8}}
    one = Forecaster(**knobs).fit(frame).predict()
    thousand = Forecaster(**knobs).fit(frame.assign(value=frame["value"] * 1024)).predict()
    np.testing.assert_allclose(thousand["forecast"] / 1024, one["forecast"], rtol=1e-4)

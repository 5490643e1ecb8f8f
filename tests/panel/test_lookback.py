"""Lags and lookback of a panel."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from forecast.panel.panel import Panel
from forecast.panel.season import choose_lags, choose_lookback
from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


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

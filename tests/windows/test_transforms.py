"""The transform of the target: how its power is found, and that it is undone."""

import numpy as np
import pandas as pd
import pytest

from forecast.panel.panel import Panel
from forecast.reading.reading import read, read_as
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.windows.inputs import apply_power, fit_power, undo_power


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


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

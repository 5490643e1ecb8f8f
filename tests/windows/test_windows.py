"""Windows: numpy and torch gather the same batch, and padding repeats the last window."""

from dataclasses import fields

import numpy as np
import pandas as pd
import pytest
import torch

from forecast.panel.infer import read
from forecast.panel.schema import build_calendar
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.training.devices import on_device
from forecast.windows.inputs import fit_statistics, make_columns
from forecast.windows.windows import Batch, Windows


def windows_of(frame: pd.DataFrame, scaling: str) -> Windows:
    table = table_from_frame(frame)
    settings = TableSettings(target=("units",), known=("promo",), past=("price",), static=("size",))
    reading = read(table, settings, horizon=5)
    panel, schema = reading.panel, reading.schema
    columns = make_columns(
        panel, schema, fit_statistics(panel, schema, panel.lengths), build_calendar(schema)
    )
    return Windows(panel, columns, 5, (7, 14), np.arange(1, len(panel) + 1)).cut(14, scaling)


@pytest.mark.parametrize("scaling", ["standard", "robust", "mean", "last", "none"])
def test_numpy_and_torch_gather_the_same_batch(panel_frame: pd.DataFrame, scaling: str) -> None:
    units = panel_frame["units"].where(panel_frame.index % 9 > 0)
    units[:30] = np.nan  # the first windows of the first series hold no value
    windows = windows_of(panel_frame.assign(units=units), scaling)
    series, position = np.repeat(np.arange(4), 20), np.tile(np.arange(0, 80, 4), 4)
    ours = windows.batch(series, position)
    theirs = windows.to(on_device(torch.device("cpu"))).batch(
        torch.from_numpy(series), torch.from_numpy(position)
    )
    for field in fields(Batch):
        one, other = getattr(ours, field.name), getattr(theirs, field.name)
        assert isinstance(one, np.ndarray)
        assert isinstance(other, torch.Tensor)
        assert other.numpy().dtype == one.dtype, field.name
        np.testing.assert_allclose(other.numpy(), one, rtol=1e-5, atol=1e-6, err_msg=field.name)


def test_padding_repeats_the_last_window_and_changes_no_other(panel_frame: pd.DataFrame) -> None:
    batch = windows_of(panel_frame, "standard").batch(np.array([0, 1, 2]), np.array([40, 50, 60]))
    padded = batch.pad(8)
    for field in fields(Batch):
        one, other = getattr(batch, field.name), getattr(padded, field.name)
        np.testing.assert_array_equal(other[:3], one)
        np.testing.assert_array_equal(other[3:], np.repeat(one[-1:], 5, 0))
    assert [len(part) for part in padded.split(3)] == [3, 3, 2]


def test_a_forecast_of_zero_is_zero_whatever_rounds_on_the_way(panel_frame: pd.DataFrame) -> None:
    frame = panel_frame.assign(units=panel_frame["units"].abs() + 1)
    batch = windows_of(frame, "standard").batch(np.array([0, 1]), np.array([60, 60]))
    zero = -(batch.location / batch.scale).astype(np.float32)[..., None]
    assert not batch.unscale(zero).any()
    assert (batch.unscale(zero * np.float32(1 - 1e-5)) > 0).all()

"""Window scales."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecast import Forecaster
from forecast.panel.infer import read, read_as
from forecast.panel.panel import Panel
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize
from forecast.windows.scaling import scale_windows

SCALINGS = ["standard", "robust", "mean", "last", "none"]
finite = st.floats(-1e6, 1e6, width=32)


def panel_of(frame: pd.DataFrame, ahead: int = 5) -> Panel:
    table = table_from_frame(frame)
    return read_as(table, read(table, TableSettings()).schema, horizon=ahead).panel


@pytest.mark.parametrize("scaling", SCALINGS)
@given(values=arrays(np.float32, (3, 12), elements=finite), seen=arrays(np.bool_, (3, 12)))
def test_a_scale_is_positive_and_undone_exactly_enough(
    scaling: str, values: np.ndarray, seen: np.ndarray
) -> None:
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
        scale_windows(past, mask, past.std(1), scaling),
        scale_windows(changed, mask, past.std(1), scaling),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_a_flat_window_of_a_series_that_moved_takes_the_scale_of_its_past() -> None:
    flat = torch.zeros(1, 10)
    _, scale, weight = scale_windows(
        flat, torch.ones(1, 10, dtype=torch.bool), torch.tensor([3.0]), "standard"
    )
    assert float(scale) == 3.0
    assert 0 < float(weight) <= 1


def test_units_of_the_target_do_not_matter() -> None:
    frame = synthesize("seasonal", series=2, length=60)
    knobs = {"horizon": 4, "steps": 10, "params": {"hidden_size": 8}}
    one = Forecaster(**knobs).fit(frame).predict()
    thousand = Forecaster(**knobs).fit(frame.assign(value=frame["value"] * 1024)).predict()
    np.testing.assert_allclose(thousand["forecast"] / 1024, one["forecast"], rtol=1e-4)

"""What sums of forecasts rest on: errors at common origins of the past, as far as a budget has time for them."""

import time
from dataclasses import replace

import numpy as np
import pytest

from forecast.engine.sums import add_joint_errors
from forecast.inference.fitted import Fitted
from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.totals._sales import IDS, fitted, sales

Fit = tuple[Fitted, Panel]


@pytest.fixture(scope="module")
def fit() -> Fit:
    frame = sales(3, 300)
    return fitted(frame).fitted_, read(
        table_from_frame(frame), TableSettings(id=IDS), horizon=28
    ).panel


def test_a_later_value_changes_no_error_of_an_earlier_window(fit: Fit) -> None:
    fitted, panel = fit
    late = panel.before(panel.lengths) & ~panel.before(panel.lengths - 20)
    changed = replace(panel, values=np.where(late, 3 * panel.values, panel.values))
    one, other = (add_joint_errors(fitted, table, "cpu").joint for table in (panel, changed))
    assert one is not None
    assert other is not None
    assert fitted.joint is not None
    np.testing.assert_array_equal(one.values, fitted.joint.values)
    reaches = (
        np.arange(len(one.values))[::-1] * one.stride
    )  # steps between the ends of windows and of the series
    np.testing.assert_array_equal(one.values[reaches >= 20], other.values[reaches >= 20])
    assert (one.values[reaches < 20] != other.values[reaches < 20]).any((1, 2)).all()


def test_a_deadline_that_has_passed_leaves_no_time_for_an_origin(fit: Fit) -> None:
    late = add_joint_errors(*fit, "cpu", time.monotonic() - 1.5)
    assert late.config.plan.origins == 0
    assert late.joint is not None
    assert late.joint.values.shape[0] == 0

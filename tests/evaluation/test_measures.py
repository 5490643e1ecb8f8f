"""Tables of measures, from forecasts whose errors are worked out by hand."""

from types import SimpleNamespace

import numpy as np

from forecast.evaluation.metrics import REFERENCE, Evaluation, in_sample_errors, measure_frames
from tests.evaluation.panels import NAN, panel_of

PANEL = panel_of((0, [1.0, 3, 5, 7]), (0, [10.0, 10, 14, 10]), horizon=2)


def test_units_are_errors_of_seasonal_naive_up_to_the_origin() -> None:
    absolute, squared = in_sample_errors(PANEL, np.array([3, 2]), 1)
    np.testing.assert_allclose(absolute, [2, 2])  # 2, 2, 2; and 0, 4 without the last change
    np.testing.assert_allclose(squared, [4, 8])


def test_rows_are_by_model_series_and_step() -> None:
    actual = np.array([[[1.0, 2]], [[3.0, NAN]]])  # [series, origins, horizon]
    numbers = {REFERENCE: actual[..., None] + 4, "mine": actual[..., None] + 1}
    schema = SimpleNamespace(ids=("shop",))
    scale = np.array([2.0, 1.0])
    overall, by_series, by_step = measure_frames(
        Evaluation(PANEL, schema, actual, numbers, (), scale, scale, np.zeros(actual.shape, bool))
    )
    assert overall["model"].tolist() == [REFERENCE, "mine"]
    np.testing.assert_allclose(overall["mae"], [4, 1])
    np.testing.assert_allclose(overall["mase"], [8 / 3, 2 / 3])  # 1/2, 1/2 and 1, over three values
    np.testing.assert_allclose(overall["skill"], [0, 0.75])
    assert by_series["shop"].tolist() == ["a", "a", "b", "b"]
    np.testing.assert_allclose(by_series["mase"], [2, 0.5, 4, 1])
    assert by_step["step"].tolist() == [1, 1, 2, 2]
    np.testing.assert_allclose(by_step["mase"], [3, 0.75, 2, 0.5])

"""The ensemble that a choice makes: its components, its scores, and quantiles of windows that were not held out."""

from dataclasses import replace

import numpy as np
import pytest

from forecast.ensemble.baseline_forecasts import BaselineForecasts
from forecast.ensemble.ensemble import CHOSEN, NETWORKS, Ensemble, Networks, choose_ensemble
from forecast.ensemble.validation import ValidationSet
from forecast.metrics.quantiles import LEVELS
from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.panel.schema import Schema
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.tables.synthetic import synthesize
from forecast.windows.inputs import Inputs, Transform, fit_statistics, make_inputs

HORIZON, LOOKBACK, CONTEXT, ORIGINS = 6, 24, 60, 4


@pytest.fixture(scope="module")
def inputs() -> Inputs:
    """Four noisy weekly series, ready for baselines."""
    frame = synthesize("seasonal", series=4, length=120, seed=3)
    frame["value"] += np.random.default_rng(0).normal(scale=3.0, size=len(frame))
    reading = read(table_from_frame(frame), TableSettings(season=(7,)), horizon=HORIZON)
    panel: Panel = reading.panel
    schema: Schema = reading.schema
    statistics = fit_statistics(panel, schema, panel.lengths)
    return make_inputs(
        panel,
        schema,
        statistics,
        transform=Transform(1.0),
        lags=(7,),
        levels=LEVELS,
        ids=panel.ids,
        horizon=HORIZON,
    )


@pytest.fixture(scope="module")
def validation(inputs: Inputs) -> ValidationSet:
    """The newest windows of each series, one horizon apart."""
    ends = inputs.panel.lengths[:, None] - HORIZON * np.arange(ORIGINS, 0, -1)
    windows = np.repeat(np.arange(len(ends)), ORIGINS), ends.ravel().astype(np.int64)
    return ValidationSet.measure(inputs, windows, LOOKBACK, "mase", CONTEXT)


@pytest.fixture(scope="module")
def baselines(inputs: Inputs, validation: ValidationSet) -> BaselineForecasts:
    return BaselineForecasts.compute(
        inputs, validation, ("last", "seasonal-mean"), CONTEXT, None, None
    )


def around(points: np.ndarray, width: float = 1.0) -> np.ndarray:
    """Quantiles around points, evenly apart."""
    return np.asarray(points[..., None] + width * np.linspace(-1, 1, len(LEVELS)))


def chosen(
    inputs: Inputs, validation: ValidationSet, networks: Networks, baselines: BaselineForecasts
) -> Ensemble:
    return choose_ensemble(inputs, validation, networks, baselines, CONTEXT)


def test_a_network_that_is_right_forecasts_and_scores_best(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    right, wrong = ("gru", around(validation.actual)), ("lstm", around(validation.actual + 50.0))
    ensemble = chosen(inputs, validation, [right, wrong], baselines)
    assert ensemble.components == ("gru",)
    assert ensemble.networks == (0,)
    assert ensemble.scores["gru 1"] == pytest.approx(0.0, abs=1e-9)
    assert min(ensemble.scores, key=ensemble.scores.__getitem__) in ("gru 1", CHOSEN, NETWORKS)


def test_a_network_that_is_wrong_leaves_the_forecast_to_the_season(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    ensemble = chosen(inputs, validation, [("gru", around(validation.actual + 50.0))], baselines)
    assert ensemble.components == ("seasonal-mean",)
    assert ensemble.networks == ()
    assert ensemble.scores["seasonal-mean"] < ensemble.scores["last"] < ensemble.scores["gru"]


def test_weights_add_up_and_a_new_series_has_those_of_the_panel(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    ensemble = chosen(inputs, validation, [], baselines)
    assert ensemble.weights.shape == (len(inputs.panel) + 1, len(ensemble.components))
    np.testing.assert_allclose(ensemble.weights.sum(1), 1.0)
    assert ensemble.names(np.array([-1])) == [
        "+".join(np.array(ensemble.components)[ensemble.weights[-1] > 0])
    ]


def test_quantiles_of_windows_ascend_and_reach_as_far_as_calibration_says(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    ensemble = chosen(inputs, validation, [], baselines)
    newest = np.arange(len(inputs.panel)), inputs.panel.lengths
    quantiles = ensemble.quantiles(inputs, newest, inputs.series_index, [])
    assert quantiles.shape == (len(inputs.panel), HORIZON, len(LEVELS))
    assert (np.diff(quantiles, axis=-1) >= 0).all()
    margins = ensemble.calibration.margins + np.sign(np.array(LEVELS) - 0.5)
    wider = replace(ensemble, calibration=replace(ensemble.calibration, margins=margins))
    moved = wider.quantiles(inputs, newest, inputs.series_index, [])
    assert (np.ptp(moved, axis=-1) >= np.ptp(quantiles, axis=-1)).all()
    np.testing.assert_array_equal(moved[..., len(LEVELS) // 2], quantiles[..., len(LEVELS) // 2])


def test_held_out_values_do_not_choose_their_own_weights(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    """The score of the choice comes from weights of other windows: a network that is right once gains little by it."""
    once = np.where(
        np.arange(len(validation))[:, None] % ORIGINS == 0,
        validation.actual,
        validation.actual + 9.0,
    )
    ensemble = chosen(inputs, validation, [("gru", around(once))], baselines)
    assert ensemble.scores[CHOSEN] >= 0.9 * min(
        ensemble.scores["seasonal-mean"], ensemble.scores["gru"]
    )


def test_validation_forecasts_are_in_the_unit_of_the_table(
    inputs: Inputs, validation: ValidationSet, baselines: BaselineForecasts
) -> None:
    kept = chosen(inputs, validation, [("gru", around(validation.actual))], baselines).validation
    assert kept is not None
    np.testing.assert_allclose(
        kept.losses(kept.actual[..., None])[kept.observed.any(1)], 0.0, atol=1e-9
    )
    assert kept.rival is not None
    assert (kept.losses(kept.rival) > 0).any()

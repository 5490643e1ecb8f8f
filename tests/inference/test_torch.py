"""The torch backend gives attention weights and repeatable quantiles, and reports when memory runs out."""

import numpy as np
import pytest

from forecast.errors import Unavailable
from forecast.inference.fitted import Fitted
from forecast.inference.predictor import prepare_inputs
from forecast.inference.torch import Networks
from forecast.windows.windows import Batch
from tests._inputs import read_days
from tests.engine.test_fit import DAYS, SMALL, fit_of


@pytest.fixture(scope="module")
def fits() -> dict[str, Fitted]:
    reading = read_days(DAYS, DAYS[20:])
    return {
        model: fit_of(reading, **{**SMALL, "model": model}, guard=False)
        for model in ("gru", "attention-lstm")
    }


def newest(fitted: Fitted, networks: Networks) -> Batch:
    member = fitted.members()[0][0]
    windows = (
        prepare_inputs(fitted, fitted.history)
        .arrays.to(networks.to_array)
        .cut(member.lookback, member.scaling)
    )
    series = np.arange(len(fitted.history))
    return windows.batch(networks.to_array(series), networks.to_array(fitted.history.lengths))


def test_quantiles_ascend_and_are_the_same_each_time(fits: dict[str, Fitted]) -> None:
    fitted, networks = fits["gru"], Networks(fits["gru"], "cpu")
    batch = newest(fitted, networks)
    first, again = (networks.to_numpy(networks.quantiles(0, 0, batch)) for _ in range(2))
    assert first.shape == (2, fitted.config.horizon, len(fitted.config.levels))
    assert (np.diff(first, axis=-1) >= 0).all()
    np.testing.assert_array_equal(first, again)


def test_only_a_model_with_attention_weighs_the_past(fits: dict[str, Fitted]) -> None:
    weights = {}
    for model, fitted in fits.items():
        networks = Networks(fitted, "cpu")
        weights[model] = networks.attention(0, newest(fitted, networks))
    assert weights["gru"] is None
    assert weights["attention-lstm"] is not None
    np.testing.assert_allclose(weights["attention-lstm"].sum(1), 1.0, rtol=1e-5)


def test_memory_that_runs_out_is_said(fits: dict[str, Fitted]) -> None:
    networks = Networks(fits["gru"], "cpu")
    with (
        pytest.raises(Unavailable, match="out of memory; forecast fewer series at once"),
        networks.guard_run(),
    ):
        raise MemoryError

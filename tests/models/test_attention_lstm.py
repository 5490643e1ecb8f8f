"""The attention weights, as a user asks for them."""

import numpy as np
import pytest

from forecast import Forecaster
from forecast.errors import UsageError
from forecast.tables.synthetic import synthesize


def test_weights_are_shares_of_the_observed_past() -> None:
    frame = synthesize("seasonal", series=2, length=50)
    short = frame[(frame["series"] == "s001") | (frame.groupby("series").cumcount() >= 40)]
    model = Forecaster(model="attention-lstm", horizon=4, lookback=20, steps=5, guard=False).fit(
        frame
    )
    weights = model.attention(short)
    assert list(weights.columns) == ["series", "time", "weight"]
    np.testing.assert_allclose(weights.groupby("series")["weight"].sum(), 1.0, atol=1e-5)
    padded = weights[(weights["series"] == "s002")].head(10)
    assert (padded["weight"] == 0).all()


def test_a_model_without_attention_says_so() -> None:
    model = Forecaster(horizon=4, steps=2).fit(synthesize("seasonal", length=40))
    with pytest.raises(UsageError, match="attention-lstm"):
        model.attention()

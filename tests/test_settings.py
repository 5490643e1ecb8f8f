"""Settings: checked where they are declared, and answered in the words of whoever passed them."""

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import UsageError


def test_unknown_settings_are_answered_with_the_nearest() -> None:
    frame = pd.DataFrame(
        {"time": pd.date_range("2024-01-01", periods=40), "value": np.arange(40.0)}
    )
    with pytest.raises(UsageError, match="did you mean 'hidden_size'"):
        Forecaster(params={"hiden_size": 8}).fit(frame)
    with pytest.raises(UsageError, match="did you mean 'segrnn'"):
        Forecaster(model="segrn").fit(frame)
    with pytest.raises(UsageError, match="horizon"):
        Forecaster(horizon=0).fit(frame)
    with pytest.raises(UsageError, match="season"):
        Forecaster(season=(10**9,)).fit(frame)
    with pytest.raises(
        UsageError,
        match="lookback=9999: it is far longer than the longest series of DataFrame, which has 40 steps",
    ):
        Forecaster(lookback=9999).fit(frame)
    with pytest.raises(ValueError, match="horizont"):
        Forecaster().set_params(horizont=3)


def test_one_name_or_number_stands_for_a_list_of_one() -> None:
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=80), "units": np.arange(80.0) % 5}
    )
    alone = Forecaster(model="seasonal-naive", horizon=5, season=5, target="units").fit(frame)
    listed = Forecaster(model="seasonal-naive", horizon=5, season=(5,), target=("units",)).fit(
        frame
    )
    found = alone.predict(levels=90)
    assert list(found.columns)[-3:] == ["forecast", "lo_90", "hi_90"]
    pd.testing.assert_frame_equal(found, listed.predict(levels=(90.0,)), check_exact=True)
    assert found["forecast"].tolist() == [0, 1, 2, 3, 4]
    assert list(alone.backtest(frame, models="last", windows=2).overall["model"]) == [
        "seasonal-naive",
        "last",
    ]

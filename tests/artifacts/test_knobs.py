"""A loaded forecaster has the knobs of its fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.settings import SIDE_TABLES, TableSettings, TrainSettings

DAYS = pd.date_range("2024-01-01", periods=60, tz=None)
LONG = pd.DataFrame(
    {
        "shop": np.repeat(["a", "b"], 60),
        "day": [*DAYS.strftime("%d.%m.%Y"), *DAYS.strftime("%d.%m.%Y")],
        "units": np.r_[np.arange(60.0) % 7, np.arange(60.0) % 5] + 1,
        "promo": np.arange(120) % 2,
        "price": np.arange(120.0) % 9,
        "size": np.repeat([1.0, 2.0], 60),
        "other": 0.0,
    }
)
HOURS = pd.DataFrame(
    {
        "at": pd.date_range("2024-01-01", periods=24 * 20, freq="h").strftime("%Y-%m-%d %H:%M"),
        "y": np.arange(480.0) % 24,
    }
)

TRAINING = {
    "params": {"hidden_size": 8},
    "horizon": 3,
    "lookback": 9,
    "scaling": "last",
    "transform": "power",
    "loss": "mae",
    "learning_rate": 0.003,
    "weight_decay": 0.02,
    "clip": 2.0,
    "batch_size": 16,
    "patience": 3,
    "budget": 30.0,
    "steps": 4,
    "members": 2,
    "jobs": 1,
    "baselines": ("last", "mean"),
    "hierarchy": ("all",),
    "guard": False,
    "metric": "mae",
    "warm_start": True,
    "seed": 5,
}
TABLE = {
    "layout": "long",
    "unfinished": "keep",
    "time": ("day",),
    "id": ("shop",),
    "target": ("units",),
    "freq": "D",
    "season": (5, 7),
    "known": ("promo",),
    "monotone": ("promo:+",),
    "past": ("price",),
    "categorical": ("size",),
    "static": ("size",),
    "holidays": "DE",
    "date_format": "%d.%m.%Y",
    "timezone": "Europe/Berlin",
    "dst": "earlier",
    "on_duplicate": "last",
    "max_missing": 0.4,
    "missing": "zero",
    "strict": True,
}
COARSER = {"freq": "D", "aggregate": "sum", "season": (7,), "time": ("at",)}
ONE_BY_ONE = {
    "device",
    "engine",
    "model",
    *SIDE_TABLES,
}  # not kept, given to load, named by each fit below, and tables


def _loaded(folder: Path, frame: pd.DataFrame, **knobs: Any) -> tuple[Forecaster, dict[str, Any]]:
    fitted = Forecaster(**knobs).fit(frame)
    fitted.save(str(folder / "s"))
    loaded = Forecaster.load(str(folder / "s"))
    return loaded, loaded.get_params(deep=False)


def test_every_knob_comes_back(tmp_path: Path) -> None:
    every = {*TrainSettings.model_fields, *TableSettings.model_fields}
    assert every == {*TRAINING, *TABLE, *COARSER} | ONE_BY_ONE, (
        "a knob is new: give it here a value, not the default"
    )
    loaded, found = _loaded(tmp_path, LONG, model="segrnn", **TRAINING, **TABLE)
    given = {"model": "segrnn", **TRAINING, **TABLE}
    assert {name: found[name] for name in given} == given
    defaults = Forecaster().get_params(deep=False)
    assert all(value != defaults[name] for name, value in given.items() if name != "jobs")
    assert loaded.fit(LONG).get_params(deep=False) == found


def test_an_aggregated_model_is_fitted_again_from_its_store(tmp_path: Path) -> None:
    loaded, found = _loaded(tmp_path, HOURS, model="seasonal-naive", horizon=2, **COARSER)
    assert {name: found[name] for name in COARSER} == COARSER
    first = loaded.predict()
    pd.testing.assert_frame_equal(loaded.fit(HOURS).predict(), first)
    assert loaded.schema_.calendar.name == "D"


@pytest.mark.parametrize(
    "table",
    [
        lambda: LONG[["shop", "day", "units"]],
        lambda: HOURS,
        lambda: HOURS.assign(z=1.0),
        lambda: pd.DataFrame(
            {"V1": ["a", "b"], **{f"V{i}": [float(i), 2.0 * i] for i in range(2, 30)}}
        ),
        lambda: pd.Series(
            np.arange(50.0), index=pd.period_range("2020-01", periods=50, freq="M"), name="y"
        ),
    ],
    ids=["long", "wide", "two columns", "rows", "periods"],
)
def test_a_loaded_forecaster_is_fitted_again_alike(
    tmp_path: Path, table: Callable[[], Any]
) -> None:
    loaded, found = _loaded(tmp_path, table(), model="drift", horizon=2)
    first, schema = loaded.predict(), loaded.schema_
    pd.testing.assert_frame_equal(loaded.fit(table()).predict(), first)
    assert loaded.schema_ == schema
    assert loaded.get_params(deep=False) == found

"""What `forecast explain` writes, for whom, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run

NAMES = ["median", "level", "season", "events", "known", "rest"]


def test_a_json_object_holds_the_parts(forecast: Run, store: Path) -> None:
    found = forecast("explain", "--artifact", store, "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert len(told["parts"]) == 18
    for row in told["parts"]:
        assert sum(row[name] for name in NAMES[1:]) == pytest.approx(row["median"], abs=1e-6)
    point = forecast("predict", "--artifact", store).frame["forecast"]
    np.testing.assert_allclose(point, [row["median"] for row in told["parts"]], rtol=1e-6)
    shown = forecast("explain", "--artifact", store)
    assert [line.split()[0] for line in shown.out.splitlines() if line.startswith(" 19")] == [
        row["month"] for row in told["parts"]
    ]


def test_the_parts_of_named_series_alone_are_in_the_json_object(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.date_range("2024-01-01", periods=40).astype(str)
    table = pd.DataFrame(
        {"day": days, "north": np.arange(40.0), "south": np.arange(40.0) % 7, "west": 3.0}
    )
    table.to_csv(tmp_path / "shops.csv", index=False)
    store = tmp_path / "shops"
    assert (
        forecast(
            "fit", tmp_path / "shops.csv", "--model", "drift", "--horizon", 5, "--artifact", store
        ).code
        == 0
    )
    named = forecast(
        "explain", "--artifact", store, "--series", "west", "--series", "north", "--json"
    )
    assert named.code == 0, named.err
    assert [row["series"] for row in json.loads(named.out)["parts"]] == ["west"] * 5 + ["north"] * 5


def test_an_unknown_series_is_refused(forecast: Run, store: Path) -> None:
    found = forecast("explain", "--artifact", store, "--series", "passenger")
    assert (found.code, found.err.count("did you mean 'passengers'?")) == (2, 1)

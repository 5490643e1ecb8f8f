"""Paths of all series: each cell as published, and what comes together as in the past."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run
from tests.totals._sales import fitted, noise, sales, width

COUNT = 600


def half_shared(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
    """Noise, half of whose variance all shops share."""
    return (
        50
        + (noise(0, np.random.default_rng(99), days) + noise(shop, random, days)) / 2**0.5
        - 50 * 2**0.5
    )


def paths(forecast: Run, folder: Path, *words: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forecasts and their paths."""
    ran = forecast(
        "predict",
        "--artifact",
        folder / "store",
        "--output",
        folder / "out.csv",
        "--paths",
        COUNT,
        *words,
    )
    assert ran.code == 0, ran.err
    return pd.read_csv(folder / "out.csv", dtype={"shop": str}), pd.read_parquet(
        folder / "out.paths.parquet"
    )


def test_paths_have_the_intervals_of_cells_and_of_sums(forecast: Run, tmp_path: Path) -> None:
    model = fitted(sales(8, 600, of=half_shared), 14)
    model.save(str(tmp_path / "store"))
    series, found = paths(forecast, tmp_path)
    assert found.columns.tolist() == ["region", "shop", "day", "path", "value"]
    values = found["value"].to_numpy().reshape(8, 14, COUNT)
    low, middle, high = np.quantile(values, [0.1, 0.5, 0.9], axis=2)
    cell = width(series)[:, None].reshape(8, 14)
    np.testing.assert_allclose(high - low, cell, rtol=0.25)
    np.testing.assert_allclose(
        middle, series["forecast"].to_numpy().reshape(8, 14), atol=0.2 * cell.max()
    )
    for table, axes in (
        (model.totals(by="all"), 0),
        (model.totals(by="all", every="horizon"), (0, 1)),
    ):
        ends = np.quantile(values.sum(axes), [0.1, 0.9], axis=-1)
        np.testing.assert_allclose(np.mean(ends[1] - ends[0]), np.mean(width(table)), rtol=0.15)
    again = paths(forecast, tmp_path)[1]
    pd.testing.assert_frame_equal(found, again, check_exact=True)


def test_paths_keep_bounds_and_need_no_series_of_the_fit(forecast: Run, tmp_path: Path) -> None:
    frame = sales(4, 120)
    fitted(frame[frame["shop"] < "002"], 5).save(str(tmp_path / "store"))
    frame.to_csv(tmp_path / "new.csv", index=False)
    series, found = paths(forecast, tmp_path, tmp_path / "new.csv", "--max", 52, "--integer")
    assert sorted(found["shop"].unique()) == ["000", "001", "002", "003"]
    assert (found["value"] == found["value"].round()).all()
    assert found["value"].max() <= 52
    part = paths(forecast, tmp_path, "--horizon", 3, "--integer", "--max", 52)[1]
    both = part.merge(found, on=["region", "shop", "day", "path"])
    assert len(both) == 2 * 3 * COUNT
    assert (both["value_x"] == both["value_y"]).all()
    assert len(series) == 20


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "--paths: they are written beside the forecasts; name a file with --output"),
        (("any.csv", "--output", "parts", "--shards", 2), "--paths: it does not go with --shards"),
    ],
)
def test_paths_that_cannot_be_are_refused(
    forecast: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[object, ...],
    error: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    found = forecast("predict", *words, "--paths", 3)
    assert (found.code, found.out) == (2, "")
    assert error in found.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())

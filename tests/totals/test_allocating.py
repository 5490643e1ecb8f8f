"""Medians of series that add up to those of their sums."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.totals._sales import fitted, sales

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of seven shops with rare sales, whose medians lie below their means."""
    place = tmp_path_factory.mktemp("rare")

    def rare(shop: int, random: np.random.Generator, days: int) -> np.ndarray:
        return random.poisson(0.1 + 0.7 * shop, days) * (random.random(days) < 0.7)

    fitted(sales(7, 200, end="2024-03-25", of=rare), 12).save(str(place / "store"))
    return place / "store"


@pytest.mark.parametrize(
    ("level", "more"),
    [
        (("--sum-by", "region"), ()),
        (("--sum-by", "all"), ("--integer",)),
        (("--sum-by", "all", "--sum-every", "month"), ()),
        (("--sum-by", "region", "--sum-every", "week"), ("--integer", "--max", 5)),
        (("--sum-every", "horizon"), ("--min", 1)),
    ],
)
def test_allocated_medians_add_up(
    forecast: Run, store: Path, tmp_path: Path, level: tuple[str, ...], more: tuple[object, ...]
) -> None:
    command = ("predict", "--artifact", store, *level, *more, "--totals", tmp_path / "sums.csv")
    plain, moved = (forecast(*command, *words).frame for words in ((), ("--allocate",)))
    sums = pd.read_csv(tmp_path / "sums.csv", keep_default_na=False, dtype={"shop": str})
    every = sums["level"][0].partition("/")[2]
    starts = pd.to_datetime(sums["day"].unique())

    def period(days: pd.Series) -> np.ndarray:
        return starts[np.searchsorted(starts, pd.to_datetime(days), side="right") - 1]

    ends = {"month": "2024-03-31", "week": "2024-03-31"}
    inside = moved["day"] <= ends.get(every, "2025")
    keys = [name for name in ("region", "shop") if (sums[name] != "").all()]
    found = moved[inside].assign(day=period(moved["day"][inside])).groupby([*keys, "day"])["forecast"].sum()
    expected = sums.assign(day=pd.to_datetime(sums["day"])).set_index([*keys, "day"])
    np.testing.assert_allclose(found, (expected["forecast"] - expected["observed"]).reindex(found.index), rtol=1e-9)
    pd.testing.assert_frame_equal(moved[~inside], plain[~inside])
    assert (moved["forecast"] != plain["forecast"]).any()
    assert (moved["lo_80"] <= moved["forecast"]).all()
    assert (moved["forecast"] <= moved["hi_80"]).all()
    if "--integer" in more:
        assert moved["forecast"].dtype == np.int64
    if "--max" in more:
        assert moved["forecast"].max() <= 5
    if "--min" in more:
        assert moved["forecast"].min() >= 1


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (
            ("--sum-by", "all"),
            "--allocate: series add up to one kind of sums; name one, and a file for them with --totals",
        ),
        (
            ("--sum-by", "all", "--sum-by", "region", "--totals", "sums.csv"),
            "--allocate: series add up to one kind of sums; name one, and a file",
        ),
        (
            ("--sum-by", "all", "--totals", "sums.csv", "--point", "mean"),
            "--allocate: means add up as they are; leave it",
        ),
        (("--totals", "sums.csv"), "no sums are asked for"),
        (
            ("any.csv", "--sum-by", "all", "--totals", "sums.csv", "--shards", 2),
            "--allocate: it does not go with --shards",
        ),
    ],
)
def test_what_cannot_be_allocated_is_refused(
    forecast: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = forecast("predict", *words, "--artifact", store, "--allocate")
    assert found.code == 2
    assert error in found.err.splitlines()[-1]
    assert not list(tmp_path.iterdir())

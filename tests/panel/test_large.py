"""Large tables are read block by block: Parquet, folders of it and plain CSV give the same rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.errors import ForecastError
from forecast.panel import large
from forecast.panel.large import LargeTable, large_table
from forecast.settings import TextSettings
from forecast.tables.table import Table

COLUMNS = ["shop", "day", "units"]
KEYS = (("shop",), ("day",), "units")


@pytest.fixture
def frame() -> pd.DataFrame:
    days = pd.date_range("2024-01-01", periods=4).strftime("%Y-%m-%d")
    shops = np.repeat(["b", "a", "c, d"], 4)
    return pd.DataFrame(
        {"shop": shops, "day": np.tile(days, 3), "units": np.arange(12.0), "more": "x"}
    )


@pytest.fixture(params=["parquet", "folder", "csv"])
def table(
    request: pytest.FixtureRequest,
    frame: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> LargeTable:
    """The table in blocks of a few rows."""
    monkeypatch.setattr(large, "ROWS_AT_ONCE", 5)
    monkeypatch.setattr(large, "BYTES_AT_ONCE", 64)
    return opened(frame, tmp_path, request.param)


def opened(frame: pd.DataFrame, folder: Path, kind: str) -> LargeTable:
    path = folder / f"t.{kind}"
    if kind == "folder":
        path.mkdir()
        for place in range(0, len(frame), 7):
            frame[place : place + 7].to_parquet(path / f"{place:02}.parquet", index=False)
    else:
        frame.to_csv(path, index=False) if kind == "csv" else frame.to_parquet(
            path, row_group_size=7
        )
    found = large_table(
        str(path), TextSettings(), coded=("shop", "units") if kind == "coded" else ()
    )
    assert found is not None
    return found


def rows(table: Table) -> list[tuple[str, float]]:
    return [
        (shop, float(units))
        for shop, units in zip(table.frame["shop"], table.frame["units"], strict=True)
    ]


def test_whole_series_come_in_parts(table: LargeTable, frame: pd.DataFrame) -> None:
    starts, times = table.survey(*KEYS)
    assert starts is not None
    assert starts.tolist() == [0, 4, 8, 12]
    assert times.frame["day"].tolist() == frame["day"][:4].tolist()
    first, second = table.parts(COLUMNS, [0, 8, 12])
    assert rows(first) + rows(second) == list(zip(frame["shop"], frame["units"], strict=True))
    assert second.line(0) == ("line 10" if second.text else "row 9")


def test_some_rows_and_shares_keep_their_order_and_lines(table: LargeTable, tmp_path: Path) -> None:
    def share(part: Table) -> np.ndarray:
        return np.where(part.frame["shop"] == "a", 2, 1)

    table.write_shares(COLUMNS, ["shop"], share, str(tmp_path / "shares"))
    for number in (1, 2):
        shared = table.read_share(str(tmp_path / "shares"), number)
        kept = table.filter_rows(
            COLUMNS, ["shop"], lambda part, number=number: share(part) == number
        )
        assert shared is not None
        pd.testing.assert_frame_equal(shared.frame, kept.frame)
        assert shared.lines.tolist() == kept.lines.tolist()
    assert table.read_share(str(tmp_path / "shares"), 3) is None


def test_times_without_a_value_do_not_count(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame["units"] = frame["units"].where(frame["day"] < "2024-01-04")
    for kind in ("parquet", "csv"):
        _, times = opened(frame, tmp_path, kind).survey(*KEYS)
        assert times.frame["day"].max() == "2024-01-03"


def test_ids_of_parquet_are_categories_where_that_is_asked_for(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    table = opened(frame, tmp_path, "coded")
    starts, _ = table.survey(*KEYS)
    assert starts is not None
    assert starts.tolist() == [0, 4, 8, 12]
    (part,) = table.parts(COLUMNS, [0, 12])
    assert part.frame["shop"].cat.categories.tolist() == ["b", "a", "c, d"]
    codes, texts = part.distinct("shop")
    assert (codes.tolist(), texts) == ([0] * 4 + [1] * 4 + [2] * 4, ["b", "a", "c, d"])


@pytest.mark.parametrize("kind", ["parquet", "csv", "coded"])
@pytest.mark.parametrize("spoil", ["b", None, ""])
def test_series_that_do_not_stand_together_are_told(
    frame: pd.DataFrame, tmp_path: Path, kind: str, spoil: str | None
) -> None:
    frame.loc[11, "shop"] = spoil
    assert opened(frame, tmp_path, kind).survey(*KEYS)[0] is None


def test_a_table_that_changes_meanwhile_is_refused(frame: pd.DataFrame, tmp_path: Path) -> None:
    table = opened(frame, tmp_path, "csv")
    with (tmp_path / "t.csv").open("a") as file:
        batches = table.batches(COLUMNS)
        next(batches)
        file.write("e,2024-01-01,1,x\n")
        file.flush()
        with pytest.raises(ForecastError, match="changed while it was read"):
            list(batches)


@pytest.mark.parametrize(
    "text",
    ["", "a,b\n", "a,b\n1,2", "# a\na,b\n1,2\n", '{"a": 1}\n{"a": 2}\n', "a,a\n1,2\n", "a,\n1,2\n"],
)
def test_what_is_no_plain_csv_is_left_to_the_exact_reader(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert large_table(str(tmp_path / "t.csv"), TextSettings()) is None


def test_a_header_and_cells_may_have_quotes(frame: pd.DataFrame, tmp_path: Path) -> None:
    frame.to_csv(tmp_path / "t.csv", index=False, quoting=1)
    table = large_table(str(tmp_path / "t.csv"), TextSettings())
    assert table is not None
    (part,) = table.parts(COLUMNS, [0, 12])
    assert rows(part) == list(zip(frame["shop"], frame["units"], strict=True))

"""Parquet, a file or a folder, keeps its types, and is refused where it changes or is broken."""

from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from forecast.errors import BadData, ForecastError
from forecast.settings import TextSettings
from forecast.tables import storage
from forecast.tables.reading import read_table


def test_parquet_keeps_its_types(tmp_path):
    path = tmp_path / "no-suffix"
    columns = {
        "time": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        "day": pa.array([1, 2, 3], pa.date32()),
        "id": pa.array([12345678901234567, None, 3], pa.int64()),
        "shop": pa.array(["007", None, "NA"]),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        "open": pa.array([True, None, False]),
        "y": pa.array([1.5, None, 2.0]),
    }
    pyarrow.parquet.write_table(pa.table(columns), path)
    table = read_table(str(path), TextSettings())
    frame = table.frame
    assert not table.text
    assert str(frame["time"].dtype) == "datetime64[us, UTC]"
    assert pd.api.types.is_datetime64_dtype(frame["day"])
    assert frame["id"][0] == 12345678901234567
    assert isinstance(frame["kind"].dtype, pd.CategoricalDtype)
    assert frame["shop"].tolist()[::2] == ["007", "NA"]
    assert str(frame["open"].dtype) == "boolean"


def test_parquet_brings_its_named_index(tmp_path):
    index = pd.date_range("2024", periods=3, name="when")
    pd.DataFrame({"y": [1, 2, 3]}, index=index).to_parquet(tmp_path / "a.parquet")
    assert list(read_table(str(tmp_path / "a.parquet"), TextSettings()).frame.columns) == [
        "when",
        "y",
    ]


def test_folder_of_parquet_is_one_table_and_its_keys_stay_text(tmp_path):
    for shop, values in (("007", [1, 2]), ("8", [3.5])):
        (tmp_path / f"shop={shop}").mkdir()
        pd.DataFrame({"y": values}).to_parquet(tmp_path / f"shop={shop}" / "part.parquet")
    (tmp_path / "_SUCCESS").touch()
    frame = read_table(str(tmp_path), TextSettings()).frame
    assert frame["shop"].tolist() == ["007", "007", "8"]
    assert frame["y"].tolist() == [1, 2, 3.5]


@pytest.mark.parametrize("change", ["replaced", "gone", "rewritten"])
def test_parquet_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch, change):
    frame = pd.DataFrame({"y": [1.5, 2.5]})
    for name in ("a.parquet", "b.parquet"):
        frame.to_parquet(tmp_path / name)
    source = tmp_path / "b.parquet"
    convert = storage.arrow_frame

    def change_the_file(columns):
        if change == "gone":
            source.unlink()
        else:
            frame.assign(z=1).to_parquet(source if change == "rewritten" else tmp_path / "c")
            _ = change == "replaced" and (tmp_path / "c").replace(source)
        return convert(columns)

    monkeypatch.setattr(storage, "arrow_frame", change_the_file)
    with pytest.raises(ForecastError, match=r"b\.parquet:? changed while it was read"):
        read_table(str(source if change == "rewritten" else tmp_path), TextSettings())


def test_broken_parquet_is_refused(read):
    with pytest.raises(BadData, match="cannot be read as Parquet"):
        read(b"PAR1 and no more")

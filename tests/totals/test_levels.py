"""Which groups of series a user can name."""

import pytest

from forecast.reading.reading import Reading, read
from forecast.settings import SumSettings, TableSettings
from forecast.tables.reading import table_from_frame
from forecast.totals.periods import key_columns, keys_of, levels_of
from tests.totals._sales import fitted, sales


@pytest.fixture
def reading() -> Reading:
    """Four shops of two regions, with a size in words that is once blank, and a number of tills."""
    frame = sales(4, 30)
    frame["size"] = frame["shop"].map({"000": "large", "001": "small", "002": "large", "003": ""})
    frame["tills"] = frame["shop"].map({"000": 2, "001": 2, "002": 10.5, "003": None})
    settings = TableSettings(id=("region", "shop"), target="units", static=("size", "tills"))
    return read(table_from_frame(frame), settings, horizon=5)


@pytest.mark.parametrize(
    ("by", "name", "keys"),
    [
        ("all", "all", [(), (), (), ()]),
        ("region", "region", [("n",), ("n",), ("s",), ("s",)]),
        ("shop, region", "region,shop", [("n", "000"), ("n", "002"), ("s", "001"), ("s", "003")]),
        ("size", "size", [("large",), ("large",), ("small",), ("",)]),
        ("tills", "tills", [("2",), ("10.5",), ("2",), ("",)]),
        ("tills,region", "region,tills", [("n", "2"), ("n", "10.5"), ("s", "2"), ("s", "")]),
        ("series", "series", [("n", "000"), ("n", "002"), ("s", "001"), ("s", "003")]),
    ],
)
def test_groups_are_the_values_of_id_and_static_columns(
    reading: Reading, by: str, name: str, keys: list[tuple[str, ...]]
) -> None:
    level = levels_of(SumSettings(sum_by=by, sum_every="week"), reading.schema)[0]
    assert level.name == f"{name}/week"
    assert list(keys_of(reading.panel, reading.schema, reading.panel.order[[0, 2, 1, 3]], level.by)) == keys


def test_each_pair_of_group_and_period_is_a_level_once(reading: Reading) -> None:
    asked = SumSettings(sum_by=("region", "all", "region"), sum_every=("week", "month", "week"))
    found = levels_of(asked, reading.schema)
    assert [level.name for level in found] == ["region/week", "region/month", "all/week", "all/month"]
    assert key_columns(found, reading.schema) == ("region", "shop")
    assert key_columns(levels_of(SumSettings(sum_by="size"), reading.schema), reading.schema) == (
        "region",
        "shop",
        "size",
    )


def test_a_column_called_all_is_meant_where_there_is_one() -> None:
    frame = sales(4, 60).rename(columns={"region": "all"})
    found = fitted(frame, 7, id=("all", "shop")).totals(by="all")
    assert found["all"].unique().tolist() == ["n", "s"]


def test_columns_of_a_wide_table_are_added_up() -> None:
    frame = sales(3, 60).pivot(index="day", columns="shop", values="units").reset_index()
    model = fitted(frame, 7, id=())
    steps, whole = model.totals(by="all"), model.totals(by="all", every="horizon")
    assert steps["series"].tolist() == [""] * 7
    assert steps["mean"].sum() == pytest.approx(whole["mean"].item(), rel=1e-9)
    assert model.totals(every="horizon")["mean"].sum() == pytest.approx(whole["mean"].item(), rel=1e-9)

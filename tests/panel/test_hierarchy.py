"""Sums of series as further series."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecast.errors import BadData, UsageError
from forecast.panel.hierarchy import append_sums, find_members, hierarchy_levels
from forecast.panel.infer import Reading, read
from forecast.panel.panel import SUM
from forecast.parameters import convert_table
from forecast.settings import TableSettings


def reading_of(frame: pd.DataFrame) -> Reading:
    return read(convert_table(frame), TableSettings(id=("region", "shop")), horizon=2)


def frame_of(shops: dict[tuple[str, str], list[float]]) -> pd.DataFrame:
    """Shops by region and name, each with values up to the same last day."""
    rows = []
    for (region, shop), values in shops.items():
        days = pd.date_range(end="2024-03-31", periods=len(values), freq="D").strftime("%Y-%m-%d")
        rows += [(region, shop, day, value) for day, value in zip(days, values, strict=True)]
    return pd.DataFrame(rows, columns=["region", "shop", "day", "units"])


def test_a_cell_of_a_sum_is_known_where_all_its_series_are_that_have_begun() -> None:
    long, gap, late = np.arange(30.0), np.arange(30.0) * 10, np.full(5, 1000.0)
    gap[20] = np.nan
    reading = reading_of(
        frame_of({("n", "a"): list(long), ("n", "b"): list(gap), ("s", "a"): list(late)})
    )
    levels = hierarchy_levels(("region",), reading.schema)
    assert levels == ((), ("region",))
    panel = append_sums(reading.panel, reading.schema.ids, levels)
    assert panel.ids[-3:] == (("", ""), ("n", ""), ("s", ""))
    assert panel.status[-3:] == (SUM, SUM, SUM)
    assert panel.skipped.tolist() == [False] * 3 + [True] * 3
    everything = panel.values[panel.slots(3)]
    assert everything[:20].tolist() == (11 * long[:20]).tolist()
    assert not panel.observed[panel.slots(3)][20]
    assert everything[-5:].tolist() == (11 * long[-5:] + 1000).tolist()
    sums, members = find_members(panel)
    assert sums.tolist() == [3, 4, 5]
    assert members[:, :3].tolist() == [
        [True, True, True],
        [True, True, False],
        [False, False, True],
    ]
    assert append_sums(panel, reading.schema.ids, levels) is panel


def test_a_series_that_ended_counts_up_to_its_end() -> None:
    reading = reading_of(frame_of({("n", "a"): [1.0] * 30, ("n", "b"): [5.0] * 30}))
    panel = reading.panel
    observed = panel.observed.copy()
    observed[panel.slots(1)] = np.arange(30) < 10
    ended = replace(panel, observed=observed, status=("ok", "ended"))
    total = append_sums(ended, reading.schema.ids, ((),))
    assert total.values[total.slots(2)].tolist() == [6.0] * 10 + [1.0] * 20


@pytest.mark.parametrize(
    ("given", "message"),
    [("regoin", "did you mean 'region'"), ("region,shop", "nothing is summed")],
)
def test_levels_that_cannot_be_summed_are_refused(given: str, message: str) -> None:
    schema = reading_of(frame_of({("n", "a"): [1.0] * 9, ("n", "b"): [5.0] * 9})).schema
    with pytest.raises(UsageError, match=message):
        hierarchy_levels((given,), schema)


def test_a_blank_id_is_refused() -> None:
    reading = reading_of(frame_of({("n", "a"): [1.0] * 9, ("n", "b"): [5.0] * 9}))
    blank = replace(reading.panel, ids=(("n", "a"), ("n", "")))
    with pytest.raises(BadData, match="blank id"):
        append_sums(blank, reading.schema.ids, ((),))


def test_covariates_of_a_sum_are_means() -> None:
    frame = frame_of({("n", "a"): [1.0] * 12, ("n", "b"): [5.0] * 12})
    frame["price"] = np.where(frame["shop"] == "a", 2.0, 4.0)
    future = frame.tail(2).assign(units=np.nan, day=["2024-04-01", "2024-04-02"])
    table = convert_table(pd.concat([frame, future, future.assign(shop="a", price=2.0)]))
    reading = read(table, TableSettings(known=("price",)), horizon=2)
    total = append_sums(reading.panel, reading.schema.ids, ((),))
    assert total.known[total.offsets[2] :].ravel().tolist() == [3.0] * 14

"""A panel: cut at an origin, stacked, and how its values vary up to each slot."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.panel.infer import read, read_as
from forecast.panel.panel import Panel, join_panels, steps_within
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame


@pytest.fixture
def panel(panel_frame: pd.DataFrame) -> Panel:
    """Four shops of 80 days, the last of which opens late, with five future slots."""
    late = (panel_frame["shop"] == "s004") & (panel_frame["day"] < "2024-03-05")
    table = table_from_frame(panel_frame[~late])
    settings = TableSettings(known=("promo",), past=("price",), static=("size",), season=(7,))
    return read_as(table, read(table, settings).schema, horizon=5).panel


@given(
    st.lists(
        st.lists(st.floats(-1e5, 1e5, width=32), min_size=2, max_size=30), min_size=1, max_size=5
    )
)
def test_expanding_std_is_the_deviation_of_the_past_alone(series: list[list[float]]) -> None:
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])]).astype(np.int64)
    values = np.concatenate(series).astype(np.float64)
    none = np.zeros((len(values), 0))
    panel = Panel(
        ids=tuple((str(i),) for i in range(len(series))),
        order=np.arange(len(series)),
        offsets=offsets,
        starts=np.zeros(len(series), np.int64),
        ahead=0,
        values=values,
        observed=np.ones(len(values), bool),
        known=none,
        past=none,
        static=np.zeros((len(series), 0)),
    )
    spread = panel.expanding_std()
    for i, one in enumerate(series):
        own = np.array(one)
        expected = [own[: k + 1].std() for k in range(len(own))]
        size = np.abs(own - own[0]).max()
        np.testing.assert_allclose(
            spread[offsets[i] : offsets[i + 1]], expected, rtol=1e-3, atol=1e-6 * size + 1e-30
        )


def test_a_panel_until_an_origin_is_what_was_there(panel: Panel) -> None:
    origin = int(panel.origins[0]) - 5
    past = panel.until(origin)
    assert past.ids == panel.ids
    assert (past.origins == origin).all()
    assert (past.lengths == panel.lengths - 5).all()
    whole, early = panel.slots(0), past.slots(0)
    np.testing.assert_array_equal(past.values[early], panel.values[whole][:-5])
    ahead = slice(early.stop, early.stop + 5)
    assert not past.observed[ahead].any()
    assert not past.values[ahead].any()
    assert np.isnan(past.past[ahead]).all()
    np.testing.assert_array_equal(past.known[ahead], panel.known[whole][-5:])
    assert panel.until(int(panel.starts[3]) - 1).ids == panel.ids[:3]


def test_panels_stack_to_one_with_the_same_series(panel: Panel) -> None:
    parts = [panel.until(int(panel.origins[0]) - back) for back in (30, 5)]
    both = join_panels(parts)
    assert both.ids == parts[0].ids + parts[1].ids
    last = both.select(np.arange(3, len(both)))
    for name in ("offsets", "starts", "values", "observed", "known", "past", "static"):
        np.testing.assert_array_equal(getattr(last, name), getattr(parts[1], name))
    np.testing.assert_array_equal(
        both.expanding_std()[: len(parts[0].values)], parts[0].expanding_std()
    )


def test_the_tail_of_a_panel_knows_what_came_before_it(panel: Panel) -> None:
    tail = panel.tail(10)
    assert (tail.lengths == 10).all()
    np.testing.assert_array_equal(tail.origins, panel.origins)
    np.testing.assert_array_equal(tail.find_minimum(), panel.find_minimum())
    np.testing.assert_array_equal(
        tail.expanding_std()[tail.slots(1)], panel.expanding_std()[panel.slots(1)][-10:]
    )
    np.testing.assert_array_equal(
        tail.positions[tail.before(np.full(len(tail), 2))], np.tile([0, 1], len(tail))
    )


@pytest.mark.parametrize("sizes", [[3, 3, 3], [2, 0, 4], [5], [0, 0], []])
def test_steps_are_counted_from_the_start_of_each_run(sizes: list[int]) -> None:
    steps = steps_within(np.array(sizes, np.int64))
    assert steps.tolist() == [step for size in sizes for step in range(size)]

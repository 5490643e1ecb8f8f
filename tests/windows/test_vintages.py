"""Windows see known columns as they were known at their origins, in numpy and in torch."""

import numpy as np
import pandas as pd
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from forecast.panel.infer import read
from forecast.panel.panel import Panel
from forecast.panel.schema import build_calendar
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from forecast.training.devices import on_device
from forecast.windows.inputs import Statistics, fit_statistics, make_columns
from forecast.windows.windows import Windows

DAYS, AHEAD, LOOKBACK = 8, 3, 4
START = pd.Timestamp("2024-01-01")
IDS = ("a", "b")

# series, day, hours from the start of the day to when it became known, or None for a row without that, and the value
Row = tuple[int, int, int | None, float]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, DAYS + AHEAD - 1),
        st.none() | st.integers(-90, 70),
        st.integers(1, 9),
    ),
    max_size=40,
    unique_by=lambda row: row[:3],
)


def panel_of(rows: list[Row]) -> Panel:
    """A panel of two series, of which rows say what was known."""
    table = [
        (shop, START + pd.Timedelta(days=day), 1.0, None, None)
        for shop in IDS
        for day in range(DAYS)
    ]
    for series, day, hours, value in rows:
        date = START + pd.Timedelta(days=day)
        known = None if hours is None else date + pd.Timedelta(hours=hours)
        table.append((IDS[series], date, None, value, known))
    frame = pd.DataFrame(table, columns=["shop", "date", "units", "temperature", "available_at"])
    settings = TableSettings(id=("shop",), target=("units",), known=("temperature",), freq="D")
    return read(table_from_frame(frame), settings, horizon=AHEAD).panel


def expected(rows: list[Row], series: int, day: int, origin: int) -> float:
    """The newest value of a cell that was known by the end of the day of the origin; 0 where none was."""
    known = [
        (24 * (day + 1) if hours is None else 24 * day + hours, hours is None, value)
        for at, of, hours, value in rows
        if (at, of) == (series, day)
    ]
    known = [row for row in known if row[0] <= 24 * (origin + 1)]
    return float(max(known)[2]) if known else 0.0


@given(ROWS)
def test_each_window_sees_the_newest_value_that_was_known_at_its_origin(rows: list[Row]) -> None:
    assume(any(hours is not None for _, _, hours, _ in rows))
    panel = panel_of(rows)
    schema = read_schema()
    columns = make_columns(panel, schema, Statistics(known=((0.0, 1.0),)), build_calendar(schema))
    windows = Windows(panel, columns, AHEAD, (), np.arange(1, 3)).cut(LOOKBACK, "standard")
    series, position = np.repeat(np.arange(2), DAYS), np.tile(np.arange(1, DAYS + 1), 2)
    ours = windows.batch(series, position)
    theirs = windows.to(on_device(torch.device("cpu"))).batch(
        torch.from_numpy(series), torch.from_numpy(position)
    )
    for row, (number, end) in enumerate(zip(series, position, strict=True)):
        ahead = [expected(rows, number, day, end - 1) for day in range(end, end + AHEAD)]
        assert ours.future_covariates[row, :, -1].tolist() == ahead
        past = [
            expected(rows, number, day, end - 1) if day >= 0 else 0.0
            for day in range(end - LOOKBACK, end)
        ]
        assert ours.past_covariates[row, :, -1].tolist() == past
    np.testing.assert_array_equal(ours.future_covariates, theirs.future_covariates.numpy())
    np.testing.assert_array_equal(ours.past_covariates, theirs.past_covariates.numpy())


@given(ROWS, st.integers(2, DAYS))
def test_what_became_known_after_an_origin_changes_nothing_that_is_seen_at_it(
    rows: list[Row], end: int
) -> None:
    assume(any(hours is not None and 24 * day + hours <= 24 * end for _, day, hours, _ in rows))
    later = [(day + 1 if hours is None else day + hours / 24) > end for _, day, hours, _ in rows]
    poisoned = [(*row[:3], 1e6) if late else row for row, late in zip(rows, later, strict=True)]
    schema, ends = read_schema(), np.full(2, end)
    one, other = (panel_of(each) for each in (rows, poisoned))
    assert fit_statistics(one, schema, ends) == fit_statistics(other, schema, ends)
    one, other = (panel.until(panel.starts + end - 1) for panel in (one, other))
    np.testing.assert_array_equal(one.known, other.known)
    for name, values in vars(one.vintages).items():
        np.testing.assert_array_equal(values, getattr(other.vintages, name))


def read_schema():  # type: ignore[no-untyped-def]
    frame = pd.DataFrame(
        {"date": pd.date_range(START, periods=5), "units": 1.0, "temperature": 2.0}
    )
    return read(
        table_from_frame(frame), TableSettings(target=("units",), known=("temperature",))
    ).schema

"""A chart as a Vega-Lite specification: panels, axes, intervals, events, and what is blank."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from forecast.errors import UsageError
from forecast.report.chart import Chart, SeriesChart
from forecast.report.vega import check_chart_file, vega_lite

DAY = 86_400


def chart(series: int = 1, events: tuple = (), scale: float = 1.0) -> Chart:
    """Series of 30 days from 2024-01-01 and 3 ahead, with intervals of 80 and 95 %."""
    days = (np.datetime64("2024-01-01", "s").astype(np.int64) + DAY * np.arange(33)).astype(
        np.int64
    )
    past, ahead = scale * np.arange(30.0), scale * np.arange(30.0, 33.0)
    low, high = (ahead[:, None] + sign * np.array([1.0, 2.0]) for sign in (-1, 1))
    one = SeriesChart(
        "a", "", days[:30], past, days[30:], ahead, low, high, np.full(3, np.nan), events
    )
    names = (replace(one, name=f"s{number}") for number in range(series))
    return Chart(tuple(names), (80.0, 95.0), False, "day", "units", series)


def layers(spec: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]


def test_the_widest_interval_lies_behind_and_begins_at_the_last_value() -> None:
    areas = layers(vega_lite(chart()), "area")
    assert [area["encoding"]["color"]["datum"] for area in areas] == [
        "95 % interval",
        "80 % interval",
    ]
    first = areas[0]["data"]["values"][0]
    assert first["y"] == first["high"] == 29


def test_a_missing_value_breaks_the_line_and_one_alone_is_a_dot() -> None:
    made = chart()
    past = made.series[0].past.copy()
    past[10] = past[12] = np.nan
    spec = vega_lite(replace(made, series=(replace(made.series[0], past=past),)), hover=False)
    history = layers(spec, "line")[0]["data"]["values"]
    assert [row["y"] for row in history[9:13]] == [9.0, None, 11.0, None]
    assert layers(spec, "line")[0]["mark"]["strokeCap"] == "round"


@pytest.mark.parametrize(("series", "columns"), [(2, 2), (4, 2), (5, 3)])
def test_several_series_are_panels_whose_first_in_a_row_name_the_values(
    series: int, columns: int
) -> None:
    spec = vega_lite(chart(series))
    assert (len(spec["concat"]), spec["columns"]) == (series, columns)
    named = [panel["encoding"]["y"]["title"] is not None for panel in spec["concat"]]
    assert named == [number % columns == 0 for number in range(series)]


def test_months_have_their_year_and_large_numbers_are_short() -> None:
    encoding = vega_lite(chart(scale=1e6))["encoding"]
    assert encoding["x"]["axis"]["format"]["month"] == "%b %Y"
    assert encoding["y"]["axis"]["format"] == "~s"
    assert "format" not in vega_lite(chart())["encoding"]["y"]["axis"]


def test_events_are_bars_within_the_picture_with_their_names() -> None:
    start = float(np.datetime64("2023-12-31", "s").astype(np.int64))
    spec = vega_lite(chart(events=((start, start + 3 * DAY, "sale"),)))
    (bar,) = layers(spec, "rect")[0]["data"]["values"]
    assert bar == {
        "t": int(1000 * (start + DAY)),
        "end": int(1000 * (start + 3 * DAY)),
        "name": "sale",
    }
    assert layers(spec, "text")[0]["data"]["values"][0]["name"] == "sale"
    assert "event" in spec["encoding"]["color"]["scale"]["domain"]


def test_another_suffix_is_refused() -> None:
    with pytest.raises(UsageError, match=r"written as .png, .svg, .pdf or .html"):
        check_chart_file("picture.gif")

"""A picture of characters shows what the numbers are."""

import re
from dataclasses import replace

import numpy as np
import pytest

from forecast.report.chart import Chart, SeriesChart
from forecast.report.terminal import HEIGHT, STYLES, WIDEST, terminal_lines

NONE = np.full(10, np.nan)


def chart(
    past: np.ndarray, forecast: np.ndarray, actual: np.ndarray = NONE, width: float = 2.0
) -> Chart:
    """One series of 30 steps and 10 ahead."""
    low, high = (forecast[:, None] + sign * width for sign in (-1, 1))
    drawn = SeriesChart(
        "one", "", np.arange(30), past, np.arange(30, 40), forecast, low, high, actual
    )
    return Chart((drawn,), (80.0,), True, "step", "", 1)


def texts(shown: Chart, width: int) -> list[str]:
    return [line.plain for line in terminal_lines(shown, width)]


def drawing(shown: Chart, width: int = 93) -> list[str]:
    """The lines of the drawing, without numbers; lines are * for history and + for forecasts."""
    plain = list[str]()
    for line in terminal_lines(shown, width)[2 : 2 + HEIGHT]:
        assert len(line) <= width
        ahead = {
            at for span in line.spans if span.style == STYLES["forecast"] for at in range(*span[:2])
        }
        text = re.sub("[\u2801-\u28ff]", "*", line.plain)
        text = "".join("+" if at in ahead else mark for at, mark in enumerate(text))
        plain.append(text.partition("│")[2])
    return plain


def test_a_rising_series_rises_from_the_lower_left_to_the_upper_right() -> None:
    lines = drawing(chart(np.arange(30.0), np.arange(30.0, 40.0)))
    first = [
        next((column for column, mark in enumerate(line) if mark in "*+"), None) for line in lines
    ]
    found = [column for column in first if column is not None]
    assert found == sorted(found, reverse=True)
    assert len(found) >= HEIGHT - 2
    assert "*" in lines[-1] + lines[-2]
    assert "+" in lines[0] + lines[1]


def test_a_missing_value_is_a_gap_and_a_lone_one_is_still_there() -> None:
    past = np.full(30, 5.0)
    past[10:14] = past[15:20] = np.nan
    row = next(line for line in drawing(chart(past, np.full(10, 5.0))) if "*" in line)
    runs = [len(run) for run in row.split(" ") if "*" in run]
    assert len(runs) == 3
    assert runs[1] <= 2


def test_intervals_are_shaded_around_the_forecast_only_and_actual_values_cover_it() -> None:
    lines = drawing(
        chart(np.full(30, 5.0), np.full(10, 5.0), np.where(np.arange(10) == 4, 6.0, np.nan))
    )
    assert all(line[:60].strip(" *") == "" for line in lines)
    assert sum(line.count(WIDEST) for line in lines) > 100
    assert sum(line.count("●") for line in lines) == 1


def test_a_forecast_of_one_step_begins_at_the_last_value() -> None:
    drawn = SeriesChart(
        *("one", "", np.arange(4), np.full(4, 5.0), np.array([4]), np.array([6.0])),
        *(np.array([[4.0]]), np.array([[8.0]]), np.array([np.nan])),
    )
    lines = drawing(Chart((drawn,), (80.0,), True, "step", "", 1))
    assert max(line.count("+") for line in lines) >= 8
    assert sum(line.count(WIDEST) for line in lines) > 30


@pytest.mark.parametrize(
    "past",
    [np.full(30, np.nan), np.full(30, 3.0), np.full(30, 1e300), np.linspace(-1, 1, 30) * 1.7e308],
)
def test_extreme_series_are_drawn(past: np.ndarray) -> None:
    for width in (1, 40, 200):
        lines = texts(chart(past, past[:10]), width)
        assert len([line for line in lines if "│" in line]) == HEIGHT


def test_without_any_number_nothing_is_drawn() -> None:
    lines = drawing(chart(np.full(30, np.nan), NONE))
    assert all(line.strip() == "" for line in lines)


@pytest.mark.parametrize("width", [16, 24, 40, 100])
def test_no_line_is_wider_than_a_narrow_terminal(width: int) -> None:
    shown = chart(np.arange(30.0), np.arange(30.0, 40.0), np.arange(30.0, 40.0))
    lines = texts(shown, width)
    assert max(map(len, lines)) <= width
    legend = " ".join(lines[lines.index("", 1) + 1 :])
    assert [word for word in ("history", "forecast", "80 %", "actual") if word in legend] == [
        "history",
        "forecast",
        "80 %",
        "actual",
    ]


def test_three_times_stand_below_the_drawing() -> None:
    times = ("1970-01", "1972-07", "1973-04")
    labelled = replace(chart(np.arange(30.0), np.arange(30.0, 40.0)).series[0], labels=times)
    shown = Chart((labelled,), (80.0,), False, "t", "", 1)
    line = next(line for line in texts(shown, 100) if "19" in line and "│" not in line)
    assert line.split() == list(times)

"""A picture of characters shows what the numbers are."""

import numpy as np
import pytest

from forecast.report.picture import Drawn, Picture
from forecast.report.terminal import HEIGHT, MARGIN, PLAIN, terminal_lines

NONE = np.full(10, np.nan)


def picture(past: np.ndarray, forecast: np.ndarray, actual: np.ndarray = NONE, width: float = 2.0) -> Picture:
    """One series of 30 steps and 10 ahead."""
    low, high = (forecast[:, None] + sign * width for sign in (-1, 1))
    drawn = Drawn("one", "", np.arange(30), past, np.arange(30, 40), forecast, low, high, actual)
    return Picture((drawn,), (80.0,), True, "step", "", 1)


def drawing(shown: Picture, width: int = 80 + MARGIN + 1) -> list[str]:
    """The lines of the drawing, without numbers, plain."""
    lines = terminal_lines(shown, width, unicode=False)
    assert max(map(len, lines)) <= width
    return [line[MARGIN:] for line in lines[2 : 2 + HEIGHT]]


def test_a_rising_series_rises_from_the_lower_left_to_the_upper_right() -> None:
    lines = drawing(picture(np.arange(30.0), np.arange(30.0, 40.0)))
    first = [next((column for column, mark in enumerate(line) if mark in "*+"), None) for line in lines]
    found = [column for column in first if column is not None]
    assert found == sorted(found, reverse=True)
    assert len(found) >= HEIGHT - 2
    assert "*" in lines[-1] + lines[-2]
    assert "+" in lines[0] + lines[1]


def test_a_missing_value_is_a_gap_and_a_lone_one_is_still_there() -> None:
    past = np.full(30, 5.0)
    past[10:14] = past[15:20] = np.nan
    row = next(line for line in drawing(picture(past, np.full(10, 5.0))) if "*" in line)
    runs = [len(run) for run in row.split(" ") if "*" in run]
    assert len(runs) == 3
    assert runs[1] <= 2


def test_intervals_are_shaded_around_the_forecast_only_and_actual_values_cover_it() -> None:
    lines = drawing(picture(np.full(30, 5.0), np.full(10, 5.0), np.where(np.arange(10) == 4, 6.0, np.nan)))
    assert all(line[:55].strip(" *") == "" for line in lines)
    assert sum(line.count(PLAIN["shades"][0]) for line in lines) > 100
    assert sum(line.count("o") for line in lines) == 1


@pytest.mark.parametrize(
    "past", [np.full(30, np.nan), np.full(30, 3.0), np.full(30, 1e300), np.linspace(-1, 1, 30) * 1.7e308]
)
def test_extreme_series_are_drawn(past: np.ndarray) -> None:
    for width in (1, 40, 200):
        lines = terminal_lines(picture(past, past[:10]), width)
        assert len(lines) == 2 + HEIGHT + 3


def test_without_any_number_nothing_is_drawn() -> None:
    lines = drawing(picture(np.full(30, np.nan), NONE))
    assert all(line.strip() == "" for line in lines)

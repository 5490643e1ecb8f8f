"""A chart in characters: Braille, with two by four dots a character, or plain ASCII."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from rich.text import Text

from forecast.panel.panel import Integers, Numbers
from forecast.report.chart import Chart, SeriesChart
from forecast.report.page import number

HEIGHT = 12  # lines of text for one series
FINE_POINTS = 256  # interpolated points between two values
DOTS = np.array([1, 8, 2, 16, 4, 32, 64, 128]).reshape(4, 1, 2)  # bits, by row of dots
BRAILLE = np.array([chr(0x2800 + code) for code in range(256)])
WIDEST = "░"  # shade of the widest interval
NARROWER = "▒"
ACTUAL_MARK = "●"
Line = Iterable[tuple[str, str]]
"""Characters and their styles."""
STYLES = {"forecast": "bold cyan", "interval": "cyan", "actual": "bold red", "history": ""}


def terminal_lines(chart: Chart, width: int) -> list[Text]:
    """A chart as lines of `width` characters, with a legend below."""
    numbers = [_numbers(series) for series in chart.series]
    lengths = [len(text) for texts in numbers for text in texts.values()]
    left = max(lengths) + 1
    across = max(width - left - 2, 8)
    lines = []
    for series, texts in zip(chart.series, numbers, strict=True):
        title = Text.assemble((series.name, "bold"))
        if series.note:
            title.append(f"  {series.note}", "dim")
        lines += [Text(), title]
        for row, cells in enumerate(_draw(series, across)):
            edge = f"{texts.get(row, ''):>{left - 1}} │"
            lines.append(Text.assemble(edge, *cells))
        margin = " " * (left + 1)
        lines.append(Text(margin + _times(series, across)))

    keys = [("⣀⠤⠒", "history", "history"), ("⣀⠤⠒", "forecast", "forecast")]
    for level in chart.levels:
        keys.append((2 * _shade(chart.levels, level), "interval", f"{level:g} %"))
    if chart.has_actuals:
        keys.append((ACTUAL_MARK, "actual", "actual"))
    legend = []
    for symbol, kind, name in keys:
        legend.append(Text.assemble((symbol, STYLES[kind]), f" {name}"))
    one_line = Text("   ").join(legend)
    if len(one_line) <= width:
        legend = [one_line]
    return [*lines, Text(), *legend]


def _shade(levels: Sequence[float], level: float) -> str:
    return WIDEST if level == max(levels) else NARROWER


def _range(series: SeriesChart) -> tuple[float, float]:
    values = series.values()
    if not len(values):
        return 0.0, 1.0
    low = values.min()
    high = values.max()
    if low < high:
        return low, high
    margin = max(1.0, abs(low) / 10)  # puts a flat line in the middle
    return low - margin, high + margin


def _numbers(series: SeriesChart) -> dict[int, str]:
    """The axis labels beside the first, the middle and the last line of text."""
    low, high = _range(series)
    middle = HEIGHT // 2
    share = (middle + 0.5) / HEIGHT
    between = high * (1 - share) + low * share
    values = {0: high, middle: between, HEIGHT - 1: low}
    return {row: number(value) for row, value in values.items()}


def _draw(series: SeriesChart, width: int) -> Iterator[Line]:
    """The lines of text of a drawing; actual values cover lines, and lines cover intervals."""
    low, high = _range(series)
    first = float(series.past_times[0])
    length = max(float(series.times[-1]) - first, 1)

    def locate_columns(times: Integers) -> Numbers:
        return np.asarray((times - first) / length * (2 * width - 1))

    def locate_rows(values: Numbers) -> Numbers:  # halves avoid overflow
        share = (high / 2 - values / 2) / (high / 2 - low / 2)
        return share * (4 * HEIGHT - 1)

    characters = np.full((HEIGHT, width), " ")
    styles = np.full((HEIGHT, width), "", object)
    ahead = locate_columns(series.times_ahead)
    middles = 4 * np.arange(HEIGHT)[:, None] + 1.5
    cells = 2 * np.arange(width) + 0.5
    levels = range(series.low.shape[1])
    for level in reversed(levels):  # the widest comes first
        top = locate_rows(series.from_past(series.high[:, level]))
        bottom = locate_rows(series.from_past(series.low[:, level]))
        drawn = np.isfinite(top) & np.isfinite(bottom)
        if drawn.any():
            columns = ahead[drawn]
            above = np.interp(cells, columns, top[drawn], np.inf, np.inf)
            below = np.interp(cells, columns, bottom[drawn])
            inside = (middles >= above) & (middles <= below)
            characters[inside] = _shade(levels, level)
            styles[inside] = STYLES["interval"]

    past = locate_columns(series.past_times), series.past
    forecast = ahead, series.from_past(series.forecast)
    for kind, (columns, values) in (("history", past), ("forecast", forecast)):
        codes = _codes(columns, locate_rows(values), width)
        on = codes > 0
        characters[on] = BRAILLE[codes[on]]
        styles[on] = STYLES[kind]
    drawn = np.isfinite(series.actual)
    rows = locate_rows(series.actual[drawn]).astype(int) // 4
    columns = locate_columns(series.times[drawn]).astype(int) // 2
    characters[rows, columns] = ACTUAL_MARK
    styles[rows, columns] = STYLES["actual"]
    for line in zip(characters, styles, strict=True):
        yield zip(*line, strict=True)


def _codes(columns: Numbers, rows: Numbers, width: int) -> Integers:
    """The Braille codes of a line through points, [HEIGHT, width].

    Points are in units of dots; a point that is not finite leaves a gap.
    """
    index = np.arange(len(rows))
    fine = np.arange(FINE_POINTS * index[-1] + 1) / FINE_POINTS
    row = np.interp(fine, index, rows)
    column = np.interp(fine, index, columns)
    drawn = np.isfinite(row)
    dots = np.zeros((4 * HEIGHT, 2 * width), bool)
    row = np.round(row[drawn]).astype(int)
    column = np.round(column[drawn]).astype(int)
    dots[row, column] = True
    by_character = dots.reshape(HEIGHT, 4, width, 2)
    return np.asarray((by_character * DOTS).sum((1, 3)))


def _times(series: SeriesChart, width: int) -> str:
    """The line of times below a drawing: the first, that of the first forecast, and the last.

    That of the first forecast is left out if there is no room.
    """
    first, middle, last = series.labels
    line = f"{first}{last:>{max(width - len(first), 0)}}"
    past = len(series.past)
    share = past / max(past + len(series.times) - 1, 1)
    start = round(share * (width - 1)) - len(middle) // 2
    end = start + len(middle)
    if start > 0 and not line[start - 1 : end + 1].strip():
        line = line[:start] + middle + line[end:]
    return line[:width].rstrip()

"""Draw a chart with characters, for a terminal: lines of dots of Braille over shaded intervals."""

from collections.abc import Callable
from itertools import groupby

import numpy as np

from forecast.panel.panel import Flags, Integers, Numbers
from forecast.report.chart import Chart, SeriesChart

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of one character of Braille, by row
BRAILLE = np.array([chr(0x2800 + code) for code in range(256)])
UNICODE = {"history": "⣀⠤⠒", "forecast": "⣀⠤⠒", "actual": "●", "shades": "░▒", "edge": "│"}
PLAIN = {"history": "*", "forecast": "+", "actual": "o", "shades": ".:", "edge": "|"}  # without Unicode
HEIGHT = 12  # lines of one series
NARROWEST = 8  # characters of the drawing, at least

Style = Callable[[str, str], str]


def terminal_lines(chart: Chart, width: int, unicode: bool = True, style: Style = lambda text, kind: text) -> list[str]:
    """A chart as lines of text of `width` characters, Braille or ASCII; `style` colours a text by its kind."""
    labels, edge = [_labels(series) for series in chart.series], (UNICODE if unicode else PLAIN)["edge"]
    left = max(len(label) for numbers in labels for label in numbers.values()) + 2
    across, lines = max(width - left - 1, NARROWEST), list[str]()
    for series, numbers in zip(chart.series, labels, strict=True):
        lines += ["", style(series.name, "title") + (style(f"  {series.note}", "note") if series.note else "")]
        for row, text in enumerate(_drawing(series, across, unicode, style)):
            lines.append(f"{numbers.get(row, ''):>{left - 2}} {edge}{text}")
        lines.append(" " * left + _times(chart, series, across))
    return [*lines, "", *_legend(chart, width, unicode, style)]


def _range(series: SeriesChart) -> tuple[float, float]:
    """The lowest and the highest value that a drawing has room for."""
    values = np.concatenate([series.past, series.forecast, series.low.ravel(), series.high.ravel(), series.actual])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    apart = max(1.0, abs(low) / 10) if low == high else 0.0  # a flat line lies in the middle
    return low - apart, high + apart


def _labels(series: SeriesChart) -> dict[int, str]:
    """The numbers left of the drawing, by line."""
    low, high = _range(series)
    middle = (HEIGHT // 2 + 0.5) / HEIGHT
    numbers = {0: high, HEIGHT // 2: high * (1 - middle) + low * middle, HEIGHT - 1: low}
    return {
        line: f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e8 else f"{value:.3g}"
        for line, value in numbers.items()
    }


def _drawing(series: SeriesChart, width: int, unicode: bool, style: Style) -> list[str]:
    """The lines of a drawing; actual values cover lines, and lines cover intervals."""
    (low, high), first, last = _range(series), float(series.past_times[0]), float(series.times[-1])

    def to_dots(times: Integers, values: Numbers) -> tuple[Numbers, Numbers]:
        """Columns and rows in dots; 2 by 4 dots are a character. Halves do not overflow."""
        columns = np.asarray((times - first) / max(last - first, 1) * (2 * width - 1), np.float64)
        return columns, (high / 2 - values / 2) / (high / 2 - low / 2) * (4 * HEIGHT - 1)

    marks = UNICODE if unicode else PLAIN
    characters, kinds = np.full((HEIGHT, width), " "), np.full((HEIGHT, width), "", object)
    middle, cells = 4 * np.arange(HEIGHT)[:, None] + 1.5, 2 * np.arange(width) + 0.5
    # a single step begins at the last value, as it would be too narrow to be seen
    start = slice(-1, None) if len(series.times) == 1 and np.isfinite(series.past[-1]) else slice(0, 0)
    times, before = np.append(series.past_times[start], series.times), series.past[start]
    for rank, interval in enumerate(reversed(range(series.low.shape[1]))):  # the widest comes first
        columns, top = to_dots(times, np.append(before, series.high[:, interval]))
        _, bottom = to_dots(times, np.append(before, series.low[:, interval]))
        if (seen := np.isfinite(top) & np.isfinite(bottom)).any():
            at, high_at, low_at = columns[seen], top[seen], bottom[seen]
            inside = (middle >= np.interp(cells, at, high_at)) & (middle <= np.interp(cells, at, low_at))
            inside &= (cells >= at[0] - 1) & (cells <= at[-1] + 1)
            characters[inside], kinds[inside] = marks["shades"][min(rank, 1)], "interval"
    past, ahead = to_dots(series.past_times, series.past), to_dots(times, np.append(before, series.forecast))
    for kind, points in (("history", past), ("forecast", ahead)):
        codes = (_line(*points, width).reshape(HEIGHT, 4, width, 2) * DOTS[:, None]).sum((1, 3))
        on = codes > 0
        characters[on], kinds[on] = BRAILLE[codes[on]] if unicode else marks[kind], kind
    columns, rows = to_dots(series.times, series.actual)
    seen = np.isfinite(rows)
    on = np.minimum(rows[seen].astype(int) // 4, HEIGHT - 1), np.minimum(columns[seen].astype(int) // 2, width - 1)
    characters[on], kinds[on] = marks["actual"], "actual"
    lines = []
    for texts, names in zip(characters, kinds, strict=True):
        runs = groupby(range(width), key=lambda column: names[column])
        lines.append("".join(style("".join(texts[list(run)]), kind) for kind, run in runs))
    return lines


def _line(columns: Numbers, rows: Numbers, width: int) -> Flags:
    """The dots of a line through points, [4 * height, 2 * width]; a point that is not finite is a gap."""
    dots = np.zeros((4 * HEIGHT, 2 * width), bool)
    for i in np.flatnonzero(np.isfinite(rows)):
        before = i - 1 if i and np.isfinite(rows[i - 1]) else i
        count = int(max(abs(columns[i] - columns[before]), abs(rows[i] - rows[before]))) + 2
        column = np.round(np.linspace(columns[before], columns[i], count)).astype(int)
        row = np.round(np.linspace(rows[before], rows[i], count)).astype(int)
        dots[np.clip(row, 0, 4 * HEIGHT - 1), np.clip(column, 0, 2 * width - 1)] = True
    return dots


def _times(chart: Chart, series: SeriesChart, width: int) -> str:
    """The first time, that of the first forecast, and the last, below the drawing, as short as all times allow."""
    times = np.concatenate([series.past_times, series.times]).astype(np.int64)
    first, start, last = shown = times[[0, len(series.past_times), -1]]
    texts = list(map(str, shown.tolist()))
    if not chart.numbered:
        exact = times.astype("datetime64[s]")
        unit = next(unit for unit in ("Y", "M", "D", "m", "s") if (exact.astype(f"datetime64[{unit}]") == exact).all())
        texts = [str(time).replace("T", " ") for time in shown.astype("datetime64[s]").astype(f"datetime64[{unit}]")]
    middle = round(float(start - first) / max(float(last - first), 1) * (width - 1))
    line = list(" " * width)
    for text, column in ((texts[0], 0), (texts[2], width - len(texts[2])), (texts[1], middle - len(texts[1]) // 2)):
        if 0 <= column <= width - len(text) and not "".join(line[max(column - 1, 0) : column + len(text) + 1]).strip():
            line[column : column + len(text)] = text
    return "".join(line).rstrip()


def _legend(chart: Chart, width: int, unicode: bool, style: Style) -> list[str]:
    marks = UNICODE if unicode else PLAIN
    parts = [(marks[kind], kind, kind) for kind in ("history", "forecast")]
    for level in chart.levels:
        parts.append((marks["shades"][level != max(chart.levels)] * 2, "interval", f"{level:g} %"))
    if any(np.isfinite(series.actual).any() for series in chart.series):
        parts.append((marks["actual"], "actual", "actual"))
    lines, used = list[str](), width
    for mark, kind, name in parts:
        shown, size = f"{style(mark, kind)} {name}", len(mark) + 1 + len(name)
        if used + 3 + size <= width:
            lines[-1], used = f"{lines[-1]}   {shown}", used + 3 + size
        else:
            lines, used = [*lines, shown], size
    return lines

"""Draw a picture with characters, for a terminal: lines of dots of Braille over shaded intervals."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.panel.panel import Flags, Numbers
from forecast.report.picture import Drawn, Picture

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of one character of Braille, by row
BRAILLE = 0x2800
NONE = np.zeros((4, 2), bool)
PLAIN = {"history": "*", "forecast": "+", "actual": "o", "shades": ".:", "edge": "|"}  # without Unicode
SHADES = "░▒"  # of the widest interval, and of the others
DOT = "●"
HEIGHT = 12  # lines of one series
NARROWEST = 8  # characters of the drawing, at least

Style = Callable[[str, str], str]


@dataclass
class Canvas:
    """Characters and their kinds, [height, width]; each has 4 by 2 dots."""

    width: int
    height: int
    marks: dict[str, Flags] = field(default_factory=dict)  # by kind, [4 * height, 2 * width]
    shades: Numbers = field(init=False)

    def __post_init__(self) -> None:
        self.shades = np.zeros((self.height, self.width), np.int64)

    def line(self, kind: str, columns: Numbers, rows: Numbers) -> None:
        """Join points, given in dots; a point that is not finite is a gap."""
        dots = self.marks.setdefault(kind, np.zeros((4 * self.height, 2 * self.width), bool))
        for place in range(len(columns)):
            if not np.isfinite(rows[place]):
                continue
            before = place - 1 if place and np.isfinite(rows[place - 1]) else place
            steps = int(max(abs(columns[place] - columns[before]), abs(rows[place] - rows[before]))) + 1
            share = np.linspace(0, 1, steps + 1)
            column = np.round(columns[before] + share * (columns[place] - columns[before])).astype(int)
            row = np.round(rows[before] + share * (rows[place] - rows[before])).astype(int)
            dots[np.clip(row, 0, 4 * self.height - 1), np.clip(column, 0, 2 * self.width - 1)] = True

    def point(self, kind: str, column: float, row: float) -> None:
        """Mark one whole character, given in dots."""
        marks = self.marks.setdefault(kind, np.zeros((4 * self.height, 2 * self.width), bool))
        marks[4 * min(int(row) // 4, self.height - 1), 2 * min(int(column) // 2, self.width - 1)] = True

    def lines(self, unicode: bool, style: Style) -> list[str]:
        """The drawing, a text for each line."""
        lines = []
        for row in range(self.height):
            characters = [self._character(row, column, unicode) for column in range(self.width)]
            runs = groupby(characters, key=itemgetter(1))
            lines.append("".join(style("".join(mark for mark, _ in run), kind) for kind, run in runs))
        return lines

    def _character(self, row: int, column: int, unicode: bool) -> tuple[str, str]:
        """A character and its kind."""

        def dots(kind: str) -> Flags:
            marks = self.marks.get(kind)
            return NONE if marks is None else marks[4 * row : 4 * row + 4, 2 * column : 2 * column + 2]

        if dots("actual").any():
            return DOT if unicode else PLAIN["actual"], "actual"
        for kind in ("forecast", "history"):
            if (found := dots(kind)).any():
                return chr(BRAILLE + int(DOTS[found].sum())) if unicode else PLAIN[kind], kind
        if shade := int(self.shades[row, column]):
            return (SHADES if unicode else PLAIN["shades"])[shade - 1], "interval"
        return " ", ""


def terminal_lines(
    picture: Picture, width: int, unicode: bool = True, style: Style = lambda text, kind: text
) -> list[str]:
    """A picture as lines of text, the series below each other.

    Parameters
    ----------
    width : characters of a line
    unicode : whether the terminal has more than ASCII
    style : colours a text by its kind: history, forecast, actual, interval, title, note
    """
    left = max(len(text) for drawn in picture.series for text in _labels(drawn).values()) + 2
    lines: list[str] = []
    for drawn in picture.series:
        lines += ["", *_series(picture, drawn, (left, max(width - left - 1, NARROWEST)), unicode, style)]
    return [*lines, "", *_legend(picture, width, unicode, style)]


def _range(drawn: Drawn) -> tuple[float, float]:
    """The lowest and the highest value that a drawing has room for."""
    values = np.concatenate([drawn.past, drawn.forecast, drawn.low.ravel(), drawn.high.ravel(), drawn.actual])
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if low == high:  # a line of its own height, in the middle
        low, high = low - max(1.0, abs(low) / 10), high + max(1.0, abs(high) / 10)
    return low, high


def _labels(drawn: Drawn) -> dict[int, str]:
    """The numbers left of the drawing, by line."""
    low, high = _range(drawn)
    middle = (HEIGHT // 2 + 0.5) / HEIGHT
    numbers = {0: high, HEIGHT // 2: high * (1 - middle) + low * middle, HEIGHT - 1: low}
    return {line: _number(number) for line, number in numbers.items()}


def _series(picture: Picture, drawn: Drawn, size: tuple[int, int], unicode: bool, style: Style) -> list[str]:
    """One series; `size` is the characters left of the drawing, and those of the drawing."""
    left, width = size
    canvas, (low, high) = Canvas(width, HEIGHT), _range(drawn)
    first, last = float(drawn.past_times[0]), float(drawn.times[-1])

    def across(times: NDArray[Any]) -> Numbers:
        return (np.asarray(times, float) - first) / max(last - first, 1) * (2 * width - 1)

    def down(numbers: Numbers) -> Numbers:
        return (high / 2 - numbers / 2) / (high / 2 - low / 2) * (4 * HEIGHT - 1)  # halves do not overflow

    _shade(
        canvas,
        across(drawn.times),
        [(down(drawn.high[:, place]), down(drawn.low[:, place])) for place in reversed(range(len(picture.levels)))],
    )
    canvas.line("history", across(drawn.past_times), down(drawn.past))
    canvas.line("forecast", across(drawn.times), down(drawn.forecast))
    for column, row in zip(across(drawn.times), down(drawn.actual), strict=True):
        if np.isfinite(row):
            canvas.point("actual", column, row)
    edge = "│" if unicode else PLAIN["edge"]
    labels = _labels(drawn)
    rows = [
        f"{labels.get(place, ''):>{left - 2}} {edge}{text}" for place, text in enumerate(canvas.lines(unicode, style))
    ]
    note = style(f"  {drawn.note}", "note") if drawn.note else ""
    return [style(drawn.name, "title") + note, *rows, " " * left + _times(picture, drawn, width)]


def _shade(canvas: Canvas, columns: Numbers, intervals: list[tuple[Numbers, Numbers]]) -> None:
    """Shade characters whose middle lies in an interval; the widest comes first."""
    middle = 4 * np.arange(canvas.height)[:, None] + 1.5
    cells = 2 * np.arange(canvas.width) + 0.5
    for place, (top, bottom) in enumerate(intervals):
        seen = np.isfinite(top) & np.isfinite(bottom)
        if seen.any():
            at = columns[seen]
            covered = (cells >= at[0] - 1) & (cells <= at[-1] + 1)
            highest, lowest = np.interp(cells, at, top[seen]), np.interp(cells, at, bottom[seen])
            canvas.shades[(middle >= highest) & (middle <= lowest) & covered] = min(place + 1, 2)


def _times(picture: Picture, drawn: Drawn, width: int) -> str:
    """The first time, that of the first forecast, and the last, below the drawing."""
    first, last = float(drawn.past_times[0]), float(drawn.times[-1])
    texts = _time_texts(picture, drawn)
    start = round((float(drawn.times[0]) - first) / max(last - first, 1) * (width - 1))
    line = list(" " * width)
    for text, place in ((texts[0], 0), (texts[2], width - len(texts[2])), (texts[1], start - len(texts[1]) // 2)):
        if 0 <= place <= width - len(text) and not "".join(line[max(place - 1, 0) : place + len(text) + 1]).strip():
            line[place : place + len(text)] = text
    return "".join(line).rstrip()


def _time_texts(picture: Picture, drawn: Drawn) -> list[str]:
    """The first time, that of the first forecast, and the last, as short as all times of the series allow."""
    whole = np.concatenate([drawn.past_times, drawn.times]).astype(np.int64)
    shown = whole[[0, len(drawn.past_times), -1]]
    if picture.steps:
        return [str(time) for time in shown.tolist()]
    instants = whole.astype("datetime64[s]")
    unit = next(
        unit for unit in ("Y", "M", "D", "m", "s") if (instants.astype(f"datetime64[{unit}]") == instants).all()
    )
    return [str(time).replace("T", " ") for time in shown.astype("datetime64[s]").astype(f"datetime64[{unit}]")]


def _number(value: float) -> str:
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}" if abs(value) < 1e8 else f"{value:.3g}"


def _legend(picture: Picture, width: int, unicode: bool, style: Style) -> list[str]:
    marks = {"history": "⣀⠤⠒", "forecast": "⣀⠤⠒", "actual": DOT} if unicode else PLAIN
    shades = SHADES if unicode else PLAIN["shades"]
    parts = [(marks[kind], kind, kind) for kind in ("history", "forecast")]
    widest = max(picture.levels, default=None)
    for level in picture.levels:
        shade = shades[0 if level == widest else 1]
        parts.append((shade * 2, "interval", f"{level:g} %"))
    if any(np.isfinite(drawn.actual).any() for drawn in picture.series):
        parts.append((marks["actual"], "actual", "actual"))
    lines, used = [""], 0
    for mark, kind, name in parts:
        size = len(mark) + 1 + len(name)
        between = 3 if used else 0
        if used and used + between + size > width:
            lines, used, between = [*lines, ""], 0, 0
        lines[-1] += " " * between + f"{style(mark, kind)} {name}"
        used += between + size
    return lines

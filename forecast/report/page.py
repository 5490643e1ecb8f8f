"""A report as one page of HTML that needs no other file: text, tables, charts, and the series as compact numbers."""

import hashlib
import json
import math
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np

from forecast.errors import Setting, UsageError, visible
from forecast.panel.naming import series_name
from forecast.panel.panel import Integers
from forecast.panel.schema import calendar_of, position_texts
from forecast.report.chart import PlotData, actuals_at

MOST_NUMBERS = 2_700_000  # of all series; 6 to 9 characters each
SHORTEST = 8  # steps of history, at least
PER_PAGE = 12  # series

CONTROLS = """<form id="controls" role="search" aria-label="Series" hidden>\
<label>Search <input type="search" id="search" autocomplete="off" aria-controls="series"></label> \
<label>Sort by <select id="sort" aria-controls="series">{choices}</select></label> \
<button type="button" id="previous" aria-controls="series">Previous</button> \
<button type="button" id="next" aria-controls="series">Next</button></form>
<p id="shown" role="status">{count:,} series</p>
<ul id="legend" class="legend"></ul>
<div id="series"></div>
"""
APART = '<div class="sums"><ul class="legend"></ul><div class="series"></div>'
SUFFIX = ".html"
CODE = re.compile("`([^`]+)`")
MOST_LINES = 6  # of a chart, those that the style tells apart
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; form-action 'none'; \
style-src '{style_hash}'; script-src '{script_hash}'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<a class="skip" href="#verdict">Skip to the verdict</a>
<header>
<h1>{title}</h1>
<button type="button" id="theme" hidden>Dark colours</button>
</header>
<main>
<p id="verdict" class="verdict" tabindex="-1">{verdict}</p>
<nav aria-label="Sections"><ol>{links}</ol></nav>
<p id="unscripted">Scripts are off here, as in mail programs. Open this file in a browser to see its charts and all \
series; verdict and tables are complete.</p>
"""
END = """</main>
<footer><p>{made}</p></footer>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Gallery:
    """Series that a page shows, with as much of their past as a page of some megabytes has room for."""

    data: PlotData
    measure: str  # what the errors are
    errors: Mapping[tuple[str, ...], float]  # of the forecaster in the past, by ids
    notes: Sequence[str]  # [forecasts], what forecasts each series
    searched: bool = True  # the one of a page whose series are searched and paged; others show the first of theirs


def gallery_html(gallery: Gallery) -> Iterator[str]:
    """The controls, and the numbers of all series as JSON that the script reads."""
    data = gallery.data
    total, horizon, columns = data.numbers.shape
    if not total:
        return
    last, times = np.unique(data.first - 1, return_inverse=True)
    shared = 2 * len(last) * (1 + horizon) / total  # times, in numbers of a series
    ahead = int(columns * horizon + shared)
    count = min(
        total if gallery.searched else PER_PAGE, total, max(1, MOST_NUMBERS // (ahead + SHORTEST))
    )
    steps = int(np.clip(MOST_NUMBERS // count - ahead, SHORTEST, data.usual_history))
    if total > count:
        yield f"<p>The first {count:,} of {total:,} series have room in this file.</p>\n"
    orders = {"input": "order of the table", "name": "name"}
    if not gallery.errors.keys().isdisjoint(data.ids[:count]):
        orders |= {"worst": "largest error first", "best": "smallest error first"}
    choices = "".join(f'<option value="{value}">{text}</option>' for value, text in orders.items())
    yield CONTROLS.format(choices=choices, count=count) if gallery.searched else APART
    # texts of the last value and of each forecast, by the end of the past
    positions = last[:, None] + np.arange(horizon + 1)
    texts = position_texts(data.schema, calendar_of(data.schema), positions.ravel())
    shown = np.array([visible(text.removesuffix(" 00:00:00")) for text in texts], object).reshape(
        positions.shape
    )
    head = {
        "levels": data.levels,
        "measure": gallery.measure,
        "perPage": PER_PAGE,
        "times": shown.tolist(),
    }
    name = "id" if gallery.searched else "class"
    yield f'<script type="application/json" {name}="data">{as_json(head)[:-1]},"series":[\n'
    for index, series in enumerate(_series(gallery, count, times, steps)):
        yield f"{',' * bool(index)}{series}\n"
    yield "]}</script>\n" + "</div>\n" * (not gallery.searched)


def as_json(value: object) -> str:
    """A value as JSON in which no text ends a script."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _series(gallery: Gallery, count: int, times: Integers, steps: int) -> Iterator[str]:
    """Each series as JSON: name, note, error, which times, past, forecast, and the ends of each interval."""
    data, ids, first = gallery.data, gallery.data.ids[:count], gallery.data.first[:count]
    past = actuals_at(data.panel, ids, first - steps, steps)
    begun = np.clip(data.panel.starts[data.series[:count]] - (first - steps), 0, steps - 1)
    for i in range(count):
        name = visible(series_name(ids[i]) or data.schema.target or "the series")
        arrays = [past[i, begun[i] :], *data.numbers[i].T]
        head = name, gallery.notes[i], _short(gallery.errors.get(ids[i], np.nan)), int(times[i])
        yield as_json([*head, *([_short(value) for value in array.tolist()] for array in arrays)])


def _short(value: float) -> float | None:
    """A number rounded to few digits; None if it is not finite."""
    if not np.isfinite(value):
        return None
    number = float(f"{value:.4g}")
    return int(number) if abs(number) < 1e8 and number.is_integer() else number


@dataclass(frozen=True)
class Bar:
    value: float
    share: float  # of the largest number, which the bar shows


Cell = str | float | int | Bar | None


@dataclass(frozen=True)
class Table:
    caption: str
    head: tuple[str, ...]
    rows: tuple[
        tuple[Cell, ...], ...
    ]  # numbers are written with three digits, None is an empty cell
    folded: bool = False  # whether it is behind a line that opens it


@dataclass(frozen=True)
class LineChart:
    """Lines over shared points of the horizontal axis."""

    title: str
    across: str  # name of that axis
    ends: tuple[str, str]  # names of its first point and of its last
    lines: Mapping[str, Sequence[float | None]]  # by name; None is a gap
    targets: tuple[float, ...] = ()  # levels that some values should have


@dataclass(frozen=True)
class Facts:
    rows: tuple[tuple[str, str], ...]  # names, and a text for each


@dataclass(frozen=True)
class Commands:
    lines: tuple[str, ...]  # for a shell


Part = str | Table | Facts | LineChart | Commands | Gallery


@dataclass(frozen=True)
class Section:
    title: str
    parts: tuple[Part, ...]


def check_report(output: str) -> None:
    if not output.lower().endswith(SUFFIX):
        raise UsageError(
            f"a report is written as {SUFFIX}",
            setting=Setting("output", output),
            cure="name such a file",
        )


def page_bytes(title: str, verdict: str, sections: Sequence[Section], made: str) -> Iterator[bytes]:
    """A report as the content of a file, in pieces; `made` says by what and when."""
    folder = files("forecast.report")
    style, script = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    heads = {
        "title": _text(title),
        "verdict": _text(verdict).replace(" %", "&nbsp;%"),
        "style": style,
    }
    heads["links"] = "".join(
        f'<li><a href="#s{i}">{_text(part.title)}</a></li>' for i, part in enumerate(sections, 1)
    )
    for name, source in (("style_hash", style), ("script_hash", script)):
        heads[name] = "sha256-" + b64encode(hashlib.sha256(source.encode()).digest()).decode()
    yield PAGE.format(**heads).encode()
    for number, section in enumerate(sections, 1):
        yield f'<section aria-labelledby="s{number}">\n<h2 id="s{number}">{_text(section.title)}</h2>\n'.encode()
        for part in section.parts:
            yield from (piece.encode() for piece in _html(part))
        yield b"</section>\n"
    yield END.format(made=_text(made), script=script).encode()


def number(value: float) -> str:
    """A number with three digits: 0.0123, 12.3, 1,234."""
    if not math.isfinite(value):
        return ""
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}" if abs(value) < 1e12 else f"{value:.3g}"
    return f"{value:.3g}" if value == 0 or abs(value) >= 1e-4 else f"{value:.1e}"


def _text(text: str) -> str:
    return escape(visible(text))


def _html(part: Part) -> Iterator[str]:
    match part:
        case str():
            yield "<p>" + CODE.sub(r"<code>\1</code>", _text(part)) + "</p>\n"
        case Facts():
            rows = "".join(
                f"<div><dt>{_text(name)}</dt><dd>{_text(text)}</dd></div>\n"
                for name, text in part.rows
            )
            yield f"<dl>\n{rows}</dl>\n"
        case Commands():
            lines = "\n".join(map(_text, part.lines))
            yield f'<pre tabindex="0"><code>{lines}</code></pre>\n'
        case LineChart():
            yield _figure(part)
        case Gallery():
            yield from gallery_html(part)
        case Table():
            yield from _table(part)


def _figure(chart: LineChart) -> str:
    """What the script draws a chart from; nothing where it has no two points or no number."""
    lines = list(chart.lines.values())[:MOST_LINES]
    if max(map(len, lines), default=0) < 2 or all(
        value is None for line in lines for value in line
    ):
        return ""
    names = [visible(name) for name in chart.lines][:MOST_LINES]
    texts = [visible(text) for text in (chart.title, chart.across, *chart.ends)]
    data = (
        f'<script type="application/json">{as_json([*texts, names, lines, chart.targets])}</script>'
    )
    return f'<figure class="lines"><figcaption>{_text(chart.title)}</figcaption>{data}</figure>\n'


def _table(table: Table) -> Iterator[str]:
    caption = _text(table.caption)
    if table.folded:
        yield f"<details><summary>{caption}</summary>\n"
    yield f'<div class="scroll" role="group" tabindex="0" aria-label="{caption}"><table><caption>{caption}</caption>\n'
    numeric = [
        any(isinstance(row[i], Bar | float | int) for row in table.rows)
        for i in range(len(table.head))
    ]
    classes = [' class="num"' * right for right in numeric]
    heads = [
        f'<th scope="col"{kind}>{_text(name)}</th>'
        for name, kind in zip(table.head, classes, strict=True)
    ]
    yield f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n"
    for row in table.rows:
        cells = [
            f"<td{kind}>{_cell(value)}</td>"
            for value, kind in zip(row[1:], classes[1:], strict=True)
        ]
        yield f'<tr><th scope="row"{classes[0]}>{_cell(row[0])}</th>{"".join(cells)}</tr>\n'
    yield "</tbody></table></div>\n" + "</details>\n" * table.folded


def _cell(value: Cell) -> str:
    if isinstance(value, Bar):
        bar = f'<rect class="fill" width="{round(100 * min(max(value.share, 0), 1))}" height="10"/>'
        svg = '<svg class="bar" viewBox="0 0 100 10" width="100" height="10" aria-hidden="true">'
        return f"{number(value.value)} {svg}{bar}</svg>"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return number(value)
    return "" if value is None else _text(value)

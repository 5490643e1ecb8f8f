"""A report as one page of HTML that needs no other file.

The page holds text, tables, charts, and the numbers of series in a compact form.
"""

import hashlib
import json
import math
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

import numpy as np

from forecast.errors import Setting, UsageError, visible
from forecast.panel.panel import Id, Integers, series_name
from forecast.panel.schema import position_texts
from forecast.report.chart import PlotData
from forecast.windows.origins import find_values

MOST_NUMBERS = 2_700_000  # most numbers of all series together; 6 to 9 characters each
SHORTEST_HISTORY = 8  # fewest steps of history
PER_PAGE = 12  # series on a page of the gallery

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
PAGE_SUFFIX = ".html"
CODE_MARK = re.compile("`([^`]+)`")
MOST_LINES = 6  # most lines of a chart, as the style tells no more apart
REPORT_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; base-uri 'none'; \
form-action 'none'; style-src '{style_hash}'; script-src '{script_hash}'">
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
<p id="unscripted">Scripts are off here, as in mail programs. Open this file in a browser to see \
its charts and all series; verdict and tables are complete.</p>
"""
END = """</main>
<footer><p>{made}</p></footer>
<script>{script}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class Gallery:
    """The series that a page shows.

    They have as much of their past as fits into a page of some megabytes.
    """

    data: PlotData
    errors: Mapping[Id, float]  # MASE of the forecaster in the past, by ids
    notes: Sequence[str]  # [forecasts], which models forecast each series
    # whether the reader can search and page through the series; a page has one such gallery, and
    # the others show only their first series
    searched: bool = True


def gallery_html(gallery: Gallery) -> Iterator[str]:
    """The controls, and the numbers of all series as JSON, which the script of the page reads."""
    data = gallery.data
    total, horizon, columns = data.numbers.shape
    if not total:
        return
    last, time_index = np.unique(data.first - 1, return_inverse=True)
    times_share = 2 * len(last) * (1 + horizon) / total  # what times cost, as numbers a series
    ahead = int(columns * horizon + times_share)
    room = max(1, MOST_NUMBERS // (ahead + SHORTEST_HISTORY))
    count = min(total, room) if gallery.searched else min(total, room, PER_PAGE)
    steps = int(np.clip(MOST_NUMBERS // count - ahead, SHORTEST_HISTORY, data.usual_history))
    if total > count:
        yield f"<p>The first {count:,} of {total:,} series have room in this file.</p>\n"
    if gallery.searched:
        orders = {"input": "order of the table", "name": "name"}
        if not gallery.errors.keys().isdisjoint(data.ids[:count]):
            orders |= {"worst": "largest error first", "best": "smallest error first"}
        options = [f'<option value="{value}">{text}</option>' for value, text in orders.items()]
        yield CONTROLS.format(choices="".join(options), count=count)
        name = "id"
    else:
        yield APART
        name = "class"

    # times of the last value and of each forecast as text, for each end of the past
    positions = last[:, None] + np.arange(horizon + 1)
    texts = position_texts(data.schema, positions.ravel())
    short = [visible(text.removesuffix(" 00:00:00")) for text in texts]
    head = {
        "levels": list(data.intervals),
        "measure": "MASE",
        "perPage": PER_PAGE,
        "times": np.reshape(short, positions.shape).tolist(),
    }
    yield f'<script type="application/json" {name}="data">{as_json(head)[:-1]},"series":[\n'
    yield ",".join(f"{series}\n" for series in _series(gallery, count, time_index, steps))
    yield "]}</script>\n" + "</div>\n" * (not gallery.searched)


def as_json(value: object) -> str:
    """A value as JSON that is safe within a script element."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _series(gallery: Gallery, count: int, time_index: Integers, steps: int) -> Iterator[str]:
    """Each series as JSON.

    Its fields are name, note, error, index of its times, past, forecast, and interval ends.
    """
    data = gallery.data
    ids = data.ids[:count]
    start = data.first[:count] - steps
    past = find_values(data.panel, ids, start, steps)
    starts = data.panel.starts[data.series[:count]]
    begun = np.clip(starts - start, 0, steps - 1)
    for i in range(count):
        name = visible(series_name(ids[i]) or data.schema.target or "the series")
        error = _short(gallery.errors.get(ids[i], np.nan))
        rows = [past[i, begun[i] :], *data.numbers[i].T]
        numbers = [[_short(value) for value in row.tolist()] for row in rows]
        yield as_json([name, gallery.notes[i], error, int(time_index[i]), *numbers])


def _short(value: float) -> float | None:
    """A number rounded to few digits; None if it is not finite."""
    if not math.isfinite(value):
        return None
    number = float(f"{value:.4g}")
    if abs(number) < 1e8 and number.is_integer():
        return int(number)
    return number


@dataclass(frozen=True)
class Bar:
    value: float
    share: float  # share of the largest number, shown as a bar


def bars(values: Iterable[float]) -> list[Bar]:
    values = list(values)
    largest = max(map(abs, values), default=0.0) or 1.0
    return [Bar(value, value / largest) for value in values]


Cell = str | float | int | Bar | None
Rows = list[tuple[Cell, ...]]


@dataclass(frozen=True)
class PageTable:
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]  # numbers get three digits; None is an empty cell
    folded: bool = False  # whether the reader has to open the table


@dataclass(frozen=True)
class LineChart:
    """Lines that share the points of the horizontal axis."""

    title: str
    across: str  # name of that axis
    ends: tuple[str, str]  # names of its first point and of its last
    lines: Mapping[str, Sequence[float | None]]  # by name; None is a gap
    targets: tuple[float, ...] = ()  # values that some lines should reach


@dataclass(frozen=True)
class CommandBlock:
    lines: tuple[str, ...]  # command lines of a shell


Part = str | PageTable | LineChart | CommandBlock | Gallery


@dataclass(frozen=True)
class Section:
    title: str
    parts: tuple[Part, ...]


def check_report(output: str) -> None:
    if not output.lower().endswith(PAGE_SUFFIX):
        setting = Setting("output", output)
        problem = f"a report is written as {PAGE_SUFFIX}"
        raise UsageError(problem, setting=setting, cure="name such a file")


def render_page(title: str, verdict: str, sections: Sequence[Section], made: str) -> Iterator[str]:
    """The HTML of a report, in pieces; `made` says which program made it, and when."""
    folder = files("forecast.report")
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    script = folder.joinpath("page.js").read_text(encoding="utf-8")
    titles = [_text(section.title) for section in sections]
    links = [f'<li><a href="#s{i}">{text}</a></li>' for i, text in enumerate(titles, 1)]
    yield REPORT_PAGE.format(
        title=_text(title),
        verdict=_text(verdict).replace(" %", "&nbsp;%"),
        style=style,
        style_hash=_hash(style),
        script_hash=_hash(script),
        links="".join(links),
    )
    for i, section in enumerate(sections, 1):
        yield f'<section aria-labelledby="s{i}">\n<h2 id="s{i}">{titles[i - 1]}</h2>\n'
        for part in section.parts:
            yield from _html(part)
        yield "</section>\n"
    yield END.format(made=_text(made), script=script)


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return "sha256-" + b64encode(digest).decode()


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
            yield "<p>" + CODE_MARK.sub(r"<code>\1</code>", _text(part)) + "</p>\n"
        case CommandBlock():
            lines = "\n".join(map(_text, part.lines))
            yield f'<pre tabindex="0"><code>{lines}</code></pre>\n'
        case LineChart():
            yield _figure(part)
        case Gallery():
            yield from gallery_html(part)
        case PageTable():
            yield from _table(part)


def _figure(chart: LineChart) -> str:
    """The data of a chart for the script; "" if it has fewer than two points, or no number."""
    lines = list(chart.lines.values())[:MOST_LINES]
    numbers = [value for line in lines for value in line if value is not None]
    if not numbers or max(map(len, lines)) < 2:
        return ""
    names = [visible(name) for name in chart.lines][:MOST_LINES]
    texts = [visible(text) for text in (chart.title, chart.across, *chart.ends)]
    content = as_json([*texts, names, lines, chart.targets])
    data = f'<script type="application/json">{content}</script>'
    return f'<figure class="lines"><figcaption>{_text(chart.title)}</figcaption>{data}</figure>\n'


def _table(table: PageTable) -> Iterator[str]:
    caption = _text(table.caption)
    if table.folded:
        yield f"<details><summary>{caption}</summary>\n"
    group = f'<div class="scroll" role="group" tabindex="0" aria-label="{caption}">'
    yield f"{group}<table><caption>{caption}</caption>\n<thead><tr>"
    classes = []
    for i, name in enumerate(table.head):
        numeric = any(isinstance(row[i], Bar | float | int) for row in table.rows)
        classes.append(' class="num"' if numeric else "")
        yield f'<th scope="col"{classes[i]}>{_text(name)}</th>'
    yield "</tr></thead>\n<tbody>\n"
    for row in table.rows:
        first, *others = map(_cell, row)
        cells = [f"<td{kind}>{text}</td>" for text, kind in zip(others, classes[1:], strict=True)]
        yield f'<tr><th scope="row"{classes[0]}>{first}</th>{"".join(cells)}</tr>\n'
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

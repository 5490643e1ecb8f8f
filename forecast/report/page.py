"""A report as one page of HTML that needs no other file: text, tables, charts, and the series."""

import hashlib
import math
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from forecast.errors import Setting, UsageError, visible
from forecast.report.gallery import Gallery, as_json, gallery_html

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
class Bar:
    value: float
    share: float  # of the largest number, which the bar shows


Cell = str | float | int | Bar | None


@dataclass(frozen=True)
class Table:
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]  # numbers are written with three digits, None is an empty cell
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
    """Refuse an output file whose suffix is not that of a page."""
    if not output.lower().endswith(SUFFIX):
        raise UsageError(f"a report is written as {SUFFIX}", setting=Setting("output", output), cure="name such a file")


def page_bytes(title: str, verdict: str, sections: Sequence[Section], made: str) -> Iterator[bytes]:
    """A report as the content of a file, in pieces; `made` says by what and when."""
    folder = files("forecast.report")
    style, script = (folder.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    heads = {"title": _text(title), "verdict": _text(verdict).replace(" %", "&nbsp;%"), "style": style}
    heads["links"] = "".join(f'<li><a href="#s{i}">{_text(part.title)}</a></li>' for i, part in enumerate(sections, 1))
    yield PAGE.format(**heads, style_hash=_hash(style), script_hash=_hash(script)).encode()
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


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    return escape(visible(text))


def _html(part: Part) -> Iterator[str]:
    match part:
        case str():
            yield "<p>" + CODE.sub(r"<code>\1</code>", _text(part)) + "</p>\n"
        case Facts():
            rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(text)}</dd></div>\n" for name, text in part.rows)
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
    if max(map(len, lines), default=0) < 2 or all(value is None for line in lines for value in line):
        return ""
    names = [visible(name) for name in chart.lines][:MOST_LINES]
    texts = [visible(text) for text in (chart.title, chart.across, *chart.ends)]
    data = f'<script type="application/json">{as_json([*texts, names, lines, chart.targets])}</script>'
    return f'<figure class="lines"><figcaption>{_text(chart.title)}</figcaption>{data}</figure>\n'


def _table(table: Table) -> Iterator[str]:
    caption = _text(table.caption)
    if table.folded:
        yield f"<details><summary>{caption}</summary>\n"
    yield f'<div class="scroll" role="group" tabindex="0" aria-label="{caption}"><table><caption>{caption}</caption>\n'
    numeric = [any(isinstance(row[i], Bar | float | int) for row in table.rows) for i in range(len(table.head))]
    classes = [' class="num"' * right for right in numeric]
    heads = [f'<th scope="col"{kind}>{_text(name)}</th>' for name, kind in zip(table.head, classes, strict=True)]
    yield f"<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>\n"
    for row in table.rows:
        cells = [f"<td{kind}>{_cell(value)}</td>" for value, kind in zip(row[1:], classes[1:], strict=True)]
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

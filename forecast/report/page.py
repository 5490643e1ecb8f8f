"""A report as one page of HTML that needs no other file: text, tables, charts, and the series."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from forecast.errors import Setting, UsageError, visible
from forecast.report.charts import Chart, chart_svg, number
from forecast.report.gallery import Gallery, gallery_html

SUFFIX = ".html"
CODE = re.compile("`([^`]+)`")

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
"""

END = """</main>
<footer><p>{made}</p></footer>
<script>{script}</script>
</body>
</html>
"""

Cell = str | float | int | None


@dataclass(frozen=True)
class Bar:
    """A number with a bar that shows its share of the largest one."""

    value: float
    share: float


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes
    ----------
    caption : what it shows
    head : names of the columns
    rows : cells; numbers are written with three digits, None is an empty cell
    folded : whether it is behind a line that opens it
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell | Bar, ...], ...]
    folded: bool = False


@dataclass(frozen=True)
class Facts:
    """Names, and a text for each."""

    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Commands:
    """Lines for a shell."""

    lines: tuple[str, ...]


Part = str | Table | Facts | Chart | Commands | Gallery


@dataclass(frozen=True)
class Section:
    """A heading, and what is below it."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Page:
    """A report.

    Attributes
    ----------
    title, verdict : one sentence each
    sections : in the order in which they are read
    made : by what and when it was made
    """

    title: str
    verdict: str
    sections: tuple[Section, ...]
    made: str


def check_report(output: str) -> None:
    """Refuse an output file whose suffix is not that of a page."""
    if not output.lower().endswith(SUFFIX):
        raise UsageError(f"a report is written as {SUFFIX}", setting=Setting("output", output), cure="name such a file")


def page_bytes(page: Page) -> Iterator[bytes]:
    """A report as the content of a file, in pieces."""
    style, script = (_own(name) for name in ("page.css", "page.js"))
    links = "".join(f'<li><a href="#s{i}">{_text(each.title)}</a></li>' for i, each in enumerate(page.sections, 1))
    yield PAGE.format(
        title=_text(page.title),
        verdict=_text(page.verdict).replace(" %", "&nbsp;%"),
        links=links,
        style=style,
        style_hash=_hash(style),
        script_hash=_hash(script),
    ).encode()
    for place, section in enumerate(page.sections, 1):
        yield f'<section aria-labelledby="s{place}">\n<h2 id="s{place}">{_text(section.title)}</h2>\n'.encode()
        for part in section.parts:
            yield from (piece.encode() for piece in _part(part))
        yield b"</section>\n"
    yield END.format(made=_text(page.made), script=script).encode()


def _own(name: str) -> str:
    """A file beside this one."""
    return files("forecast.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy allows a script or style by."""
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    return escape(visible(text))


def _part(part: Part) -> Iterator[str]:
    if isinstance(part, str):
        text = CODE.sub(r"<code>\1</code>", _text(part))
        yield f"<p>{text}</p>\n"
    elif isinstance(part, Facts):
        rows = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(text)}</dd></div>\n" for name, text in part.rows)
        yield f"<dl>\n{rows}</dl>\n"
    elif isinstance(part, Commands):
        yield f'<pre tabindex="0"><code>{_text(part.lines[0])}'
        yield from (f"\n{_text(line)}" for line in part.lines[1:])
        yield "</code></pre>\n"
    elif isinstance(part, Chart):
        yield chart_svg(part)
    elif isinstance(part, Gallery):
        yield from gallery_html(part)
    else:
        yield from _table(part)


def _table(table: Table) -> Iterator[str]:
    caption = _text(table.caption)
    if table.folded:
        yield f"<details><summary>{caption}</summary>\n"
    yield f'<div class="scroll" role="group" tabindex="0" aria-label="{caption}"><table><caption>{caption}</caption>\n'
    right = [any(isinstance(row[place], Bar | float | int) for row in table.rows) for place in range(len(table.head))]
    cells = [f'<th scope="col"{_class(num)}>{_text(name)}</th>' for name, num in zip(table.head, right, strict=True)]
    yield f"<thead><tr>{''.join(cells)}</tr></thead>\n<tbody>\n"
    for row in table.rows:
        cells = [f"<td{_class(num)}>{_cell(value)}</td>" for value, num in zip(row[1:], right[1:], strict=True)]
        yield f'<tr><th scope="row"{_class(right[0])}>{_cell(row[0])}</th>{"".join(cells)}</tr>\n'
    yield "</tbody></table></div>\n" + "</details>\n" * table.folded


def _class(num: bool) -> str:
    return ' class="num"' if num else ""


def _cell(value: Cell | Bar) -> str:
    if isinstance(value, Bar):
        width = round(100 * min(max(value.share, 0), 1))
        bar = '<svg class="bar" viewBox="0 0 100 10" width="100" height="10" aria-hidden="true">'
        return f'{number(value.value)} {bar}<rect class="fill" width="{width}" height="10"/></svg>'
    if isinstance(value, float | int):
        return number(value)
    return "" if value is None else _text(value)

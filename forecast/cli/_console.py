"""Write to the terminal: messages and progress to stderr, text, tables and JSON to stdout."""

import json
import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from forecast.cli._help import MESSAGES, option
from forecast.errors import as_flag, message_of, visible

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from forecast.evaluation.backtest import Fold
    from forecast.report.chart import Chart
    from forecast.training.context import Progress as Training

UNLIMITED_WIDTH = 10_000  # characters, more than any table needs

WIDEST_CHART = 120  # characters
# of the parts of a chart; their characters differ, too
STYLES = {"forecast": "bold cyan", "interval": "cyan", "actual": "bold red", "title": "bold", "note": "dim"}

_style = {"format": "text", "quiet": False}


def style_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet and --log-format, which every command has."""

    def set_quiet(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        _style["quiet"] = value
        _listen()

    def set_format(ctx: click.Context, parameter: click.Parameter, value: str) -> None:
        _style["format"] = value

    quiet = option(
        "--quiet",
        heading=MESSAGES,
        is_flag=True,
        expose_value=False,
        callback=set_quiet,
        help="print errors only",
        is_eager=True,
    )
    form = option(
        "--log-format",
        heading=MESSAGES,
        first=False,
        type=click.Choice(["text", "json"]),
        default="text",
        expose_value=False,
        callback=set_format,
        is_eager=True,
        help="format of messages on stderr",
    )
    return quiet(form(function))


def be_quiet() -> None:
    """Write errors only, as with --quiet."""
    _style["quiet"] = True
    _listen()


def say(text: str, level: str = "info", **fields: Any) -> None:
    """Write a message to stderr, unless --quiet."""
    if not _style["quiet"]:
        _write(text, level, fields)


def say_lines(lines: Iterable[str]) -> None:
    """Write several messages to stderr, one line each."""
    for line in lines:
        say(line)


def say_next(*words: str | None) -> None:
    """Name the next sensible command on a terminal, unless --quiet.

    Parameters
    ----------
    words : of the command; None is left out. A command that reads stdin (-) is not named, as stdin is read once
    """
    if _style["format"] == "text" and sys.stderr.isatty() and "-" not in words:
        say("next     " + shlex.join(["forecast", *(word for word in words if word is not None)]))


def say_error(text: str, code: int) -> None:
    """Write the error that ends the command to stderr."""
    _write(text, "error", {"exit_code": code})


def put(*lines: str) -> None:
    """Write lines of text to stdout."""
    for line in lines:
        click.echo(visible(line))


def put_json(value: Any, indent: int | None = None) -> None:
    """Write a value to stdout as JSON, exact and safe on a terminal."""
    click.echo(as_json(value, indent))


def put_table(table: "Table", width: int | None = None) -> None:
    """Write a table of rich to stdout; on a narrow terminal lines wrap, and no number is cut.

    Parameters
    ----------
    width : characters of a line if stdout is not a terminal
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console() if sys.stdout.isatty() else Console(width=width)
    wide = console.options.update(width=UNLIMITED_WIDTH)
    console.width = max(console.width, Measurement.get(console, wide, table).minimum + 2)  # rich leaves out the edges
    with console.capture() as captured:
        console.print(table)
    click.echo(captured.get(), nl=False)  # click handles readers that stop early, such as head


def put_numbers(heads: Sequence[str], texts: int, rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """Write a table to stdout whose first columns are texts and the others numbers.

    Parameters
    ----------
    texts : how many columns are texts
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    name = None if title is None else cell(title)
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title=name, title_justify="left")
    for place, head in enumerate(heads):
        number = place >= texts
        table.add_column(cell(head), justify="right" if number else "left", no_wrap=number or head == "model")
    for row in rows:
        table.add_row(*map(cell, row))
    put_table(table)


def put_chart(chart: "Chart", width: int = 100) -> None:
    """Write a chart to stdout as characters; a terminal gets colours, and lines as wide as it is.

    Parameters
    ----------
    width : characters of a line if stdout is not a terminal
    """
    from rich.console import Console
    from rich.text import Text

    from forecast.report.terminal import terminal_lines

    console = Console(highlight=False) if sys.stdout.isatty() else Console(width=width, highlight=False)
    unicode = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")

    def style(text: str, kind: str) -> str:
        coloured = Text(text, STYLES.get(kind, ""))
        with console.capture() as captured:
            console.print(coloured, end="", soft_wrap=True)
        return captured.get()

    for line in terminal_lines(chart, min(console.width, WIDEST_CHART), unicode, style):
        click.echo(line)


def cell(text: object) -> "Text":
    """A cell or header for a table of rich: plain text without markup."""
    from rich.text import Text

    return Text(visible(str(text)))


def visible_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A frame in which control characters of names and texts are escaped."""
    shown = frame.rename(columns=lambda name: visible(str(name)))
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            shown.isetitem(
                place, [visible(value) if isinstance(value, str) else value for value in frame.iloc[:, place]]
            )
    return shown


@contextmanager
def progress_bar() -> "Iterator[Callable[[Training], None] | None]":
    """Show the progress of training on a terminal, with loss and time left; elsewhere yield None."""
    with _bar("training") as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("", total=None, loss="")

        def show(at: "Training") -> None:
            bar.update(task, total=at.steps, completed=at.step, loss=_loss(at))

        yield show


@contextmanager
def fold_bar() -> "Iterator[tuple[Callable[[Fold], None] | None, Callable[[Training], None] | None]]":
    """Show the progress of a backtest on a terminal, and of the training of each fit; elsewhere yield None."""
    with _bar("backtest") as bar:
        if bar is None:
            yield None, None
            return
        task = bar.add_task("", total=None, loss="")
        over = 0

        def show_fold(at: "Fold") -> None:
            nonlocal over
            over = at.done
            bar.update(task, total=at.folds, completed=at.done, loss=at.model)

        def show_step(at: "Training") -> None:
            bar.update(task, completed=over + at.step / at.steps, loss=_loss(at))

        yield show_fold, show_step


@contextmanager
def steps_bar(title: str, unit: str) -> "Iterator[Callable[[int, int], None] | None]":
    """Show on a terminal how many series are forecast, or inputs explained; elsewhere yield None."""
    with _bar(title) as bar:
        if bar is None:
            yield None
            return
        task = bar.add_task("", total=None, loss="")

        def show(done: int, total: int) -> None:
            bar.update(task, total=total, completed=done, loss=f"{done:,} of {total:,} {unit}")

        yield show


@contextmanager
def _bar(title: str) -> "Iterator[Progress | None]":
    if _style["quiet"] or _style["format"] != "text" or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(title), BarColumn(), TextColumn("{task.fields[loss]}", markup=False), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


def _loss(at: "Training") -> str:
    held_out = "" if at.validation is None else f", held out {at.validation:.4f}"
    return f"loss {at.loss:.4f}{held_out}"


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(message_of(record, as_flag), record.levelname.lower())


def _listen() -> None:
    logger = logging.getLogger("forecast")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [_Handler()]


def _write(text: str, level: str, fields: dict[str, Any]) -> None:
    if _style["format"] == "json":
        line = as_json({"level": level, "message": text, **fields})
    else:
        line = visible(text) if level == "info" else f"{level}: {visible(text)}"
    with suppress(OSError):  # a message that cannot be written does not change the result
        click.echo(line, err=True)


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON, with unprintable characters escaped."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)

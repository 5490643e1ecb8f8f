"""Write to the terminal: messages on stderr as text or JSON, a progress bar, text and JSON on stdout."""

import json
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from forecast.errors import as_flag, message_of

if TYPE_CHECKING:
    import pandas as pd
    from rich.progress import Progress
    from rich.table import Table
    from rich.text import Text

    from forecast.evaluation.backtest import Fold
    from forecast.training.context import Progress as Training

WIDEST = 10_000  # characters of a line, beyond all tables

_style = {"format": "text", "quiet": False}


def style_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --quiet and --log-format, which every command has."""

    def set_quiet(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        _style["quiet"] = value
        _listen()

    def set_format(ctx: click.Context, parameter: click.Parameter, value: str) -> None:
        _style["format"] = value

    quiet = click.option(
        "--quiet", is_flag=True, expose_value=False, callback=set_quiet, help="say only errors", is_eager=True
    )
    form = click.option(
        "--log-format",
        type=click.Choice(["text", "json"]),
        default="text",
        expose_value=False,
        callback=set_format,
        is_eager=True,
        help="how messages on stderr are written",
    )
    return quiet(form(function))


def say(text: str, level: str = "info", **fields: Any) -> None:
    """Say one thing on stderr, unless --quiet."""
    if not _style["quiet"]:
        _write(text, level, fields)


def say_lines(lines: Iterable[str]) -> None:
    """Say several things on stderr, each a message of one line."""
    for line in lines:
        say(line)


def say_error(text: str, code: int) -> None:
    """Say why the command fails."""
    _write(text, "error", {"exit_code": code})


def put(*lines: str) -> None:
    """Write lines for people to stdout."""
    for line in lines:
        click.echo(visible(line))


def put_json(value: Any, indent: int | None = None) -> None:
    """Write a value to stdout as JSON, exact, and safe on a terminal."""
    click.echo(as_json(value, indent))


def put_table(table: "Table", width: int | None = None) -> None:
    """Write a table of rich to stdout; a terminal that is too narrow for its numbers breaks lines, and loses none.

    Parameters
    ----------
    width : characters of a line where stdout is no terminal
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console() if sys.stdout.isatty() else Console(width=width)
    wide = console.options.update(width=WIDEST)
    console.width = max(console.width, Measurement.get(console, wide, table).minimum + 2)  # rich counts no edges
    with console.capture() as held:
        console.print(table)
    click.echo(held.get(), nl=False)  # this way a reader that has enough, such as head, is no failure


def cell(text: object) -> "Text":
    """A cell or header for a table of rich: plain text, in which brackets and colons mean nothing."""
    from rich.text import Text

    return Text(visible(str(text)))


def visible_frame(frame: "pd.DataFrame") -> "pd.DataFrame":
    """A frame whose names and texts show their control characters written out."""
    shown = frame.rename(columns=lambda name: visible(str(name)))
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O":
            shown.isetitem(place, [visible(one) if isinstance(one, str) else one for one in frame.iloc[:, place]])
    return shown


@contextmanager
def progress_bar() -> "Iterator[Callable[[Training], None] | None]":
    """Show training on a terminal, with loss and time left; None elsewhere."""
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
    """Show the fits of a backtest on a terminal, and the training of each; None elsewhere."""
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
    with suppress(OSError):  # a message that cannot be written changes no outcome
        click.echo(line, err=True)


def visible(text: str, keep: str = "") -> str:
    """A text whose control characters, which ids and names may hold, are written out; those in `keep` stay."""
    return "".join(c if c.isprintable() or c in keep else repr(c)[1:-1] for c in text)


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON, in which what cannot be printed is written as an escape of JSON."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)

"""Write messages and progress to stderr, and text, tables and JSON to stdout."""

import logging
import os
import shlex
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import isfinite
from typing import TYPE_CHECKING, Any

import click

from forecast.errors import Message, as_flag, visible
from forecast.parallel import cluster, workers

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from forecast.engine.requests import Fold
    from forecast.training.plan import Progress as Training

WIDTH = 160  # characters in a line of a status if stdout is not a terminal
style = {"format": "text", "quiet": False}  # what --log-format and --quiet say


def listen(quiet: bool) -> None:
    """Show log messages from now on, or with --quiet errors only."""
    style["quiet"] = quiet
    logger = logging.getLogger("forecast")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [_Handler()]


def log(text: str, level: str = "info") -> None:
    """Write a message to stderr, unless --quiet."""
    if not style["quiet"]:
        _write(text, level)


def log_lines(lines: Iterable[str]) -> None:
    for line in lines:
        log(line)


def log_error(text: str, code: int) -> int:
    """Write the error that ends the command to stderr; returns its exit code."""
    _write(text, "error", exit_code=code)
    return code


def echo(text: str) -> None:
    """Write a line of text to stdout."""
    with guard_stdout():
        click.echo(text)


@contextmanager
def guard_stdout() -> Iterator[None]:
    """Write to stdout in the block; a reader that stops early is no error.

    Output that can no longer be written is dropped.
    """
    try:
        yield
    except OSError as error:
        drop_output()
        if not isinstance(error, BrokenPipeError):
            raise


def drop_output() -> None:
    """Drop unwritten output, or Python would try again at exit and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def suggest(*words: str | None) -> None:
    """Name the next sensible command on a terminal, unless it reads stdin (-); None is left out."""
    if style["format"] == "text" and sys.stderr.isatty() and "-" not in words:
        log("next     " + shlex.join(["forecast", *(word for word in words if word is not None)]))


def put(*lines: str) -> None:
    for line in lines:
        echo(visible(line))


def put_json(value: Any, indent: int | None = None) -> None:
    """Write a value to stdout as JSON, exact and safe on a terminal."""
    echo(as_json(value, indent))


def put_table(table: "Table", width: int | None = None) -> None:
    """Write a rich table to stdout; lines wrap, and no number is cut.

    The table is `width` characters wide if stdout is not a terminal.
    """
    from rich.console import Console
    from rich.measure import Measurement

    console = Console(width=None if sys.stdout.isatty() else width)
    wide = console.options.update(width=10_000)  # more than any table needs
    needed = Measurement.get(console, wide, table).minimum + 2  # rich leaves out the edges
    console.width = max(console.width, needed)
    with console.capture() as captured:
        console.print(table)
    echo(captured.get().removesuffix("\n"))


def put_numbers(
    heads: Sequence[str],
    texts: int,
    rows: Iterable[Sequence[object]],
    title: str = "",
    width: int | None = None,
) -> None:
    """Write a table to stdout whose first `texts` columns are texts, and the others numbers."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_justify="left")
    table.title = cell(title) if title else None
    for head in heads[:texts]:
        table.add_column(cell(head), no_wrap=head == "model")
    for head in heads[texts:]:
        table.add_column(cell(head), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*map(cell, row))
    put_table(table, width)


def put_rows(
    heads: Sequence[str], rows: Iterable[Iterable[object]], number: str = "{:.3g}"
) -> None:
    """Write a table without rules to stdout, if it has rows; None is an empty cell."""
    from rich.table import Table

    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        texts = (number.format(value) if isinstance(value, float) else value for value in row)
        table.add_row(*(cell("" if text is None else text) for text in texts))
    if table.row_count:
        put_table(table, WIDTH)


def cell(text: object) -> "Text":
    """A cell or header for a table of rich: plain text without markup."""
    from rich.text import Text

    return Text(visible(str(text)))


@contextmanager
def using_cluster(address: str | None) -> Iterator[None]:
    """Run parallel work of the block on the cluster that --cluster names, if any."""
    with cluster(address):
        if address is not None:
            log(f"cluster  {address}: {workers()} processes")
        yield


@contextmanager
def progress_bar() -> "Iterator[Callable[[Training], None] | None]":
    """Show the progress of training on a terminal, with loss and time left; else yield None."""
    with _bar("training") as update:
        yield update and (lambda at: update(at.steps, at.step, _loss(at)))


@contextmanager
def fold_bar() -> (
    "Iterator[tuple[Callable[[Fold], None] | None, Callable[[Training], None] | None]]"
):
    """Show the progress of a backtest, and of the training of each fit, on a terminal.

    Yield None for both elsewhere.
    """
    with _bar("backtest") as update:
        if update is None:
            yield None, None
            return
        folds = done = 0

        def show_fold(at: "Fold") -> None:
            nonlocal folds, done
            folds = at.folds
            done = at.done
            update(folds, done, at.model)

        yield show_fold, lambda at: update(folds, done + at.step / at.steps, _loss(at))


@contextmanager
def steps_bar(
    title: str, unit: str, after: float = 0.0
) -> "Iterator[Callable[[int, int], None] | None]":
    """Show on a terminal how many series are forecast, or how many inputs explained.

    The bar appears after `after` seconds. Yield None elsewhere.
    """
    with _bar(title, after) as update:
        yield update and (lambda done, total: update(total, done, f"{done:,} of {total:,} {unit}"))


@contextmanager
def _bar(title: str, after: float = 0.0) -> "Iterator[Callable[[int, float, str], None] | None]":
    """Show a bar on a terminal; yield a function of the total, the part that is done and a note."""
    if style["quiet"] or style["format"] != "text" or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    note = TextColumn("{task.fields[note]}", markup=False)
    columns = (TextColumn(title), BarColumn(), note, TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task("", total=None, note="")
    start = threading.Timer(after, bar.start)
    start.start()
    try:
        yield lambda total, done, note: bar.update(
            task, total=total or None, completed=done, note=note
        )
    finally:
        start.cancel()
        start.join()
        bar.stop()


def _loss(at: "Training") -> str:
    texts = []
    for name, loss in (("loss", at.loss), ("held out", at.validation)):
        if loss is not None and isfinite(loss):  # trees have no loss for each step
            texts.append(f"{name} {loss:.4f}")
    return ", ".join(texts)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log(Message.from_record(record).render(as_flag), record.levelname.lower())


def _write(text: str, level: str, **fields: int) -> None:
    if style["format"] == "json":
        line = as_json({"level": level, "message": text, **fields})
    else:
        line = visible(text) if level == "info" else f"{level}: {visible(text)}"
    with suppress(OSError):  # a message that cannot be written does not change the result
        click.echo(line, err=True)


def as_json(value: Any, indent: int | None = None) -> str:
    """A value as JSON, with unprintable characters escaped."""
    import json  # not at the top, as help does not need it

    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)

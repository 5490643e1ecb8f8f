"""The command line: a file of `commands` declares a command, and its body is imported when it runs."""

import gc
import importlib
import io
import os
import platform
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import click

from forecast.cli._console import log_error, warn
from forecast.errors import ForecastError, Interrupted, StorageFailure, Unavailable, as_flag, did_you_mean, visible

DEBUG = "FORECAST_TRACEBACK"  # set, the traceback of a bug is shown
WIDTH = 80  # characters of a line of help
OBJECTS = 100_000  # between two looks for garbage: imports leave little, and looking takes a sixth of the start
PACKAGES = {"sklearn": "scikit-learn"}  # whose modules have other names
PURPOSES = {
    "Forecast": ("now", "fit", "predict"),
    "Look and measure": ("plot", "report", "explain", "inspect", "backtest", "score"),
    "Models and data": ("models", "synth"),
    "Jobs and versions": ("run", "status", "versions", "promote", "rollback"),
}
"""The order in which help lists commands; a new one comes last until it is placed here."""

_FOLDER = Path(__file__).parent / "commands"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Commands(click.Group):
    """Commands by the names of their files; a file is imported when its command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(path.stem for path in _FOLDER.glob("[!_]*.py"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.commands.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not name.startswith("-") and name not in self.list_commands(ctx):
            ctx.fail(f"no command '{name}'{did_you_mean(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands by purpose, each with the first line of its file; those without a purpose come last."""
        names = self.list_commands(ctx)
        placed = {name for group in PURPOSES.values() for name in group}
        width = max(map(len, names))
        for purpose, group in {**PURPOSES, "Other": [name for name in names if name not in placed]}.items():
            rows = []
            for name in group:
                with (_FOLDER / f"{name}.py").open(encoding="utf-8") as file:
                    rows.append((f"{name:<{width}}", file.readline().strip().strip('"')))
            if rows:
                with formatter.section(purpose):
                    formatter.write_dl(rows)


def _versions(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    """Print the versions of this package, of Python and of torch."""
    if not value or ctx.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        torch = f"torch {version('torch')}"  # read from its metadata: importing torch takes seconds
    except PackageNotFoundError:
        torch = "torch not installed"
    click.echo(f"forecast {version('forecast')}, Python {platform.python_version()}, {torch}")
    ctx.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_versions, help="show versions")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """A CSV in, trustworthy forecasts out.

    \b
    Examples:
      forecast now sales.csv      forecast at once, as CSV
      forecast fit sales.csv      train on a table, and save
      forecast predict            print forecasts as CSV
      forecast plot               draw them

    `forecast COMMAND --help` shows examples and the options of a command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line and exit with its code; messages go to stderr."""
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # the search for them looks at every installed package
    gc.set_threshold(OBJECTS)
    _open_closed()
    _write_utf8()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    before, show = sys.unraisablehook, warnings.showwarning
    sys.unraisablehook, warnings.showwarning = partial(_ignored, before), lambda message, *_: warn(str(message))
    try:
        code = _run()
    except Interrupted as error:
        _restore_signals()
        code = _failed(str(error), error.exit_code)
    _restore_signals()
    sys.unraisablehook, warnings.showwarning = before, show
    sys.exit(code)


def _open_closed() -> None:
    """Reopen standard streams that are closed, so that no other file gets their descriptors.

    Messages to such a stream are dropped. Data are not: stdout is opened for reading, so that writing fails.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            stream = open(number, "r" if name == "stdin" else "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def _write_utf8() -> None:
    """Write UTF-8 to files and pipes; a terminal keeps its encoding, and other characters are escaped."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            unchanged = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if unchanged else "utf-8", errors="backslashreplace")


def _run() -> int:
    """Run the command line, and return its exit code."""
    try:
        result = cli.main(prog_name="forecast", standalone_mode=False, obj=time.monotonic())
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except BrokenPipeError:  # the reader, such as head, has stopped
        _drop_output()
        return 0
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        where = context.command_path if context else "forecast"
        return _failed(f"{error.format_message().rstrip('.')}; see `{where} --help`", error.exit_code)
    except click.Abort:
        return 130
    except ForecastError as error:
        return _failed(error.render(as_flag), error.exit_code)
    except OSError as error:
        code = _failed(f"{error.filename or 'input or output'}: {error.strerror}", StorageFailure.exit_code)
        _drop_output()
        return code
    except MemoryError:
        cure = "pass a smaller --lookback, fewer series, or a coarser --freq with --aggregate"
        return _failed(f"out of memory; {cure}", Unavailable.exit_code)
    except Exception as error:
        if os.environ.get(DEBUG):
            click.echo(visible(traceback.format_exc(), keep="\n"), err=True, nl=False)
        package = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
        if package in ("", "forecast"):  # a module of ours that is missing is a bug, too
            text = f"{type(error).__name__}: {error} (set {DEBUG}=1 to see where)"
            return _failed(f"this is a bug of forecast: {text}", 1)
        name = PACKAGES.get(package, package)
        text = f"this needs the package {name}, which is not installed; `pip install {name}`, or install forecast whole"
        return _failed(text, Unavailable.exit_code)


def _drop_output() -> None:
    """Drop unwritten output, or Python would try again at exit and change the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _restore_signals() -> None:
    """Let signals end the process at once: nothing is left to clean up."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def _ignored(before: Callable[[Any], Any], dropped: Any) -> None:
    """Repeat a signal that arrived in a finaliser or a callback, where Python drops exceptions."""
    if not isinstance(dropped.exc_value, Interrupted):
        before(dropped)
        return
    number = dropped.exc_value.exit_code - 128
    # `os.kill` wakes the main thread too; that of Windows ends the process at once
    send = partial(os.kill, os.getpid()) if hasattr(os, "fork") else signal.raise_signal
    timer = threading.Timer(0.01, send, (number,))
    timer.daemon = True
    timer.start()


def _interrupt(number: int, frame: FrameType | None) -> Any:
    raise Interrupted(number)


def _failed(text: str, code: int) -> int:
    log_error(text, code)
    return code

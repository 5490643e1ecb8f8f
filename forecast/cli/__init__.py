"""The command line: `commands` declares commands, whose bodies are imported when they run."""

import atexit
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
from collections import ChainMap
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import click

from forecast.cli._console import drop_output, guard_stdout, log, log_error
from forecast.errors import Interrupted, as_flag, did_you_mean, raise_if_interrupted, visible
from forecast.registry import DEBUG, explain_error
from forecast.version import __version__

PURPOSES = {
    "Forecast": {
        "now": "Forecast DATA at once: nothing is trained, and nothing is saved.",
        "fit": "Train on a table and save the forecaster.",
        "predict": "Forecast with a saved forecaster.",
    },
    "Look and measure": {
        "plot": "Draw history, forecasts and actual values.",
        "report": "Write a report as one page of HTML: a forecaster, its backtest, its job.",
        "explain": "Say what forecasts rest on, and what they are made of.",
        "inspect": "Show a saved forecaster, or how a table would be read.",
        "backtest": "Forecast from rolling origins in the past, and compare with actual values.",
        "score": "Compare saved forecasts with the actual values.",
    },
    "Models and data": {
        "models": "List the models, or the settings of one.",
        "synth": "Write a synthetic series of a KIND as CSV.",
    },
    "Jobs and versions": {
        "run": "Run JOB, a pipeline file, for cron.",
        "status": "Show the status of jobs: runs, accuracy, age of the data, live version.",
        "diff": "Say why the newest forecasts of a job differ from those of the run before.",
        "versions": "List the versions of a store.",
        "promote": "Make a version of a store the live one.",
        "rollback": "Go back to the version before the live one.",
    },
}
"""All commands as help lists them, with the first sentence of their own help; `commands` declares
them.
"""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class CommandGroup(click.Group):
    """A group of commands, each of which is declared when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(ChainMap(*PURPOSES.values()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        purposes = ChainMap(*PURPOSES.values())
        if cmd_name in purposes:
            commands = importlib.import_module("forecast.cli.commands")
            command: click.Command = commands.build_command(cmd_name, purposes[cmd_name])
            return command
        if not cmd_name.startswith("-") and not ctx.resilient_parsing:
            ctx.fail(f"no command '{cmd_name}'{did_you_mean(cmd_name, self.list_commands(ctx))}")
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self.list_commands(ctx)))
        for purpose, group in PURPOSES.items():
            with formatter.section(purpose):
                formatter.write_dl([(f"{name:<{width}}", text) for name, text in group.items()])


@click.group(
    cls=CommandGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@click.option("--version", is_flag=True, help="show versions")
@click.pass_context
def cli(ctx: click.Context, version: bool) -> None:
    """A CSV in, trustworthy forecasts out.

    \b
    Examples:
      forecast now sales.csv      forecast at once, as CSV
      forecast fit sales.csv      train on a table, and save
      forecast predict            print forecasts as CSV
      forecast plot               draw them

    `forecast COMMAND --help` shows examples and the options of a command.
    """
    if version:
        from importlib import metadata

        installed = metadata.distributions(name="torch")  # importing torch takes seconds
        torch = next((f"torch {package.version}" for package in installed), "torch not installed")
        click.echo(f"forecast {__version__}, Python {platform.python_version()}, {torch}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main() -> None:
    """Run the command line and exit with its code; messages go to stderr."""
    # the search for plugins looks at every installed package
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # imports leave little garbage, and looking for it takes a sixth of the start
    gc.set_threshold(100_000)
    _prepare_streams()
    atexit.register(_leave)
    Interrupted.received = None  # may be set by an earlier call in this process
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    unraisable_hook = sys.unraisablehook
    show_warning = warnings.showwarning
    sys.unraisablehook = partial(_repeat_signal, unraisable_hook)
    warnings.showwarning = lambda message, *_: log(str(message), "warning")
    try:
        code = _run()
    except Interrupted as error:
        _end_at_signals()
        code = log_error(str(error), error.exit_code)
    _end_at_signals()
    sys.unraisablehook = unraisable_hook
    warnings.showwarning = show_warning
    sys.exit(code)


def _leave() -> None:
    """After a signal, end without destructors, which abort where it cut a start of C++ short."""
    if Interrupted.received is not None:
        os._exit(Interrupted.received.exit_code)


def _prepare_streams() -> None:
    """Reopen closed streams, and write UTF-8 to files and pipes.

    The descriptor of a closed stream would otherwise go to the next file that is opened.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # messages may be dropped, but not data: writing to a stdout opened for reading fails
            descriptor = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a terminal keeps its encoding, and characters outside it are escaped
            unchanged = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if unchanged else "utf-8", errors="backslashreplace")


def _run() -> int:
    code = 0
    try:
        with guard_stdout():  # help; what a command's body raises is a `ForecastError`
            result = cli.main(prog_name="forecast", standalone_mode=False, obj=time.monotonic())
            code = result if isinstance(result, int) else 0
            sys.stdout.flush()
        return code
    except SystemExit:  # of click, whose reader has stopped, or whose completion is done
        drop_output()
        return 0
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        where = context.command_path if context else "forecast"
        problem = error.format_message().rstrip(".")
        return log_error(f"{problem}; see `{where} --help`", error.exit_code)
    except Exception as error:
        raise_if_interrupted()
        if os.environ.get(DEBUG) and error.__cause__ is not None:
            click.echo(visible(traceback.format_exc(), keep="\n"), err=True, nl=False)
        explanation = explain_error(error)
        return log_error(explanation.render(as_flag), explanation.exit_code)


def _end_at_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)  # nothing is left to clean up


def _repeat_signal(before: Callable[[Any], Any], dropped: Any) -> None:
    """Repeat a signal that arrived in a finaliser or a callback, where Python drops exceptions."""
    if isinstance(dropped.exc_value, Interrupted):
        _send_later(dropped.exc_value.exit_code - 128)
    else:
        before(dropped)


def _send_later(number: int) -> None:
    # `os.kill` wakes the main thread too; that of Windows ends the process at once
    send = partial(os.kill, os.getpid()) if hasattr(os, "fork") else signal.raise_signal
    timer = threading.Timer(0.01, send, (number,))
    timer.daemon = True
    timer.start()


def _interrupt(number: int, frame: FrameType | None) -> Any:
    """End the command, after an import: those in C may drop an exception, or abort the process."""
    interrupted = Interrupted(number)
    while frame is not None and frame.f_code is not main.__code__:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _send_later(number)
            return
        frame = frame.f_back
    raise interrupted

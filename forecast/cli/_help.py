"""Commands whose help shows examples, and options grouped by purpose; --help-all lists the rare ones, too."""

from collections.abc import Callable
from functools import partial
from typing import Any

import click
from click.shell_completion import CompletionItem

WIDTH = 80  # characters of a line of help
ALL = "forecast.help-all"  # in the context of a call that lists all options

INPUT, OUTPUT, RUN, MESSAGES = "Input", "Output", "Run", "Messages"


def files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a file: the shell knows them."""
    return [CompletionItem(incomplete, type="file")]


class Option(click.Option):
    """An option with a place in the help.

    Parameters
    ----------
    heading : its purpose
    first : whether help lists it, not only --help-all
    """

    def __init__(self, *args: Any, heading: str = INPUT, first: bool = True, **attributes: Any) -> None:
        if attributes.get("metavar") in ("FILE", "DIR"):
            attributes.setdefault("shell_complete", files)
        super().__init__(*args, **attributes)  # click passes its own by keyword
        self.heading, self.first = heading, first


option = partial(click.option, cls=Option)
file_argument = partial(click.argument, shell_complete=files)


class Command(click.Command):
    """A command with examples.

    Parameters
    ----------
    examples : command lines
    """

    def __init__(self, *args: Any, examples: tuple[str, ...], **attributes: Any) -> None:
        super().__init__(*args, **attributes)  # click passes its own by keyword
        self.examples = examples

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, and --help-all where it lists more."""
        params = super().get_params(ctx)
        if any(isinstance(each, Option) and not each.first for each in params):
            text = "show all options and exit"
            more = Option(["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_all, help=text)
            params = [*params, more]
        return params

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """What the command does, and examples."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by purpose, those for messages last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        hidden = 0
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx) if isinstance(each, click.Option) else None
            if record is None:
                continue
            heading = (
                MESSAGES if "--help" in each.opts or "--help-all" in each.opts else getattr(each, "heading", INPUT)
            )
            if getattr(each, "first", True) or ctx.meta.get(ALL):
                sections.setdefault(heading, []).append(record)
            else:
                hidden += 1
        sections[MESSAGES] = sections.pop(MESSAGES)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"--help-all lists {hidden} more options.")


def with_examples(*examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, whose help shows examples."""
    return click.command(cls=Command, examples=examples)


def _all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()

"""Commands as data: options come from the settings, and help lists them by purpose.

The body of a command is loaded when the command runs.
"""

import importlib
import types
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic_core import PydanticUndefined, from_json

from forecast import settings
from forecast.cli._console import listen, style
from forecast.errors import ForecastError, Interrupted, Setting, UsageError
from forecast.registry import explain_error
from forecast.settings import (
    SHOWN_FIRST,
    WHOLE_ITEMS,
    Facts,
    FilePath,
    Heading,
    SettingsGroup,
    TableSettings,
    TextSettings,
)

INPUT = "Input"  # headings of options
OUTPUT_SECTION = "Output"
RUN_SECTION = "Run"
MESSAGES = "Messages"
REFUSED = {"now": ("past", "static")}  # settings that a command refuses, and that its help omits
BY_DEFAULT_NONE = ("overrides",)  # settings that a command has only if its declaration names them
_ALL = "forecast.help-all"  # key in the context of a call that lists all options

Group = TypeVar("Group", bound=SettingsGroup)
CommandLine = tuple[str, ...]  # its words
# an option or argument, a group of settings, or some settings of a group
Parameter = click.Parameter | type[SettingsGroup] | tuple[Any, ...]


@dataclass(frozen=True)
class Declaration:
    """The parameters of a command, and what its help says after its purpose."""

    details: str
    parameters: list[Parameter]
    examples: tuple[str, ...]


class PathText(click.Path):
    """The path of a file or folder, which must not be "".

    An unset shell variable gives "", which would silently mean the default.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) or self.fail("the path is empty", param, ctx)


class Option(click.Option):
    """An option, which help lists under `heading`.

    `--help` lists options that are `first`. `--help-all` lists all of them.
    """

    def __init__(
        self,
        flag: str,
        help: str,
        heading: str = INPUT,
        *,
        name: str = "",
        first: bool = True,
        **attributes: Any,
    ) -> None:
        flag, _, metavar = flag.partition(" ")
        if metavar in ("FILE", "DIR"):
            attributes["type"] = PathText()
        elif not metavar and "type" not in attributes:
            attributes["is_flag"] = True
        shown = isinstance(attributes.get("default"), int)
        names = [flag, name] if name else [flag]
        super().__init__(
            names, help=help, metavar=metavar or None, show_default=shown, **attributes
        )
        self.heading = heading
        self.first = first


class Request(types.SimpleNamespace):
    """A parsed command line, with an attribute for each parameter of the command.

    `values` has only the parameters that were given, by name.
    """

    values: Facts

    @property
    def store(self) -> str:
        """The folder of the store that the command names, or the default folder."""
        return self.artifact or settings.DEFAULT_STORE.store

    @property
    def sums(self) -> settings.SumSettings | None:
        sums = self.read_group(settings.SumSettings)
        return None if sums == settings.SumSettings() else sums

    def read_group(self, group: type[Group], defaults: Facts | None = None) -> Group:
        """The settings of one group, checked; `defaults` replace settings that were not given."""
        given = {name: value for name, value in self.values.items() if name in group.model_fields}
        return group.check({**(defaults or {}), **given})

    def refuse(self, problem: object, cure: object, *names: str) -> None:
        """Refuse those of the named settings that were given."""
        for name in names:
            if name in self.values:
                raise UsageError(problem, setting=Setting(name), cure=cure)

    def words(self, *groups: type[SettingsGroup], more: CommandLine = ()) -> CommandLine:
        """The given settings of some groups, and those in `more`, as words of a command line."""
        words: list[str] = []
        names = [name for group in groups for name in group.model_fields]
        for name in (*names, *more):
            flag = name.replace("_", "-")
            value = self.values.get(name)
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                text = ",".join(value) if isinstance(value, tuple) else str(value)
                words += [f"--{flag}", text]
        return tuple(words)

    def fit_words(self) -> CommandLine:
        return ("fit", self.data, *self.words(TableSettings, TextSettings, more=("horizon",)))


class Command(click.Command):
    """A command with examples in its help.

    Its body is the function `run` in the module of its name, which is called with a `Request`.
    """

    def __init__(self, name: str, purpose: str, declaration: Declaration) -> None:
        self.examples = declaration.examples
        self.groups: list[type[SettingsGroup]] = []
        params: list[click.Parameter] = []
        for parameter in declaration.parameters:
            if isinstance(parameter, click.Parameter):
                params.append(parameter)
                continue
            group_and_names = parameter if isinstance(parameter, tuple) else (parameter,)
            group, *names = group_and_names
            self.groups.append(group)
            fields = names or [
                field for field in group.model_fields if field not in BY_DEFAULT_NONE
            ]
            params += [_option(field, group, name) for field in fields]
        about = f"{purpose}\n\n{cleandoc(declaration.details)}"
        super().__init__(name, help=about, params=[*params, _QUIET, _LOG_FORMAT])

    def invoke(self, ctx: click.Context) -> Any:
        """Check all settings, load the body and call it.

        Nothing else in this module imports anything when a command runs.
        """
        values = {
            name: value
            for name, value in ctx.params.items()
            if ctx.get_parameter_source(name) != ParameterSource.DEFAULT
        }
        request = Request(**{**ctx.params, "values": values})
        for group in self.groups:
            request.read_group(group)
        try:
            return importlib.import_module(f"forecast.cli.{self.name}").run(request)
        except (ForecastError, Interrupted):
            raise
        # click would handle some errors as its own: a broken pipe, an exit, the end of a file
        except BaseException as error:
            raise explain_error(error) from error

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        return [*super().get_params(ctx), _HELP_ALL]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by purpose."""
        sections: dict[str, list[tuple[str, str]]] = {}
        hidden = 0
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if not isinstance(param, click.Option) or record is None:
                continue
            heading = getattr(param, "heading", MESSAGES)  # the option --help is one of click
            if not (getattr(param, "first", True) or ctx.meta.get(_ALL)):
                hidden += 1
            else:
                sections.setdefault(heading, []).append(record)
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
        if hidden:
            formatter.write_paragraph()
            formatter.write_text(f"--help-all lists {hidden} more options.")


def _all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _option(name: str, group: type[SettingsGroup], command: str) -> Option:
    """The option of a setting, which depends on the type of its field."""
    field = group.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    attributes: dict[str, Any] = {"hidden": name in REFUSED.get(command, ())}
    kinds = [field.annotation]
    if get_origin(field.annotation) in (Union, types.UnionType):
        kinds = [kind for kind in get_args(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    if get_origin(kind) is dict:
        flag = "-p NAME=VALUE"
        attributes |= {"multiple": True, "callback": _pairs}
    elif kind is bool:
        flag = f"{flag}/--no-{flag[2:]}"
        attributes["default"] = None
    elif WHOLE_ITEMS in field.metadata:
        flag += " TEXT"
        attributes["multiple"] = True
    elif get_origin(kind) is tuple:
        flag += " LIST"
        attributes["multiple"] = True
        attributes["callback"] = lambda ctx, parameter, lists: _names(",".join(lists))
    elif get_origin(kind) is Literal:
        attributes["type"] = click.Choice([str(choice) for choice in get_args(kind)])
    elif kind == FilePath:
        flag += " FILE"
    else:
        attributes["type"] = next((number for number in (int, float) if number in kinds), str)
    help = f"{field.description}{_shown_default(field.default)}"
    heading = next((mark for mark in field.metadata if isinstance(mark, Heading)), group.heading)
    return Option(flag, help, heading, name=name, first=SHOWN_FIRST in field.metadata, **attributes)


def _names(text: str) -> object:
    return settings.names_in(text) or text  # a blank that was given is refused by some settings


def _shown_default(default: object) -> str:
    if default in (None, False, (), {}, PydanticUndefined):
        return ""
    items = default if isinstance(default, tuple) else (default,)
    texts = [f"{item:g}" if isinstance(item, float) else str(item) for item in items]
    return f"  [default: {','.join(texts)}]"


def _pairs(ctx: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> Facts | None:
    params: Facts = {}
    for text in pairs:
        name, _, value = text.partition("=")
        if not name or name == text:
            raise UsageError(f"-p {text}: write it as -p NAME=VALUE, e.g. -p hidden_size=128")
        name = name.strip().replace("-", "_")
        params[name] = value
        with suppress(ValueError):
            params[name] = from_json(value)
    return params or None


def file_argument(name: str, required: bool = True) -> click.Argument:
    """An argument that names a file, which shells complete."""
    return click.Argument([name], required=required, type=PathText())


_EAGER: dict[str, Any] = {"is_eager": True, "expose_value": False}
_HELP_ALL = Option("--help-all", "show all options and exit", MESSAGES, callback=_all, **_EAGER)
_QUIET = Option(
    "--quiet",
    "print errors only",
    MESSAGES,
    callback=lambda ctx, parameter, quiet: listen(quiet),
    **_EAGER,
)
_LOG_FORMAT = Option(
    "--log-format",
    "format of messages on stderr",
    MESSAGES,
    type=click.Choice(["text", "json"]),
    default="text",
    callback=lambda ctx, parameter, name: style.update(format=name),
    first=False,
    **_EAGER,
)


def name_artifact(artifact: str) -> CommandLine:
    """The words that name a store on the command line; none for the default one."""
    return () if artifact == settings.DEFAULT_STORE.store else ("--artifact", artifact)


def build_predict_command(artifact: str, known: Sequence[str]) -> CommandLine:
    """The command that forecasts with a store.

    Covariates `known` in advance need a table of the future.
    """
    return ("predict", *name_artifact(artifact), *(("--future", "FILE") if known else ()))

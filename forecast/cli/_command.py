"""Commands as data: options come from the settings, help lists them by purpose, and the body is loaded when it runs."""

import importlib
import json
import types
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem
from pydantic_core import PydanticUndefined

from forecast.cli._console import listen, use_format
from forecast.errors import UsageError
from forecast.settings import ALIASES, FIRST, STORE, WHOLE, FilePath, Heading, SettingsGroup, StoreSettings

INPUT, OUTPUT, RUN, MESSAGES = "Input", "Output", "Run", "Messages"
_ALL = "forecast.help-all"  # in the context of a call that lists all options

Group = TypeVar("Group", bound=SettingsGroup)


def _files(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(incomplete, type="file")]  # which the shell knows


class Option(click.Option):
    """An option with a place in the help.

    Parameters
    ----------
    flag : the flag, and what its value is, such as ``--output FILE``; without that and a `type` it takes no value
    heading : its purpose
    first : whether --help lists it, not only --help-all
    setting : whether the body gets it within the request
    name : of the parameter of the body, where it is not that of the flag
    """

    def __init__(
        self,
        flag: str,
        help: str,
        heading: str = INPUT,
        *,
        name: str | None = None,
        first: bool = True,
        setting: bool = False,
        **attributes: Any,
    ) -> None:
        flag, _, metavar = flag.partition(" ")
        if not metavar and "type" not in attributes:
            attributes["is_flag"] = True
        complete = _files if metavar in ("FILE", "DIR") else None
        declared = [flag] if name is None else [flag, name]  # click takes its own by keyword
        super().__init__(declared, help=help, metavar=metavar or None, shell_complete=complete, **attributes)
        self.heading, self.first, self.setting = heading, first, setting


class Request:
    """The settings that the command line gave, by name; those with their default value too."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def of(self, group: type[Group], defaults: dict[str, Any] | None = None) -> Group:
        """The settings of one group, checked; `defaults` replace settings that were not given."""
        given = {name: value for name, value in self.values.items() if name in group.model_fields}
        return group.check({**(defaults or {}), **given})

    def words(self, *groups: type[SettingsGroup], more: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The settings of some groups, and `more` by name, as words of a command line."""
        found: list[str] = []
        for name in (*(name for group in groups for name in group.model_fields), *more):
            flag, value = name.replace("_", "-"), self.values.get(name)
            if isinstance(value, bool):
                found.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                found += [f"--{flag}", ",".join(value) if isinstance(value, tuple) else str(value)]
        return tuple(found)


class Command(click.Command):
    """A command with examples in its help; `run` in the file of its name, one folder up, is its body.

    Parameters
    ----------
    about : its help
    params : parameters of the body; groups of settings, which go there as one `Request`; and dataclasses, whose fields
        are annotated with their options, and which go there by their names
    examples : command lines
    """

    def __init__(self, name: str, about: str, params: Sequence[click.Parameter | type[Any]], *examples: str) -> None:
        self.examples, self.groups, flat = examples, dict[str, type[Any]](), list[click.Parameter]()
        for param in params:
            if isinstance(param, click.Parameter):
                flat.append(param)
            elif issubclass(param, SettingsGroup):
                flat += options_of(param)
            else:
                self.groups[param.__name__.lower()] = param
                flat += [field.type.__metadata__[0] for field in fields(param)]  # type: ignore[union-attr]
        super().__init__(name, help=about, params=[*flat, _QUIET, _LOG_FORMAT])

    def invoke(self, ctx: click.Context) -> Any:
        """Load the body and call it: nothing else here imports when a command runs."""
        values, source = dict(ctx.params), ctx.get_parameter_source
        names = [param.name or "" for param in self.params if isinstance(param, Option) and param.setting]
        if names:
            settings = {name: values.pop(name) for name in names}
            given = {name: value for name, value in settings.items() if source(name) != ParameterSource.DEFAULT}
            values["request"] = Request(_without_aliases(given))
        for name, kind in self.groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        return importlib.import_module(f"forecast.cli.{self.name}").run(**values)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The parameters, and --help-all where it lists more."""
        params = super().get_params(ctx)
        more = any(isinstance(param, Option) and not param.first for param in params)
        return [*params, _HELP_ALL] if more else params

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
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is None:
                continue
            is_help = {"--help", "--help-all"} & {*param.opts}
            if getattr(param, "first", True) or ctx.meta.get(_ALL):
                sections.setdefault(MESSAGES if is_help else getattr(param, "heading", INPUT), []).append(record)
            else:
                hidden += 1
        sections[MESSAGES] = sections.pop(MESSAGES)
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


def _without_aliases(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings with those that -p gave by another name, such as -p n_jobs=2, under their own."""
    params = settings.get("params") or {}
    found = {ALIASES[name]: params.pop(name) for name in ALIASES if name in params}
    return {**found, **{name: value for name, value in settings.items() if name != "params" or value}}


def options_of(group: type[SettingsGroup], *names: str) -> Iterator[Option]:
    """Options for settings of a group: those that are named, or all."""
    for name in names or group.model_fields:
        yield _option(name, group)


def _option(name: str, group: type[SettingsGroup]) -> Option:
    field = group.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    default = None if field.default is PydanticUndefined else field.default
    shown = "" if default in (None, False, (), {}) else f"  [default: {_text(default)}]"
    heading = next((mark for mark in field.metadata if isinstance(mark, Heading)), Heading(group.heading))
    union = get_origin(field.annotation) in (Union, types.UnionType)
    kinds = [kind for kind in (get_args(field.annotation) if union else (field.annotation,)) if kind is not type(None)]
    kind = kinds[0]
    attributes: dict[str, Any] = {}
    if get_origin(kind) is dict:
        flag, attributes = "-p NAME=VALUE", {"multiple": True, "callback": _pairs}
    elif kind is bool:
        flag, attributes = f"{flag}/--no-{flag[2:]}", {"default": None}
    elif WHOLE in field.metadata:
        flag, attributes = f"{flag} TEXT", {"multiple": True}
    elif get_origin(kind) is tuple:
        flag, attributes = f"{flag} LIST", {"multiple": True, "callback": _items}
    elif get_origin(kind) is Literal:
        attributes = {"type": click.Choice([str(choice) for choice in get_args(kind)])}
    elif kind == FilePath:
        flag = f"{flag} FILE"
    else:
        attributes = {"type": next((number for number in (int, float) if number in kinds), str)}
    about, first = (field.description or "") + shown, FIRST in field.metadata
    return Option(flag, about, heading, name=name, first=first, setting=True, **attributes)


def _text(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(item if isinstance(item, str) else f"{item:g}" for item in default)
    return f"{default}"


def _items(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item.strip() for text in given for item in text.split(",") if item.strip())


def _pairs(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, Any] | None:
    params: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"-p {text}: write it as -p NAME=VALUE, e.g. -p hidden_size=128")
        try:
            params[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            params[name.strip().replace("-", "_")] = value
    return params or None


def table_argument(name: str, required: bool = True) -> click.Argument:
    """An argument that names a file, which shells complete."""
    return click.Argument([name], required=required, shell_complete=_files)


_HELP_ALL = Option("--help-all", "show all options and exit", is_eager=True, expose_value=False, callback=_all)
_QUIET = Option(
    "--quiet",
    "print errors only",
    MESSAGES,
    is_eager=True,
    expose_value=False,
    callback=lambda *given: listen(given[2]),
)
_LOG_FORMAT = Option(
    "--log-format",
    "format of messages on stderr",
    MESSAGES,
    first=False,
    type=click.Choice(["text", "json"]),
    default="text",
    is_eager=True,
    expose_value=False,
    callback=lambda *given: use_format(given[2]),
)
ARTIFACT = Option("--artifact DIR", f"folder of the saved versions  [default: {STORE.store}]", StoreSettings.heading)
VERSION = Option("--version ID", "a version of the store; default the live one", StoreSettings.heading, first=False)
JOB_OR_STORE = table_argument("job", required=False), ARTIFACT
FUTURE = Option("--future FILE", "table with the future values of known covariates")
WRITE_TABLE = Option("--output FILE", "write a .csv or .parquet file; default stdout", OUTPUT)
AS_OF = Option("--as-of TIME", "time at which the age of the data is measured  [default: now]", first=False)
MEASURES = (
    Option("--by", "a row for each series, or step of the horizon", OUTPUT, type=click.Choice(["series", "step"])),
    Option("--output FILE", "write the table to a .csv, .json or .parquet file", OUTPUT),
    Option("--json", "print all tables as one JSON object", OUTPUT, name="as_json"),
)


def named(artifact: str) -> tuple[str, ...]:
    """The words that name a store on the command line; none for the default one."""
    return () if artifact == STORE.store else ("--artifact", artifact)


def predicting(artifact: str, known: Sequence[str]) -> tuple[str, ...]:
    """The command that forecasts with a store; covariates known in advance need a table of the future."""
    return ("predict", *named(artifact), *(("--future", "FILE") if known else ()))

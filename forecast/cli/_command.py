"""Commands as data: options come from the settings, help lists them by purpose, and the body is loaded when it runs."""

import importlib
import types
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic_core import PydanticUndefined, from_json

from forecast import settings
from forecast.cli._console import listen, style
from forecast.errors import ForecastError, Interrupted, Setting, UsageError
from forecast.registry import explained
from forecast.settings import (
    FIRST,
    WHOLE,
    FilePath,
    Heading,
    SettingsGroup,
    TableSettings,
    TextSettings,
)

INPUT, OUTPUT, RUN, MESSAGES = "Input", "Output", "Run", "Messages"
REFUSED = {"now": ("past", "static")}  # settings that a command refuses, and help leaves out
ON_STORES = (
    "run",
    "status",
    "diff",
    "versions",
    "promote",
    "rollback",
)  # functions of the module `store`
_ALL = "forecast.help-all"  # in the context of a call that lists all options

Group = TypeVar("Group", bound=SettingsGroup)
Declaration = tuple[
    Any, ...
]  # of a `Command`: its help, then parameters, lists of such, and examples
_EAGER: dict[str, Any] = {"is_eager": True, "expose_value": False}
_FORMAT: dict[str, Any] = {
    "type": click.Choice(["text", "json"]),
    "default": "text",
    "first": False,
}
_FORMAT["callback"] = lambda *given: style.update(format=given[2])


class PathText(click.Path):
    """The path of a file or folder: not "", as of a variable that is not set, which would mean the default."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        return str(value) or self.fail("the path is empty", param, ctx)


class Option(click.Option):
    """An option with a place in the help: under `heading`, and only in --help-all unless it comes `first`."""

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
        if not metavar and "type" not in attributes:
            attributes["is_flag"] = True
        if metavar in ("FILE", "DIR"):
            attributes["type"] = PathText()
        shown, declared = (
            isinstance(attributes.get("default"), int),
            [flag, name] if name else [flag],
        )
        super().__init__(
            declared, help=help, metavar=metavar or None, show_default=shown, **attributes
        )
        self.heading, self.first = heading, first


class Request(types.SimpleNamespace):
    """A command line: each parameter of the command is an attribute; `values` has, by name, those that were given."""

    values: dict[str, Any]

    @property
    def store(self) -> str:
        """The folder of the store that the command names, or the default one."""
        return self.artifact or settings.STORE.store

    @property
    def sums(self) -> settings.SumSettings | None:
        asked = self.of(settings.SumSettings)
        return None if asked == settings.SumSettings() else asked

    def of(self, group: type[Group], defaults: dict[str, Any] | None = None) -> Group:
        """The settings of one group, checked; `defaults` replace settings that were not given."""
        given = {name: value for name, value in self.values.items() if name in group.model_fields}
        return group.check({**(defaults or {}), **given})

    def refuse(self, problem: str, cure: str, *names: str) -> None:
        for name in names:
            if name in self.values:
                raise UsageError(problem, setting=Setting(name), cure=cure)

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

    def fit_words(self) -> tuple[str, ...]:
        return ("fit", self.data, *self.words(TableSettings, TextSettings, more=("horizon",)))


class Command(click.Command):
    """A command with examples in its help; its body gets a `Request`."""

    def __init__(self, name: str, about: str, *parts: Any) -> None:
        self.examples = [part for part in parts if isinstance(part, str)]
        flat, self.groups = list[click.Parameter](), list[type[SettingsGroup]]()
        lists = (
            part if isinstance(part, list) else [part]
            for part in parts
            if not isinstance(part, str)
        )
        for param in chain.from_iterable(lists):
            if isinstance(param, click.Parameter):
                flat.append(param)
                continue
            group, *names = param if isinstance(param, tuple) else (param,)
            self.groups.append(group)
            flat += [_option(field, group, name) for field in names or group.model_fields]
        super().__init__(name, help=about, params=[*flat, _QUIET, _LOG_FORMAT])

    def invoke(self, ctx: click.Context) -> Any:
        """Check all settings, load the body and call it: nothing else here imports when a command runs."""
        source = ctx.get_parameter_source
        given = {
            name: value
            for name, value in ctx.params.items()
            if source(name) != ParameterSource.DEFAULT
        }
        params = given.get("params") or {}
        # other names of settings, such as -p n_jobs=2
        values = {
            settings.ALIASES[name]: params.pop(name)
            for name in [*params]
            if name in settings.ALIASES
        }
        values |= {name: value for name, value in given.items() if name != "params" or value}
        request = Request(**{**ctx.params, "values": values})
        for group in self.groups:
            request.of(group)
        try:
            body = importlib.import_module(
                f"forecast.cli.{'store' if self.name in ON_STORES else self.name}"
            )
            return getattr(body, self.name if self.name in ON_STORES else "run")(request)
        except (ForecastError, Interrupted):
            raise
        except (
            BaseException
        ) as error:  # click would take some for its own: a broken pipe, an exit, the end of a file
            raise explained(error) from error

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        params = super().get_params(ctx)
        more = any(isinstance(param, Option) and not param.first for param in params)
        return [*params, _HELP_ALL] if more else params

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options by purpose, those for messages last."""
        sections, hidden = dict[str, list[tuple[str, str]]](), 0
        for param in self.get_params(ctx):
            if (
                not isinstance(param, click.Option)
                or (record := param.get_help_record(ctx)) is None
            ):
                continue
            if getattr(param, "first", True) or ctx.meta.get(_ALL):
                heading = (
                    MESSAGES
                    if {"--help", "--help-all"} & {*param.opts}
                    else getattr(param, "heading", INPUT)
                )
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


def _all(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        ctx.meta[_ALL] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _option(name: str, group: type[SettingsGroup], command: str) -> Option:
    field, flag = group.model_fields[name], f"--{name.replace('_', '-')}"
    default = None if field.default is PydanticUndefined else field.default
    items = default if isinstance(default, tuple) else ()
    text = ",".join(item if isinstance(item, str) else f"{item:g}" for item in items) or str(
        default
    )
    shown = "" if default in (None, False, (), {}) else f"  [default: {text}]"
    heading = next((mark for mark in field.metadata if isinstance(mark, Heading)), group.heading)
    union = get_origin(field.annotation) in (Union, types.UnionType)
    kinds = [
        kind
        for kind in (get_args(field.annotation) if union else (field.annotation,))
        if kind is not type(None)
    ]
    kind, attributes = kinds[0], dict[str, Any](hidden=name in REFUSED.get(command, ()))
    if get_origin(kind) is dict:
        flag, attributes = "-p NAME=VALUE", {"multiple": True, "callback": _pairs}
    elif kind is bool:
        flag, attributes = f"{flag}/--no-{flag[2:]}", {"default": None}
    elif WHOLE in field.metadata:
        flag, attributes = f"{flag} TEXT", {"multiple": True}
    elif get_origin(kind) is tuple:
        flag, attributes = f"{flag} LIST", {**attributes, "multiple": True}
        attributes["callback"] = lambda *given: settings.names_in(",".join(given[2]))
    elif get_origin(kind) is Literal:
        attributes = {"type": click.Choice([str(choice) for choice in get_args(kind)])}
    elif kind == FilePath:
        flag = f"{flag} FILE"
    else:
        attributes = {"type": next((number for number in (int, float) if number in kinds), str)}
    first = FIRST in field.metadata
    return Option(
        flag, (field.description or "") + shown, heading, name=name, first=first, **attributes
    )


def _pairs(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, Any] | None:
    params: dict[str, Any] = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise UsageError(f"-p {text}: write it as -p NAME=VALUE, e.g. -p hidden_size=128")
        params[name := name.strip().replace("-", "_")] = value
        with suppress(ValueError):
            params[name] = from_json(value)
    return params or None


def file_argument(name: str, required: bool = True) -> click.Argument:
    """An argument that names a file, which shells complete."""
    return click.Argument([name], required=required, type=PathText())


_HELP_ALL = Option("--help-all", "show all options and exit", callback=_all, **_EAGER)
_QUIET = Option(
    "--quiet", "print errors only", MESSAGES, callback=lambda *given: listen(given[2]), **_EAGER
)
_LOG_FORMAT = Option("--log-format", "format of messages on stderr", MESSAGES, **_FORMAT, **_EAGER)


def named(artifact: str) -> tuple[str, ...]:
    """The words that name a store on the command line; none for the default one."""
    return () if artifact == settings.STORE.store else ("--artifact", artifact)


def predicting(artifact: str, known: Sequence[str]) -> tuple[str, ...]:
    """The command that forecasts with a store; covariates known in advance need a table of the future."""
    return ("predict", *named(artifact), *(("--future", "FILE") if known else ()))

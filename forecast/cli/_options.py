"""Generate options from the settings, and hand several options to a command as one object."""

import dataclasses
import functools
import json
import types
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import click
from click.core import ParameterSource
from pydantic_core import PydanticUndefined

from forecast.cli._help import option
from forecast.errors import UsageError
from forecast.settings import FIRST, WHOLE, FilePath, Heading, Knobs, TextSettings

Group = TypeVar("Group", bound=Knobs)
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Given:
    """The settings that the command line gave, by name."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def of(self, group: type[Group], defaults: dict[str, Any] | None = None) -> Group:
        """The settings of one group, checked; `defaults` replace settings that were not given."""
        given = {name: value for name, value in self.values.items() if name in group.model_fields}
        return group.check({**(defaults or {}), **given})

    def words(self, *groups: type[Knobs], more: tuple[str, ...] = ()) -> tuple[str, ...]:
        """The settings of some groups as words of a command line, and `more`, named one by one."""
        names = [name for group in groups for name in group.model_fields]
        found: list[str] = []
        for name in (*names, *more):
            flag, value = name.replace("_", "-"), self.values.get(name)
            if isinstance(value, bool):
                found.append(f"--{flag}" if value else f"--no-{flag}")
            elif value is not None:
                found += [f"--{flag}", ",".join(value) if isinstance(value, tuple) else str(value)]
        return tuple(found)

    def reading(self, stored: TextSettings) -> TextSettings:
        """How to read a file: by the settings of the command line, else by those of the fit."""
        from forecast.tables.files import settings_as_at_fit

        return settings_as_at_fit(stored, self.of(TextSettings).model_dump(include=set(self.values)))


def settings_options(
    *groups: type[Knobs], single: dict[str, type[Knobs]] | None = None
) -> Callable[..., Callable[..., Any]]:
    """Add an option for each field of the groups, and hand them to the command as `given`.

    Parameters
    ----------
    single : further fields, by name, with their groups
    """
    fields = {name: group for group in groups for name in group.model_fields} | (single or {})

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **values: Any) -> Any:  # click passes options by keyword
            named = {name: values.pop(name) for name in fields}
            source = click.get_current_context().get_parameter_source
            given = {name: value for name, value in named.items() if source(name) != ParameterSource.DEFAULT}
            return function(*args, given=Given(given), **values)

        wrapped: Callable[..., Any] = called
        for name, group in reversed(fields.items()):
            wrapped = _option(name, group)(wrapped)
        return wrapped

    return decorate


def grouped(name: str, kind: type[Any], *options: Decorator) -> Decorator:
    """Add options, and hand their values to the command as one dataclass.

    Parameters
    ----------
    name : parameter of the command
    kind : a dataclass whose fields have the names of the options
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def called(*args: Any, **values: Any) -> Any:  # click passes options by keyword
            own = {field.name: values.pop(field.name) for field in dataclasses.fields(kind)}
            return function(*args, **{name: kind(**own)}, **values)

        wrapped: Callable[..., Any] = called
        for each in reversed(options):
            wrapped = each(wrapped)
        return wrapped

    return decorate


def _option(name: str, group: type[Knobs]) -> Decorator:
    field = group.model_fields[name]
    flag = f"--{name.replace('_', '-')}"
    default = field.get_default(call_default_factory=True)
    shown = (
        ""
        if default is None or default is False or default in ((), {}, PydanticUndefined)
        else f"  [default: {_text(default)}]"
    )
    heading = next((mark for mark in field.metadata if isinstance(mark, Heading)), Heading(group.heading))
    made = partial(option, heading=heading, first=FIRST in field.metadata, help=(field.description or "") + shown)
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    kind = kinds[0]
    if get_origin(kind) is dict:
        return made("-p", name, multiple=True, metavar="KNOB=VALUE", callback=_pairs, expose_value=True)
    if kind is bool:
        return made(f"{flag}/--no-{flag[2:]}", name, is_flag=True, default=None)
    if WHOLE in field.metadata:
        return made(flag, name, multiple=True, metavar="TEXT")
    if get_origin(kind) is tuple:
        return made(flag, name, multiple=True, metavar="LIST", callback=_items)
    if get_origin(kind) is Literal:
        return made(flag, name, type=click.Choice([str(choice) for choice in get_args(kind)]))
    plain = next((number for number in (int, float) if number in kinds), str)
    return made(flag, name, type=plain, metavar="FILE" if kind == FilePath else None)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    union = get_origin(annotation) in (Union, types.UnionType)
    return get_args(annotation) if union else (annotation,)


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
            raise UsageError(f"-p {text}: write it as -p KNOB=VALUE, e.g. -p hidden_size=128")
        try:
            params[name.strip().replace("-", "_")] = json.loads(value)
        except ValueError:
            params[name.strip().replace("-", "_")] = value
    return params or None

"""The parts of the reference that are generated from commands and models; `python -m tests.docs` writes them."""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping

import click

from forecast.baselines.shared.method import baseline_method
from forecast.cli import PURPOSES, cli
from forecast.cli._command import BY_DEFAULT_NONE, Command
from forecast.ensemble.baseline_forecasts import FEW_SLOW_SERIES
from forecast.ensemble.names import FROM_PACKAGE
from forecast.models import model_class, model_names
from forecast.registry import baseline_names, default_baselines, find_entry
from forecast.settings import SettingsGroup

EVERYWHERE = ("quiet", "log_format")  # options of each command, which the page names once


def commands(groups: Mapping[type[SettingsGroup], str]) -> str:
    """All commands by purpose.

    Parameters
    ----------
    groups : the groups of settings, with the headings that their tables have
    """
    found, lines = _commands(), []
    for purpose, names in PURPOSES.items():
        lines += [f"## {purpose}", ""]
        for name in names:
            context = click.Context(
                found[name], info_name=name, parent=click.Context(cli, info_name="forecast")
            )
            lines += [*_command(found[name], context, groups), ""]
    return "\n".join(lines).rstrip()


def takers(group: type[SettingsGroup]) -> str:
    """Which commands take the settings of a group."""
    found = {name: _settings(command, group) for name, command in _commands().items()}
    whole = [f"`{name}`" for name, taken in found.items() if _is_whole(group, taken)]
    some = [f"`{name}`" for name, taken in found.items() if taken and f"`{name}`" not in whole]
    if not whole:
        return f"Of {_listed(some)}."
    return f"Of {_listed(whole)}." + (f" Some also of {_listed(some)}." if some else "")


def models() -> str:
    """All models with their settings, and the baselines."""
    lines = []
    for name in model_names():
        lines += [f"## {name}", "", f"{find_entry('models', name).summary()}.", ""]
        fields = model_class(name).Params.model_fields
        if fields:
            lines += ["| setting | default | meaning |", "|---|---|---|"]
            lines += [
                f"| `{knob}` | {'' if field.default is None else field.default} | {_cell(field.description or '')} |"
                for knob, field in fields.items()
            ]
            lines.append("")
    lines += [
        "## Baselines",
        "",
        "They are models too, without settings.",
        "",
        "| name | method |",
        "|---|---|",
    ]
    for name in baseline_names():
        about = (
            inspect.getdoc(importlib.import_module(f"forecast.baselines.{name.replace('-', '_')}"))
            or ""
        )
        extra = baseline_method(name).extra
        notes = [f"Needs the extra `{extra}`."] if extra else []
        if name in FROM_PACKAGE:
            notes.append(f"With it, a default baseline of fits of up to {FEW_SLOW_SERIES} series.")
        elif name not in default_baselines():
            notes.append("Not among the default baselines.")
        lines.append(f"| `{name}` | {' '.join([_cell(about.splitlines()[0]), *notes])} |")
    return "\n".join(lines)


def _command(
    command: Command, context: click.Context, groups: Mapping[type[SettingsGroup], str]
) -> Iterator[str]:
    yield f"### {context.info_name}"
    yield ""
    yield _flowing(command.help or "")
    yield ""
    yield from (f"    {line}" for line in command.examples)
    yield ""
    options = _options(command)
    shared = {group: _settings(command, group) for group in groups}
    whole = [group for group, found in shared.items() if _is_whole(group, found)]
    taken = [(name, group) for group, found in shared.items() for name in found]
    some = [name for name, group in taken if name in BY_DEFAULT_NONE or group not in whole]
    if whole or some:
        yield from ("Settings:", "")
        yield from (f"- [{groups[group]}](settings.md#{anchor(groups[group])})" for group in whole)
        yield from [f"- {', '.join(f'`{options[name].opts[0]}`' for name in some)}"] if some else []
        yield ""
    covered = {*EVERYWHERE, *some, *(name for group in whole for name in group.model_fields)}
    own = [option for option in _shown(command) if option.name not in covered]
    if own:
        yield "| option | meaning |"
        yield "|---|---|"
        for option in own:
            flag, text = option.get_help_record(context) or ("", "")
            yield f"| `{_cell(flag)}` | {_cell(text)} |"


def anchor(heading: str) -> str:
    """The anchor that code hosts give to a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _commands() -> dict[str, Command]:
    """All commands, by purpose."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for names in PURPOSES.values() for name in names}
    assert sorted(found) == cli.list_commands(context), "each command has its place in PURPOSES"
    return {name: command for name, command in found.items() if isinstance(command, Command)}


def _shown(command: Command) -> list[click.Option]:
    """The options that help shows; two may set the same parameter, as --json and --format do."""
    return [
        option
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
    ]


def _options(command: Command) -> dict[str, click.Option]:
    return {option.name or "": option for option in _shown(command)}


def _settings(command: Command, group: type[SettingsGroup]) -> list[str]:
    """The settings of a group that a command takes; it may have an option of its own by the name of a setting."""
    helps = {name: option.help or "" for name, option in _options(command).items()}
    fields = {name: field.description or "" for name, field in group.model_fields.items()}
    return [
        name
        for name, description in fields.items()
        if name in helps and helps[name].startswith(description)
    ]


def _is_whole(group: type[SettingsGroup], found: list[str]) -> bool:
    """Whether a command takes all settings of a group, but those that each command has to name."""
    return set(group.model_fields) - set(found) <= set(BY_DEFAULT_NONE) and bool(found)


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _flowing(text: str) -> str:
    """Paragraphs, each on one line."""
    return "\n\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text.strip()))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", " or ")

"""The parts of the documentation that are generated from the code; `python -m tests.docs` writes them."""

import re

from forecast.jobs.checks.limits import ActualCheckSettings, OutputCheckSettings
from forecast.jobs.monitoring import MonitoringSettings
from forecast.jobs.pipeline import JobSettings
from forecast.jobs.sinks import OrdersSettings, SinkSettings, TotalsSettings
from forecast.jobs.sources import SourceSettings
from forecast.settings import (
    BacktestSettings,
    CheckSettings,
    ClusterSettings,
    OutputSettings,
    PictureSettings,
    SettingsGroup,
    StoreSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)
from tests.docs import _reference

GENERATED = re.compile(r"(?<=<!-- generated: )(\w+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)

GROUPS: tuple[type[SettingsGroup], ...] = (
    TrainSettings,
    TableSettings,
    TextSettings,
    OutputSettings,
    PictureSettings,
    CheckSettings,
    BacktestSettings,
    ClusterSettings,
    StoreSettings,
)
FLAGS = {"params": "-p NAME=VALUE", "store": "--artifact"}  # settings whose option has another name
KEYS: tuple[type[SettingsGroup], ...] = (
    *(JobSettings, SourceSettings, SinkSettings, TotalsSettings, OrdersSettings),
    *(ActualCheckSettings, OutputCheckSettings, MonitoringSettings),
)


def tables() -> dict[str, str]:
    """The generated parts: tables by the names of their settings groups, commands and models."""
    parts = {group.__name__: _flags(group) for group in GROUPS}
    parts |= {group.__name__: _keys(group) for group in KEYS}
    headings = {group: _heading(group) for group in GROUPS}
    return parts | {"commands": _reference.commands(headings), "models": _reference.models()}


def updated(page: str) -> str:
    """A page with its generated tables as they should be."""
    generated = tables()
    return GENERATED.sub(lambda match: f"{match[1]}{match[2]}\n{generated[match[1]]}\n\n", page)


def _flags(group: type[SettingsGroup]) -> str:
    rows = []
    for name, field in group.model_fields.items():
        default = field.get_default(call_default_factory=True)
        flag = FLAGS.get(name, f"--{name.replace('_', '-')}")
        if isinstance(default, bool):
            flag, shown = f"{flag}` `--no-{name.replace('_', '-')}", "on" if default else "off"
        elif default in (None, ()):
            shown = ""
        elif isinstance(default, tuple):
            shown = ",".join(each if isinstance(each, str) else f"{each:g}" for each in default)
        else:
            shown = f"{default}"
        rows.append(f"| `{flag}` | {shown} | {(field.description or '').replace('|', 'or')} |")
    head = [
        f"## {_heading(group)}\n",
        f"{_reference.takers(group)}\n",
        "| option | default | meaning |",
        "|---|---|---|",
    ]
    return "\n".join([*head, *rows])


def _heading(group: type[SettingsGroup]) -> str:
    return (group.__doc__ or "").splitlines()[0].rstrip(".")


def _keys(group: type[SettingsGroup]) -> str:
    names = [name for name in group.model_fields if name not in TextSettings.model_fields]
    fields = {name: group.model_fields[name] for name in names}
    rows = [
        f"| `{name}` | {'' if field.default in (None, ()) else field.default} | {field.description} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| key | default | meaning |\n|---|---|---|", *rows])

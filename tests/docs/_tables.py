"""The tables of the documentation that are generated from the settings; `python -m tests.docs` writes them."""

import re
from pathlib import Path

from forecast.jobs.pipeline import JobSettings
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sources import SourceSettings
from forecast.settings import (
    BacktestSettings,
    CheckSettings,
    ClusterSettings,
    ExplainSettings,
    Knobs,
    OutputSettings,
    PictureSettings,
    StoreSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

ROOT = Path(__file__).parents[2]
GENERATED = re.compile(r"(?<=<!-- generated: )(\w+)( -->\n)(.*?)(?=<!-- end -->)", re.DOTALL)

COMMANDS: dict[type[Knobs], str] = {
    TrainSettings: "fit, backtest",
    TableSettings: "fit, now, backtest, score, plot, inspect",
    TextSettings: "fit, now, predict, backtest, score, plot, explain, inspect",
    OutputSettings: "now, predict, plot",
    PictureSettings: "plot",
    ExplainSettings: "explain",
    CheckSettings: "now, predict, run",
    BacktestSettings: "backtest",
    ClusterSettings: "predict; --cluster: also fit, backtest",
    StoreSettings: "fit; --artifact: most commands; --wait: also run, promote, rollback",
}
FLAGS = {"params": "-p KNOB=VALUE", "store": "--artifact"}  # settings whose option has another name
KEYS: tuple[type[Knobs], ...] = (JobSettings, SourceSettings, SinkSettings)


def tables() -> dict[str, str]:
    """The generated tables, by the names of their settings groups."""
    flags = {group.__name__: _flags(group, commands) for group, commands in COMMANDS.items()}
    return flags | {group.__name__: _keys(group) for group in KEYS}


def updated(page: str) -> str:
    """A page with its generated tables as they should be."""
    generated = tables()
    return GENERATED.sub(lambda match: f"{match[1]}{match[2]}\n{generated[match[1]]}\n\n", page)


def _flags(group: type[Knobs], commands: str) -> str:
    rows = []
    for name, field in group.model_fields.items():
        default = field.get_default(call_default_factory=True)
        flag = FLAGS.get(name, f"--{name.replace('_', '-')}")
        flag = f"{flag}` `--no-{name}" if default is True else flag
        if default in (None, ()) or isinstance(default, bool):
            shown = ""
        elif isinstance(default, tuple):
            shown = ",".join(each if isinstance(each, str) else f"{each:g}" for each in default)
        else:
            shown = f"{default}"
        rows.append(f"| `{flag}` | {shown} | {(field.description or '').replace('|', 'or')} |")
    title = (group.__doc__ or "").splitlines()[0].rstrip(".")
    return "\n".join([f"{title} (`{commands}`):\n", "| option | default | meaning |\n|---|---|---|", *rows])


def _keys(group: type[Knobs]) -> str:
    names = [name for name in group.model_fields if name not in TextSettings.model_fields]
    fields = {name: group.model_fields[name] for name in names}
    rows = [
        f"| `{name}` | {'' if field.default is None else field.default} | {field.description} |"
        for name, field in fields.items()
    ]
    return "\n".join(["| key | default | meaning |\n|---|---|---|", *rows])

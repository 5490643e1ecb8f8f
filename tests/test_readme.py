"""README says the truth about the settings: its tables are the settings."""

from pathlib import Path

import pytest

from forecast.jobs.pipeline import JobSettings
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sources import SourceSettings
from forecast.models import model_names
from forecast.settings import (
    BacktestSettings,
    CheckSettings,
    Knobs,
    OutputSettings,
    TableSettings,
    TextSettings,
    TrainSettings,
)

README = Path(__file__).parents[1] / "README.md"


def settings_tables() -> str:
    """The settings as README shows them."""
    groups = {
        TrainSettings: "fit, backtest",
        TableSettings: "fit, backtest, score, inspect",
        TextSettings: "fit, predict, backtest, score, inspect",
        OutputSettings: "predict",
        CheckSettings: "predict, run",
        BacktestSettings: "backtest",
    }
    head = "| flag | default | meaning |\n|---|---|---|\n"
    return "\n\n".join(
        f"{(group.__doc__ or '').splitlines()[0].rstrip('.')} (`{commands}`):\n\n{head}{_rows(group)}"
        for group, commands in groups.items()
    )


def _rows(group: type[Knobs]) -> str:
    rows = []
    for name, field in group.model_fields.items():
        default = field.default
        flag = "-p KNOB=VALUE" if name == "params" else f"--{'no-' * (default is True)}{name.replace('_', '-')}"
        if default in (None, ()) or isinstance(default, bool):
            shown = ""
        elif isinstance(default, tuple):
            shown = ",".join(each if isinstance(each, str) else f"{each:g}" for each in default)
        else:
            shown = f"{default}"
        rows.append(f"| `{flag}` | {shown} | {(field.description or '').replace('|', 'or')} |")
    return "\n".join(rows)


def test_the_tables_of_settings_are_the_settings() -> None:
    assert settings_tables() in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", model_names())
def test_every_model_has_a_row(name: str) -> None:
    assert f"| `{name}`" in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("group", [JobSettings, SourceSettings, SinkSettings])
def test_the_keys_of_pipelines_are_the_settings(group: type[Knobs]) -> None:
    written = (README.parent / "pipelines" / "README.md").read_text(encoding="utf-8")
    for name in set(group.model_fields) - set(TextSettings.model_fields):
        field = group.model_fields[name]
        default = "" if field.default is None else f"{field.default}"
        assert f"| `{name}` | {default} | {field.description} |" in written

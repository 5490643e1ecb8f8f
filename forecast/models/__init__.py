"""The registry: every file in this folder is a model, found by listing it; nothing here imports torch."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from forecast.models.shared.model import RecurrentModel
    from forecast.settings import SettingsGroup


def model_names() -> list[str]:
    """Names of all models: their files' names, with ``-`` for ``_``."""
    return sorted(_files())


def model_summary(name: str) -> str:
    """The first line of the model's file."""
    with _find(name).open(encoding="utf-8") as file:
        return file.readline().strip().strip('"').rstrip(".")


def model_class(name: str) -> "type[RecurrentModel]":
    """The model's network class; imports torch."""
    module = importlib.import_module(f"{__name__}.{_find(name).stem}")
    network: type[RecurrentModel] = module.Network
    return network


def model_params(name: str) -> "type[SettingsGroup]":
    """The model's own settings."""
    return model_class(name).Params


def _files() -> dict[str, Path]:
    folder = Path(__file__).parent
    return {f.stem.replace("_", "-"): f for f in folder.glob("*.py") if not f.name.startswith("_")}


def _find(name: str) -> Path:
    files = _files()
    if name not in files:
        hint = did_you_mean(name, list(files))
        raise UsageError(f"unknown model '{name}'{hint} (models: {', '.join(sorted(files))})")
    return files[name]

"""The registry: every file in this folder is a statistical method, found by listing it; nothing here imports numpy."""

import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from forecast.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from forecast.baselines.shared.method import Method


def baseline_names() -> tuple[str, ...]:
    """Names of all baselines: their files' names, with ``-`` for ``_``; those that run by default come first."""
    return tuple(_methods())


def default_baselines() -> tuple[str, ...]:
    """Names of the baselines that run unless others are asked for, in their order."""
    return tuple(name for name, method in _methods().items() if method.default_place is not None)


def baseline_method(name: str) -> "Method":
    """The method with a name; an unknown name raises `UsageError`, which suggests the nearest one."""
    methods = _methods()
    if name not in methods:
        hint = did_you_mean(name, list(methods))
        raise UsageError(f"unknown baseline '{name}'{hint} (baselines: {', '.join(methods)})")
    return methods[name]


@cache
def _methods() -> "dict[str, Method]":
    found = []
    for file in Path(__file__).parent.glob("[!_]*.py"):
        method: Method = importlib.import_module(f"{__name__}.{file.stem}").METHOD
        place = float("inf") if method.default_place is None else method.default_place
        found.append((place, file.stem.replace("_", "-"), method))
    return {name: method for _, name, method in sorted(found, key=lambda entry: entry[:2])}

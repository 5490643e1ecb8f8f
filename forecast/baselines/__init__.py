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
    """The method of that name.

    Raises
    ------
    UsageError
        If no baseline has this name; the message suggests the nearest name.
    """
    methods = _methods()
    if name not in methods:
        hint = did_you_mean(name, list(methods))
        raise UsageError(f"unknown baseline '{name}'{hint} (baselines: {', '.join(methods)})")
    return methods[name]


@cache
def _methods() -> "dict[str, Method]":
    methods: dict[str, Method] = {}
    for file in Path(__file__).parent.glob("[!_]*.py"):
        methods[file.stem.replace("_", "-")] = importlib.import_module(f"{__name__}.{file.stem}").METHOD

    def place(name: str) -> tuple[float, str]:
        default = methods[name].default_place
        return float("inf") if default is None else default, name

    return {name: methods[name] for name in sorted(methods, key=place)}

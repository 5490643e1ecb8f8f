"""Models, baselines and metrics by name: those of this package, and modules of other packages."""

import importlib
import re
import sys
from functools import cache
from itertools import accumulate
from pathlib import Path
from traceback import walk_tb
from typing import Any, NamedTuple

from forecast.errors import (
    ForecastError,
    Setting,
    StorageFailure,
    Unavailable,
    UsageError,
    did_you_mean,
    visible,
)
from forecast.logs import log

ROOMS = {
    "models": ("Network", "RecurrentModel"),
    "baselines": ("METHOD", "Method"),
    "metrics": ("METRIC", "function"),
}
"""What a module of a room defines, and its class; entry points have the group ``forecast.ROOM``."""
METRICS = ("mase", "rmsse", "mae", "rmse", "smape", "wape", "wape_bias", "wql")
"""Measures of this package by which models can be compared; see `forecast.metrics`."""
DEBUG = "FORECAST_TRACEBACK"  # if this variable is set, the traceback of a bug is shown
ENTRY_NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Entry(NamedTuple):
    """A model or a baseline by name, whose module is not imported yet."""

    room: str
    module: str
    package: str = ""  # name and version of the package that brings it; empty for this one

    def load(self) -> Any:
        """Import its module, and return the model or baseline that the module defines.

        Raises `Unavailable`, which names the package, if the module cannot be used.
        """
        name, kind = ROOMS[self.room]
        try:
            value = getattr(importlib.import_module(self.module), name)
            bases = (*type(value).__mro__, *getattr(value, "__mro__", ()))
            if kind not in [base.__name__ for base in bases]:
                raise TypeError(f"its {name} is no {kind}")
        except Exception as error:
            if not self.package or isinstance(error, ForecastError):
                raise
            place = f"{self.module} of the package {self.package}"
            raise Unavailable(f"cannot be used: {_first_line(error)}", place=place) from None
        return value

    def summary(self) -> str:
        """Return the first line of its file without importing it; warn if the file is missing."""
        spec = path = None
        # importlib.util would import the packages that the module lies in
        for name in accumulate(self.module.split("."), "{}.{}".format):
            specs = (finder.find_spec(name, path) for finder in sys.meta_path)
            spec = next(filter(None, specs), None)
            path = None if spec is None else spec.submodule_search_locations
        if spec is None or not spec.has_location:
            log.warning("%s of the package %s: there is no such module", self.module, self.package)
            return "cannot be found"
        with open(str(spec.origin), encoding="utf-8", errors="replace") as file:
            return file.readline().strip().strip('"').rstrip(".")


@cache
def built_in(room: str) -> dict[str, Entry]:
    """Return the entries of this package in a room, by name of the file with ``-`` for ``_``."""
    if room == "metrics":  # many are a line each, in one file
        return dict.fromkeys(METRICS, Entry(room, "forecast.metrics.metrics"))
    entries = {}
    for file in sorted(Path(__file__).with_name(room).glob("[!_]*.py")):
        name = file.stem.replace("_", "-")
        entries[name] = Entry(room, f"forecast.{room}.{file.stem}")
    return entries


@cache
def plugins() -> dict[str, Entry]:
    """Return the entries of other packages, by name; warn of those that are left out."""
    from importlib import metadata  # its import takes longer than a command's help

    points = set[Any]()  # a folder may be searched twice
    for distribution in metadata.distributions():
        try:
            for room in ROOMS:
                points.update(distribution.entry_points.select(group=f"forecast.{room}"))
        except Exception as error:
            problem = "entry_points.txt of the package %s cannot be read, and is left out: %s"
            log.warning(problem, distribution.name, visible(repr(error)))

    entries: dict[str, Entry] = {}
    for name, point in sorted((point.name, point) for point in points):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        taken = {"auto", *entries, *(name for room in ROOMS for name in built_in(room))}
        if name in taken or not ENTRY_NAME.fullmatch(name):
            reason = "the name is taken, or not of small letters, digits and -"
            room = point.group.removeprefix("forecast.")
            problem = "the %s '%s' of the package %s is left out: %s"
            log.warning(problem, room[:-1], visible(name), package, reason)
        else:
            entries[name] = Entry(point.group.removeprefix("forecast."), point.module, package)
    return entries


def explain_error(error: BaseException) -> ForecastError:
    """Return an error that a user can understand; an unknown one is reported as a bug here."""
    if isinstance(error, ForecastError):
        return error
    if isinstance(error, OSError):
        return StorageFailure(error.strerror, place=error.filename or "input or output")
    if isinstance(error, MemoryError):
        coarser = f"{Setting('freq')} with {Setting('aggregate')}"
        cure = f"pass a smaller {Setting('lookback')}, fewer series, or a coarser {coarser}"
        return Unavailable("out of memory", cure=cure)
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if "BrokenProcessPool" in kinds:  # by name, as its import takes long
        problem = "a parallel process was killed, most often because memory ran out"
        return Unavailable(problem, cure=(f"pass {Setting('jobs', 1)}, or free memory"))
    package = _find_package(error)
    if package is not None:
        problem = f"the package {package} failed with {_first_line(error)}"
        return Unavailable(problem, cure="leave out its models")
    missing = ""
    if isinstance(error, ModuleNotFoundError):
        missing = (error.name or "").partition(".")[0]
    if missing in ("", "forecast"):  # a module of ours that is missing is a bug, too
        problem = f"this is a bug of forecast: {_first_line(error)}"
        return ForecastError(problem, cure=f"set {DEBUG}=1 to see where")
    name = "scikit-learn" if missing == "sklearn" else missing
    problem = f"this needs the package {name}, which is not installed"
    return Unavailable(problem, cure=f"`pip install {name}`, or install forecast whole")


def _find_package(error: BaseException) -> str | None:
    """The package that brings models in whose code an error was raised."""
    packages = {entry.module.partition(".")[0]: entry.package for entry in plugins().values()}
    for frame, _ in walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__"))
        if module.partition(".")[0] in packages:
            return packages[module.partition(".")[0]]
    return None


def _first_line(error: BaseException) -> str:
    return visible(f"{type(error).__name__}: {error}".split("\n")[0])


def names(room: str) -> list[str]:
    return [*built_in(room), *(name for name, entry in plugins().items() if entry.room == room)]


def has(room: str, name: str) -> bool:
    """Whether a room has an entry of this name; other packages are searched last."""
    return name in built_in(room) or (name in plugins() and plugins()[name].room == room)


def find_entry(room: str, name: str) -> Entry:
    """Return the entry of a name; an unknown name raises `UsageError`, which suggests one."""
    if not has(room, name):
        choices = names(room)
        hint = did_you_mean(name, choices)
        listed = ", ".join(choices)
        raise UsageError(f"unknown {room[:-1]} '{name}'{hint} ({room}: {listed})")
    return built_in(room).get(name) or plugins()[name]


def baseline_names() -> tuple[str, ...]:
    """Names of all baselines; those that run by default come first."""
    return tuple(dict.fromkeys([*default_baselines(), *names("baselines")]))


@cache
def default_baselines() -> tuple[str, ...]:
    """Names of the baselines that run unless others are asked for; none of another package."""
    ranks = {name: entry.load().default_rank for name, entry in built_in("baselines").items()}
    defaults = [name for name in ranks if ranks[name] is not None]
    return tuple(sorted(defaults, key=lambda name: (ranks[name], name)))


def is_baseline(name: str) -> bool:
    return has("baselines", name)

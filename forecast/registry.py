"""Models and baselines by name: files in two rooms of this package, and modules that other packages bring."""

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
    Words,
    did_you_mean,
    visible,
)
from forecast.logs import log

ROOMS = {"models": ("Network", "RecurrentModel"), "baselines": ("METHOD", "Method")}
"""What a module of a room defines, and the class of that; entry points have the group ``forecast.ROOM``."""
DEBUG = "FORECAST_TRACEBACK"  # set, the traceback of a bug is shown
NAME = re.compile("[a-z][a-z0-9]*(-[a-z0-9]+)*")


class Entry(NamedTuple):
    """A model or a baseline, of which nothing is imported yet."""

    room: str
    module: str
    package: str = (
        ""  # name and version of the package that brings it; empty for those of this package
    )

    def load(self) -> Any:
        """What its module defines; `Unavailable` names a package whose module cannot be used."""
        name, kind = ROOMS[self.room]
        try:
            found = getattr(importlib.import_module(self.module), name)
            if kind not in [
                base.__name__ for base in (*type(found).__mro__, *getattr(found, "__mro__", ()))
            ]:
                raise TypeError(f"its {name} is no {kind}")
        except Exception as error:
            if not self.package or isinstance(error, ForecastError):
                raise
            place = f"{self.module} of the package {self.package}"
            raise Unavailable(f"cannot be used: {_first_line(error)}", place=place) from None
        return found

    def summary(self) -> str:
        """The first line of its file, which is not imported; a warning where there is no such file."""
        path, spec = None, None
        for dots in accumulate(
            self.module.split("."), "{}.{}".format
        ):  # importlib.util would import all but the last
            spec = next(
                (spec for finder in sys.meta_path if (spec := finder.find_spec(dots, path))), None
            )
            path = None if spec is None else spec.submodule_search_locations
        if spec is None or not spec.has_location:
            log.warning("%s of the package %s: there is no such module", self.module, self.package)
            return "cannot be found"
        with open(str(spec.origin), encoding="utf-8", errors="replace") as file:
            return file.readline().strip().strip('"').rstrip(".")


def modules_in(package: str, folder: str) -> list[Any]:
    """The modules of a package in the order of their names, found by listing its folder."""
    files = sorted(file.stem for file in Path(folder).glob("[!_]*.py"))
    return [importlib.import_module(f"{package}.{name}") for name in files]


@cache
def built_in(room: str) -> dict[str, Entry]:
    """What this package has in a room, by name, found by listing its folder: the files' names, with ``-`` for ``_``."""
    files = sorted(Path(__file__).with_name(room).glob("[!_]*.py"))
    return {
        file.stem.replace("_", "-"): Entry(room, f"forecast.{room}.{file.stem}") for file in files
    }


@cache
def plugins() -> dict[str, Entry]:
    """What other packages bring, by name; a warning tells which of it is left out."""
    from importlib import metadata  # its import takes longer than a command's help

    found: dict[str, Entry] = {}
    points = set[Any]()  # a folder may be searched twice
    for distribution in metadata.distributions():
        try:
            for room in ROOMS:
                points.update(distribution.entry_points.select(group=f"forecast.{room}"))
        except Exception as error:
            log.warning(
                "entry_points.txt of the package %s cannot be read, and is left out: %s",
                distribution.name,
                visible(repr(error)),
            )
    for name, point in sorted((point.name, point) for point in points):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        if (
            name == "auto"
            or any(name in names for names in (found, *map(built_in, ROOMS)))
            or not NAME.fullmatch(name)
        ):
            why = "the name is taken, or not of small letters, digits and -"
            log.warning(
                "the model '%s' of the package %s is left out: %s", visible(name), package, why
            )
        else:
            found[name] = Entry(point.group.removeprefix("forecast."), point.module, package)
    return found


def explained(error: BaseException) -> ForecastError:
    """What an error means to the user, such as memory that ran out; else it is a bug of this package."""
    if isinstance(error, ForecastError):
        return error
    if isinstance(error, OSError):
        return StorageFailure(error.strerror, place=error.filename or "input or output")
    if isinstance(error, MemoryError):
        parts = (
            "pass a smaller ",
            Setting("lookback"),
            ", fewer series, or a coarser ",
            Setting("freq"),
            " with ",
        )
        return Unavailable("out of memory", cure=Words(*parts, Setting("aggregate")))
    if any(
        kind.__name__ == "BrokenProcessPool" for kind in type(error).__mro__
    ):  # importing it takes long
        free = Words("pass ", Setting("jobs", 1), ", or free memory")
        return Unavailable(
            "a parallel process was killed, most often because memory ran out", cure=free
        )
    packages = {entry.module.partition(".")[0]: entry.package for entry in plugins().values()}
    for frame, _ in walk_tb(error.__traceback__):
        if package := packages.get(str(frame.f_globals.get("__name__")).partition(".")[0]):
            problem = f"the package {package} failed with {_first_line(error)}"
            return Unavailable(problem, cure="leave out its models")
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    if missing in ("", "forecast"):  # a module of ours that is missing is a bug, too
        return ForecastError(
            f"this is a bug of forecast: {_first_line(error)}", cure=f"set {DEBUG}=1 to see where"
        )
    name = "scikit-learn" if missing == "sklearn" else missing
    cure = f"`pip install {name}`, or install forecast whole"
    return Unavailable(f"this needs the package {name}, which is not installed", cure=cure)


def _first_line(error: BaseException) -> str:
    return visible(f"{type(error).__name__}: {error}".split("\n")[0])


def names(room: str) -> list[str]:
    return [*built_in(room), *(name for name, entry in plugins().items() if entry.room == room)]


def has(room: str, name: str) -> bool:
    """Whether a room has a name; other packages are looked at for names that are not ours."""
    return name in built_in(room) or (name in plugins() and plugins()[name].room == room)


def entry_of(room: str, name: str) -> Entry:
    """What has a name; an unknown one raises `UsageError`, which suggests the nearest."""
    if not has(room, name):
        known = names(room)
        raise UsageError(
            f"unknown {room[:-1]} '{name}'{did_you_mean(name, known)} ({room}: {', '.join(known)})"
        )
    return built_in(room).get(name) or plugins()[name]


def baseline_names() -> tuple[str, ...]:
    """Names of all baselines; those that run by default come first."""
    return tuple(dict.fromkeys([*default_baselines(), *names("baselines")]))


@cache
def default_baselines() -> tuple[str, ...]:
    """Names of the baselines that run unless others are asked for, in their order; none of another package."""
    ranks = (
        (built_in("baselines")[name].load().default_rank, name) for name in built_in("baselines")
    )
    return tuple(
        name for _, name in sorted((rank, name) for rank, name in ranks if rank is not None)
    )


def is_baseline(name: str) -> bool:
    return has("baselines", name)


def name_taken(cls: type, name: str, of: str) -> UsageError:
    """The error of a class, perhaps of another package, that takes a name for something else."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or cls.__module__
    return UsageError(
        f"'{name}' of class {cls.__name__} is a name of {of} already", place=file, cure="rename it"
    )

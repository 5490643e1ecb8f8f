"""Checks of the user's own: files that a pipeline file names."""

import runpy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from forecast.errors import UsageError
from forecast.jobs.checks.check import Find
from forecast.jobs.checks.finding import Finding
from forecast.jobs.checks.limits import CHECKS, OwnCheckSettings
from forecast.jobs.checks.tonight import Tonight

FUNCTION = "check"  # which such a file defines


def load_own_checks(settings: Mapping[str, OwnCheckSettings]) -> dict[str, Find]:
    """Run the files of checks; raises `UsageError` if one cannot be used."""
    checks = dict[str, Find]()
    for name, own in settings.items():
        if name in CHECKS:
            raise UsageError(f"there is a check '{name}' already; give yours another name")
        with _name_file(own.path):
            function = runpy.run_path(own.path)[FUNCTION]
        checks[name] = partial(_run, own.path, function)
    return checks


def _run(path: str, function: Find, tonight: Tonight) -> Finding | None:
    with _name_file(path):
        finding = function(tonight)
        if finding is not None and not isinstance(finding, Finding):
            raise TypeError(f"it returns a Finding or None, and not {finding!r}")
    return finding


@contextmanager
def _name_file(path: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        problem = f"this check failed with {type(error).__name__}: {error}"
        raise UsageError(problem, place=path) from error

"""Declare a check: a function from tonight to a finding, what it is about, and its limits."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from forecast.jobs.checks.finding import Finding, Limits
from forecast.jobs.checks.tonight import Tonight

Find = Callable[[Tonight], Finding | None]
"""Compares a run with those before it; None means that there is nothing to compare."""


@dataclass(frozen=True)
class Check:
    """A function from tonight to a finding.

    Attributes
    ----------
    about : what its statistic is; of a rule, the numbers that break it
    limits : beyond which it says something; None for a rule, which no run may break
    is_share : whether the statistic is a share, and shown in percent
    """

    name: str
    find: Find
    about: str
    limits: Limits | None = None
    is_share: bool = True

    @property
    def setting(self) -> Any:
        """The field of its limits."""
        return Field(self.limits, description=self.about)

    def __call__(self, tonight: Tonight) -> Finding | None:
        return self.find(tonight)

    def describe(self, share: float) -> str:
        if self.limits is None:
            return f"{share:,.0f} {self.about}"
        if not self.is_share:
            return f"{share:.3g} is {self.about}"
        percent = f"{100 * share:,.0f}" if share > 1 else f"{100 * share:.3g}"
        return f"{percent} % is {self.about}"


def limited(
    warn: float, error: float, about: str, is_share: bool = True
) -> Callable[[Find], Check]:
    """Declare the limits of the check below it, whose name follows ``check_``."""
    limits = Limits(warn=warn, error=error)
    return lambda find: Check(_name(find), find, about, limits, is_share)


def rule(about: str) -> Callable[[Find], Check]:
    """Declare a check that no run may break: its statistic is the number of `about`."""
    return lambda find: Check(_name(find), find, about)


def _name(find: Find) -> str:
    return find.__name__.removeprefix("check_")

"""The statistical methods by name: a file each in this folder, and those of other packages."""

from functools import cache
from typing import TYPE_CHECKING

from forecast.registry import built_in, entry_of, has, names

if TYPE_CHECKING:
    from forecast.baselines.shared.method import Method


def baseline_names() -> tuple[str, ...]:
    """Names of all baselines; those that run by default come first."""
    return tuple(dict.fromkeys([*default_baselines(), *names("baselines")]))


@cache
def default_baselines() -> tuple[str, ...]:
    """Names of the baselines that run unless others are asked for, in their order; none of another package."""
    ranks = ((baseline_method(name).default_rank, name) for name in built_in("baselines"))
    return tuple(
        name for _, name in sorted((rank, name) for rank, name in ranks if rank is not None)
    )


def is_baseline(name: str) -> bool:
    return has("baselines", name)


@cache
def baseline_method(name: str) -> "Method":
    """The method with a name; an unknown name raises `UsageError`, which suggests the nearest one."""
    method: Method = entry_of("baselines", name).load()
    return method

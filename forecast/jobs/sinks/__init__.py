"""Where forecasts go: every file in this folder is a kind of sink, found by listing it."""

from typing import Any

from forecast.errors import UsageError
from forecast.jobs.kinds import Sink, joined_keys, named_kinds, ways
from forecast.registry import modules_in

KINDS: list[Sink] = modules_in(__name__, __path__[0])
USE = f"give it {ways(KINDS)}, or several of these"
_Keys = joined_keys(KINDS)


class SinkSettings(_Keys):  # type: ignore[valid-type,misc]  # its keys stand in the files of the kinds
    """Where the forecasts go."""


def sinks_of(settings: SinkSettings) -> list[tuple[Sink, Any]]:
    """The kinds of sinks that a job names, at least one, in the order in which they are written, and their settings."""
    named = named_kinds(settings, KINDS)
    if not named:
        raise UsageError(USE)
    return named

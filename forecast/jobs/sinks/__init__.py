"""Where forecasts and their sums go: every file in this folder is a kind of sink, found by listing it."""

from typing import Any

from pydantic import Field

from forecast.errors import UsageError
from forecast.jobs.kinds import Sink, joined_keys, named_kinds, ways
from forecast.registry import modules_in
from forecast.settings import PeriodNames, Series, SumSettings

KINDS: list[Sink] = modules_in(__name__, __path__[0])
USE = f"give it {ways(KINDS)}, or several of these"
_Keys, _PlainKeys = joined_keys(KINDS), joined_keys(KINDS, secrets=False)


class SinkSettings(_Keys):  # type: ignore[valid-type,misc]  # its keys stand in the files of the kinds
    """Where the forecasts go."""


class TotalsSettings(_PlainKeys):  # type: ignore[valid-type,misc]
    """Sums of the forecasts, and where they go; tables are in the database of the sink."""

    by: Series = Field(
        (),
        description="id or static columns that name groups: region,product; or all; or a list of such",
    )
    every: PeriodNames = Field(
        (), description="day, week, month, quarter, year or horizon; or a list of these"
    )

    @property
    def sums(self) -> SumSettings:
        """What is summed."""
        return SumSettings(sum_by=self.by, sum_every=self.every)

    def sink(self, series: SinkSettings) -> SinkSettings:
        """Where the sums go, beside the series."""
        given = self.model_dump(include=set(_PlainKeys.model_fields))
        return SinkSettings(**given, url=series.url if self.table is not None else None)


def sinks_of(settings: SinkSettings) -> list[tuple[Sink, Any]]:
    """The kinds of sinks that a job names, at least one, in the order in which they are written, and their settings."""
    named = named_kinds(settings, KINDS)
    if not named:
        raise UsageError(USE)
    return named

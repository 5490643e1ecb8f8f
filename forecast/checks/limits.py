"""Settings of the checks of forecasts: the limits beyond which each of them warns, and is an error."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from forecast.settings import CheckSettings, SettingsGroup

OF_SERIES = ("series_missing", "bounds", "jump", "flat", "width")


class Limits(SettingsGroup):
    """Beyond `warn` a check warns, beyond `error` it is an error; at 1 a share of series never is."""

    warn: float = Field(ge=0, description="the share beyond which it warns")
    error: float = Field(ge=0, description="the share beyond which it is an error")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.warn > self.error:
            raise ValueError(f"warn {self.warn:g} lies above error {self.error:g}")
        return self

    def __str__(self) -> str:
        return f"warn {self.warn:g}, error {self.error:g}"


def _limits(warn: float, error: float, description: str) -> Any:
    return Field(Limits(warn=warn, error=error), description=description)


OnError = Literal["block", "fallback", "warn"]


class OutputCheckSettings(SettingsGroup):
    """Checks of forecasts before a job writes them; `python -m tests.faults nights` measured the limits."""

    on_error: OnError = Field("block", description="block: exit with 5; fallback: write rows of the last run; or warn")
    series_missing: Limits = _limits(
        0.005, 0.02, "the share of the last run's series that have no rows, unless they ended"
    )
    bounds: Limits = _limits(0.005, 0.02, "the share of series with a median above 3 times the largest value of a year")
    jump: Limits = _limits(0.05, 0.25, "the share of series whose median moved much further than in past runs")
    total_jump: Limits = _limits(0.05, 0.15, "the change of the sum of all medians, if over 3 times that of past runs")
    flat: Limits = _limits(0.05, 0.5, "the share of series with a constant median, if more than in past runs")
    width: Limits = _limits(0.05, 1.0, "the share of series whose intervals are 3 times as wide as before, or a third")


class JobCheckSettings(CheckSettings, heading="Checks"):
    """Checks of the table of a job, and of its forecasts."""

    output: OutputCheckSettings = Field(OutputCheckSettings(), description="checks of forecasts")

"""Public holidays of a country, from the optional package holidays."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecast.errors import INSTALL, Setting, Unavailable, UsageError, did_you_mean


def holiday_flags(days: NDArray[np.int64], country: str) -> NDArray[np.bool_]:
    """Whether each of these days since 1970-01-01 is a public holiday of a country, or of a part such as US-CA."""
    return np.isin(days, [day for day, _ in _holidays(country, tuple(np.unique(_years(days)).tolist()))])


def named_holidays(first: int, last: int, country: str) -> list[tuple[int, str]]:
    """The public holidays from one day to another, once for each name of a day; raises as `holiday_flags` does."""
    start, end = _years(np.array([first, last])).tolist()
    return [(day, name) for day, name in _holidays(country, tuple(range(start, end + 1))) if first <= day <= last]


def _years(days: NDArray[np.int64]) -> NDArray[np.int64]:
    return days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970


@lru_cache(maxsize=32)
def _holidays(country: str, years: tuple[int, ...]) -> tuple[tuple[int, str], ...]:
    """Days since 1970-01-01 and names of the holidays of some years."""
    setting = Setting("holidays", country)
    try:
        import holidays
    except ImportError:
        raise Unavailable("needs the package holidays", setting=setting, cure=INSTALL.format("holidays")) from None
    name, _, part = country.partition("-")
    supported = holidays.list_supported_countries()
    if name not in supported:  # checked here, as the package accepts any name in its module
        hint = did_you_mean(name.upper(), list(supported))
        raise UsageError(f"no such country{hint} (ISO codes such as DE or US-CA)", setting=setting)
    try:
        dates = holidays.country_holidays(name, subdiv=part or None, years=years or None)
    except NotImplementedError:
        hint, parts = did_you_mean(part, list(supported[name])), ", ".join(supported[name]) or "none"
        raise UsageError(f"no such part{hint} (parts of {name}: {parts})", setting=setting) from None
    named = ((day, name) for day, names in dates.items() for name in names.split("; "))
    return tuple(sorted((int(np.datetime64(day, "D").astype(np.int64)), name) for day, name in named))

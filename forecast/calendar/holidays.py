"""Public holidays of a country, from the optional package holidays."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Setting, Unavailable, UsageError, did_you_mean


def holiday_flags(days: NDArray[np.int64], country: str) -> NDArray[np.bool_]:
    """Say which days are public holidays.

    Parameters
    ----------
    days : [days], days since 1970-01-01
    country : ISO code, or country and subdivision such as US-CA

    Raises
    ------
    Unavailable
        If the package holidays is not installed.
    UsageError
        If the country or its subdivision is not known.
    """
    years = np.unique(days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970)
    return np.isin(days, [day for day, _ in _holidays(country, tuple(years.tolist()))])


def named_holidays(first: int, last: int, country: str) -> list[tuple[int, str]]:
    """Days since 1970-01-01 and names of the public holidays from one day to another; raises as `holiday_flags` does.

    A day with several holidays comes once for each name.
    """
    days = np.array([first, last])
    start, end = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + 1970
    found = _holidays(country, tuple(range(int(start), int(end) + 1)))
    return [(day, name) for day, name in found if first <= day <= last]


@lru_cache(maxsize=32)
def _holidays(country: str, years: tuple[int, ...]) -> tuple[tuple[int, str], ...]:
    """Days since 1970-01-01 and names of the holidays of some years."""
    try:
        import holidays
    except ImportError:
        problem = "needs the package holidays: pip install forecast[holidays]"
        raise Unavailable(problem, setting=Setting("holidays", country)) from None
    name, _, part = country.partition("-")
    supported = holidays.list_supported_countries()
    if name not in supported:  # checked here, as the package accepts any name in its module
        hint = did_you_mean(name.upper(), list(supported))
        problem = f"no such country{hint} (ISO codes such as DE or US-CA)"
        raise UsageError(problem, setting=Setting("holidays", country))
    try:
        dates = holidays.country_holidays(name, subdiv=part or None, years=years or None)
    except NotImplementedError:
        raise UsageError(
            f"no such part{did_you_mean(part, list(supported[name]))}"
            f" (parts of {name}: {', '.join(supported[name]) or 'none'})",
            setting=Setting("holidays", country),
        ) from None
    return tuple(
        sorted(
            (int(np.datetime64(day, "D").astype(np.int64)), name)
            for day, names in dates.items()
            for name in names.split("; ")
        )
    )

"""Check and mend the names of a table's columns, and say which are wrong."""

import logging
import re
from collections import Counter

import pandas as pd

from forecast.errors import BadData

DATE_OR_FRACTION = re.compile(r"\d+[-/.:]\d+[-/.:]\d+|\d+:\d\d|[+-]?\d*\.\d+")

log = logging.getLogger("forecast")


def column_names(header: list[str], frame: pd.DataFrame, name: str, line: int, delimiter: str) -> list[str]:
    """Check and trim the names of the columns; only the first may be blank."""
    names = [column.strip() for column in header]
    where = f"{name} line {line}"
    if names[0].startswith("#") and names[0] != "#":
        raise BadData(f"{where} starts with #; remove the comment (or the # in front of the header)")
    if (
        names[0]
        and all(re.search(r"\d", cell) and not re.search(r"[^\W\dTZ]", cell) for cell in names if cell)
        and any(DATE_OR_FRACTION.match(cell) for cell in names)
    ):
        raise BadData(f"{where} holds data and no header; put a line with the names of the columns before it")
    if "" in names[1:]:
        raise BadData(f"{where}: {_nameless(names, frame, delimiter)}")
    if twice := duplicates(names):
        raise BadData(f"{where}: several columns are called {listed(twice)}; rename them")
    if padded := sum(old != new for old, new in zip(header, names, strict=True)):
        log.warning("%s: blanks around %d column name%s were removed", name, padded, "s" if padded > 1 else "")
    return names


def _nameless(names: list[str], frame: pd.DataFrame, delimiter: str) -> str:
    """Say which column lacks a name, and whether it is a column at all."""
    first = names.index("", 1)
    if first == 1 and len(names) > 2 and not any(names[1:]):
        return "only the first column has a name: is the line a title? remove it"
    trailing = not any(names[first:]) and all(bool((frame[place] == "").all()) for place in range(first, len(names)))
    mend = f"remove the trailing {delimiter_name(delimiter, len(names) - first)}" if trailing else "give it one"
    return f"column {first + 1} has no name; {mend}"


def delimiter_name(delimiter: str, count: int = 1) -> str:
    """A delimiter, or several, as messages show them: tab, ';'."""
    return "tab" + "s" * (count > 1) if delimiter == "\t" else f"'{delimiter * count}'"


def duplicates(names: list[str]) -> list[str]:
    """Names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: list[str]) -> str:
    """The first five names in quotes, and how many more there are."""
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

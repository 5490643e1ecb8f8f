"""Check and mend the names of a table's columns, and say which are wrong."""

import logging
import re
from collections import Counter

import numpy as np
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
        column = names.index("", 1) + 1
        blank = not len(frame) or bool((frame[column - 1] == "").all())
        mend = f"remove the trailing '{delimiter}'" if blank and column == len(names) else "give it one"
        raise BadData(f"{where}: column {column} has no name; {mend}")
    if twice := duplicates(names):
        raise BadData(f"{where}: several columns are called {listed(twice)}; rename them")
    if padded := sum(old != new for old, new in zip(header, names, strict=True)):
        log.warning("%s: blanks around %d column name%s were removed", name, padded, "s" if padded > 1 else "")
    return names


def settle_unnamed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Drop an unnamed first column of row numbers, as DataFrame.to_csv writes it; name any other."""
    cells = frame[""]
    count = len(frame)
    if len(frame.columns) > 2 and bool(cells.str.fullmatch("[0-9]{1,18}").all()):
        numbers = np.sort(cells.astype("int64").to_numpy())
        if numbers[0] in (0, 1) and (numbers == np.arange(count) + numbers[0]).all():
            log.warning("%s: the unnamed first column holds row numbers and was left out", name)
            return frame.drop(columns="")
    label = "time" if DATE_OR_FRACTION.match(cells.iloc[0]) else "index"
    if label in frame.columns:
        raise BadData(f"{name} line 1: the first column has no name; give it one")
    log.warning("%s: the first column has no name and is called '%s'", name, label)
    return frame.rename(columns={"": label})


def duplicates(names: list[str]) -> list[str]:
    """Names that occur more than once."""
    return [name for name, count in Counter(names).items() if count > 1]


def listed(names: list[str]) -> str:
    """The first five names in quotes, and how many more there are."""
    return ", ".join(f"'{name}'" for name in names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")

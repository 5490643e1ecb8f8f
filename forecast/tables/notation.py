"""Notations of numbers, and the settings under which a cell would be a number."""

import re
from itertools import product

from forecast.errors import Setting, Words
from forecast.settings import DecimalMark
from forecast.tables.table import Table

SEPARATORS = (",", ".", " ", "'", "_")
SPACES = "[ \u00a0\u202f]"  # spreadsheets group thousands by any of these


def advice(text: str, alike: list[str], table: Table, others_marked: bool = False) -> str | Words:
    """Advise which settings make the cell a number, and if possible all cells like it; else how to write it.

    `others_marked`: good numbers of the column have the table's decimal mark, so that another cannot be right.
    """
    ways = [way for way in _notations(table.decimal) if way[0] == table.decimal or not others_marked]
    for cells in ([text, *alike], [text]):
        for decimal, thousands in ways:
            if all(re.search(number_pattern(decimal, thousands), cell) for cell in cells):
                given = [Setting("decimal", decimal)] * (decimal != table.decimal)
                if thousands is not None and thousands != table.thousands:
                    given.append(Setting("thousands", thousands))
                parts = [part for setting in given for part in (" ", setting)]
                return Words("pass", *parts) if given else "mend it or leave it blank"
    other = "," if table.decimal == "." else "."
    if others_marked and re.search(number_pattern(other, None), text):
        return f"write it as {text.replace(other, table.decimal)}, as the other numbers are"
    return next((mend for pattern, mend in MENDS if pattern.search(text)), "mend it or leave it blank")


def _notations(decimal: DecimalMark) -> list[tuple[DecimalMark, str | None]]:
    """Notations as (decimal mark, separator), those nearest to the table's first."""
    other: DecimalMark = "," if decimal == "." else "."
    ways = [*product([decimal], SEPARATORS), (other, None), *product([other], SEPARATORS)]
    return [(mark, thousands) for mark, thousands in ways if mark != thousands]


def separator_pattern(thousands: str) -> str:
    """The regular expression of a thousands separator, in all the forms in which spreadsheets write it."""
    return {" ": SPACES, "'": "['\u2019]"}.get(thousands, re.escape(thousands))


def number_pattern(decimal: str, thousands: str | None) -> str:
    """The regular expression of a whole cell that is a number, understood by `re` and by Arrow's RE2 alike."""
    mark, whole = re.escape(decimal), "[0-9]+"
    if thousands is not None:
        # groups of two before the last three digits, too: 12,34,567 is written so in India
        separator = separator_pattern(thousands)
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{2,3}})*{separator}[0-9]{{3}})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


MENDS = (
    (re.compile("^(true|false|yes|no)$", re.I), "write 0 and 1 in place of booleans"),
    (re.compile("^[+-]?inf(inity)?$", re.I), "a number must be finite: leave the cell blank"),
    (re.compile("%$"), "write percentages without the sign"),
    (re.compile("^[+-]?0x", re.I), "write it as a decimal number"),
    (re.compile(r"[$€£¥]"), "write amounts without the sign of the currency"),
    (re.compile(r"^\(.*[0-9].*\)$|^\u2212|[0-9]-$"), "write a negative number with a plain minus in front, as -12.5"),
    (re.compile(r"^#[A-Z/0]+[!?]$"), "it is an error of the spreadsheet: mend it there, or leave the cell blank"),
)
MEANT = "|".join(
    [
        *(number_pattern(*way) for way in _notations(".")),
        r"^[+-]?0[xX][0-9a-fA-F]+$",
        r"^[+-]?[0-9][0-9.,]*\s?[%$€£¥]$",
        r"^[+-]?[$€£¥]\s?[0-9][0-9.,]*$",
        r"^[+-]?(?:[iI][nN][fF]|[iI]nfinity)$",
        r"^(?:\([0-9][0-9.,]*\)|\x{2212}[0-9][0-9.,]*|[0-9][0-9.,]*-)$",
    ]
)

"""The ways in which numbers are written, and the flag under which a cell would be one."""

import re
from itertools import product
from typing import Literal

from forecast.series.table import Table

Decimal = Literal[".", ","]

SEPARATORS = (",", ".", " ", "'", "_")
SPACES = "[ \u00a0\u202f]"  # spreadsheets group thousands by any of these


def advice(text: str, alike: list[str], table: Table) -> str:
    """The flags under which the cell is a number, all cells of its kind too if possible; else what to write."""
    for cells in ([text, *alike], [text]):
        for decimal, thousands in _notations(table.decimal):
            if all(re.search(number_pattern(decimal, thousands), cell) for cell in cells):
                flags = ["--decimal " + decimal] * (decimal != table.decimal)
                if thousands is not None and thousands != table.thousands:
                    flags.append("--thousands " + (f'"{thousands}"' if thousands in " '" else thousands))
                return "pass " + " ".join(flags) if flags else "mend it or leave it blank"
    if text.lower() in ("true", "false", "yes", "no"):
        return "write 0 and 1 in place of booleans"
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "a number must be finite: leave the cell blank"
    if text.endswith("%"):
        return "write percentages without the sign"
    if text.lower().startswith(("0x", "-0x")):
        return "write it as a decimal number"
    return "mend it or leave it blank"


def _notations(decimal: Decimal) -> list[tuple[Decimal, str | None]]:
    """Ways to write numbers, those nearest to the table's own first."""
    other: Decimal = "," if decimal == "." else "."
    grouped: list[str | None] = list(SEPARATORS)
    ways = [*product([decimal], grouped), (other, None), *product([other], grouped)]
    return [(mark, thousands) for mark, thousands in ways if mark != thousands]


def separator_pattern(thousands: str) -> str:
    """The regular expression of a thousands separator, in all the forms in which spreadsheets write it."""
    return {" ": SPACES, "'": "['\u2019]"}.get(thousands, re.escape(thousands))


def number_pattern(decimal: str, thousands: str | None) -> str:
    """The regular expression of a whole cell that is a number, understood by `re` and by Arrow's RE2 alike."""
    mark = re.escape(decimal)
    whole = "[0-9]+"
    if thousands is not None:
        # groups of two before the last three digits, too: 12,34,567 is written so in India
        separator = separator_pattern(thousands)
        whole = f"(?:[0-9]+|[0-9]{{1,3}}(?:{separator}[0-9]{{2,3}})*{separator}[0-9]{{3}})"
    return f"^[+-]?(?:{whole}(?:{mark}[0-9]*)?|{mark}[0-9]+)(?:[eE][+-]?[0-9]+)?$"


MEANT = "|".join(
    [
        *(number_pattern(decimal, thousands) for decimal, thousands in _notations(".")),
        r"^[+-]?0[xX][0-9a-fA-F]+$",
        r"^[+-]?[0-9][0-9.,]*\s?[%$€£¥]$",
        r"^[+-]?[$€£¥]\s?[0-9][0-9.,]*$",
        r"^[+-]?(?:[iI][nN][fF]|[iI]nfinity)$",
    ]
)

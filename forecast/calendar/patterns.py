"""Parse texts by strftime-like patterns, whole columns at once, and write times by them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from forecast.calendar.zones import (
    DAY,
    EPOCH,
    HOUR,
    MINUTE,
    count_months,
    first_days,
)
from forecast.errors import Setting, UsageError
from forecast.tables.cells import Texts, convert_flags, match_cells
from forecast.tables.table import Flags, Integers

# Beside strftime's own: %q quarter; %-d not padded; %^b upper case; %3f fraction of 3 digits;
# %:z +02:00; %-z +02; %K hour from 1 to 24
PATTERN_TOKEN = re.compile(
    r"%(?P<flag>-(?=[YGyqjmdHIKVMSz])|\^(?=[bBaAp])|[1-9](?=f)|:(?=z)|)"
    r"(?P<code>[YGyqjmdHIKVMSbBaApfz])"
    r"|(?P<literal>%%|[^%]+)|%[-:^0-9]?[A-Za-z]?"
)
LOOSE = "mdHIKV"  # of two digits, or one where it is not padded
WORDS = "bBaAp"
TWO = r"\d{2}"
SHAPES = {  # the expression of each code, and of a flag and a code where it differs
    **dict.fromkeys("YG", r"\d{4}"),
    **dict.fromkeys("yMS", TWO),
    **dict.fromkeys([*LOOSE, "-M", "-S"], r"\d{1,2}"),
    **dict.fromkeys("ba", "[A-Za-z]{3}"),
    "q": "[1-4]",
    "j": r"\d{1,3}",
    "f": r"\d{1,9}",
    "B": "[A-Za-z]{3,9}",
    "A": "[A-Za-z]{6,9}",
    "p": "[AaPp][Mm]",
    "z": r"[+-]\d{4}",
    ":z": r"[+-]\d{2}:\d{2}",
    "-z": r"[+-]\d{2}",
}
SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
MONTH_WORDS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
ABBREVIATIONS = tuple(name[:3] for name in MONTH_WORDS)
WEEKDAY_WORDS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DATES = (  # the likeliest first
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d",
    "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m/%d/%Y", "%m.%d.%Y", "%m-%d-%Y", "%Y%m%d",
    "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y",
    "%b %Y", "%b-%Y", "%B %Y", "%B-%Y", "%Y %b", "%Y-%b", "%Y %B",
    "%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%YM%m", "%Y-M%m", "%Y%m",
    "%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y",
    "%G-W%V", "%GW%V", "%G W%V", "%Y",
    "%d-%b-%y", "%d %b %y", "%b-%y", "%b %y", "%y-%m-%d",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%m.%d.%y", "%d-%m-%y", "%m-%d-%y",
)  # fmt: skip
CLOCK_FORMATS = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H")
TIME_FORMATS = (
    *(f"{mark}{clock}" for mark in (" ", "T", ", ") for clock in CLOCK_FORMATS),
    "T%H%M%S",
    "T%H%M",
)
ZONES = ("", "Z", " UTC", "%z", "%:z", "%-z", " %z", " %:z")
ENDINGS = tuple(
    time + zone for time in TIME_FORMATS for zone in ZONES
)  # of a date with a time of day
ZERO = {"%z": "+0000", "%:z": "+00:00", "%-z": "+00"}  # offsets of UTC
UTC_MARKS = ("Z", " UTC", *ZERO.values(), *(f" {offset}" for offset in ZERO.values()))


class Token(NamedTuple):
    """A directive of a pattern, or the literal text between two."""

    flag: str
    code: str
    literal: str


def tokens(pattern: str) -> list[Token]:
    """Split a pattern; UsageError if a directive is unknown or comes twice."""
    for short, long in SHORTHANDS.items():
        pattern = pattern.replace(short, long)
    setting = Setting("date_format", pattern)
    parts = []
    for part in PATTERN_TOKEN.finditer(pattern):
        flag, code, literal = part.group("flag", "code", "literal")
        if literal:
            parts.append(Token("", "", literal.replace("%%", "%")))
        elif not code:
            raise UsageError(f"'{part[0]}' is not a directive that can be read", setting=setting)
        elif any(code == earlier.code for earlier in parts):
            raise UsageError(
                f"'%{code}' comes twice", setting=setting, cure="name each part of a time once"
            )
        else:
            parts.append(Token(flag, code, ""))
    return parts


@lru_cache(maxsize=1024)
def expression(pattern: str) -> str:
    """The regular expression (RE2 and Python) of a pattern, one named group for each directive."""
    parts = tokens(pattern)
    codes = ["", *(part.code for part in parts), ""]
    text = ""
    for position, (flag, code, literal) in enumerate(parts, 1):
        before = codes[position - 1]
        after = codes[position + 1]
        if not code:
            text += re.escape(literal.removesuffix(".") if after == "f" else literal)
            continue
        shape = SHAPES.get(flag + code, SHAPES[code])
        # beside another number only two digits can be told apart
        if code in LOOSE and (before + after).strip(WORDS + "z"):
            shape = TWO
        group = f"(?P<{code}>{shape})"
        # str(datetime) leaves a fraction of zero out, so that it may be missing in some rows
        text += rf"(?:\.{group})?" if code == "f" else group
    return text


@lru_cache(maxsize=4096)
def guesses(text: str) -> tuple[str, ...]:
    """Every pattern whose shape `text` has, the likeliest first."""
    fitting = []
    for date in DATES:
        start = re.match(expression(date), text)
        if start is None:
            continue
        rest = text[start.end() :]
        endings = ENDINGS if rest else ("",)
        fitting += [date + end for end in endings if re.fullmatch(expression(end), rest)]
    return tuple(fitting)


@lru_cache(maxsize=1024)
def find_codes(pattern: str) -> frozenset[str]:
    return frozenset(part.code for part in tokens(pattern) if part.code)


def has_clock(pattern: str) -> bool:
    return bool(find_codes(pattern) & set("HIK"))


def has_zone(pattern: str) -> bool:
    """Whether a pattern writes a zone: an offset, Z or UTC."""
    return is_utc(pattern) or "z" in find_codes(pattern)


def is_utc(pattern: str) -> bool:
    """Whether a pattern writes every time on the clock of UTC, and says so."""
    return has_clock(pattern) and any(part.literal in UTC_MARKS for part in tokens(pattern))


def matches(texts: Texts, pattern: str) -> Flags:
    """[texts], whether each has the pattern's shape: `parse` without its values."""
    shape = re.sub(r"[(][?]P<[A-Za-z]>", "(?:", expression(pattern))
    return match_cells(texts, f"^{shape}$")


@dataclass(frozen=True)
class ParsedTexts:
    """What a pattern reads in an array of texts, [texts] each."""

    wall: Integers  # seconds since 1970-01-01 by the written clock; 0 where there is no such time
    matched: Flags  # the text has the pattern's shape
    exists: Flags  # matched, and there is such a date and time
    offsets: Integers  # seconds east of UTC where the pattern writes an offset, else 0
    fractions: bool  # any text has a fraction of a second other than zero
    pattern: str  # as these texts write it: %-d where days are not padded, %3f for three digits
    pivot: int | None  # of years of two digits: the first of the hundred years around them


def parse(texts: Texts, pattern: str, pivot: int | None = None) -> ParsedTexts:
    """Parse texts by a pattern.

    `pivot` is the first of the hundred years that years of two digits stand for.
    """
    groups = _Groups(texts, pattern)
    years = _years(groups, pivot)
    days, exists = _days(groups, years)
    hours = _hours(groups)
    minutes = groups.number("M")
    seconds = groups.number("S")
    exists &= (hours >= 0) & (hours < 24) & (minutes < 60) & (seconds < 60)
    wall = days * DAY + hours * HOUR + minutes * MINUTE + seconds
    full_years = years[exists & ("y" in groups.codes)]
    pivot = None
    if len(full_years):
        pivot = int(full_years.min() + full_years.max()) // 2 - 49
    return ParsedTexts(
        wall=np.where(exists, wall, 0),
        matched=groups.matched,
        exists=exists,
        offsets=_offsets(groups),
        fractions=bool(groups.number("f").any()),
        pattern=_infer_flags(pattern, groups),
        pivot=pivot,
    )


class _Groups:
    """What a pattern's directives match in the texts, as words or as numbers."""

    def __init__(self, texts: Texts, pattern: str) -> None:
        self._table = pc.extract_regex(texts, f"^{expression(pattern)}$")
        self.codes = find_codes(pattern)
        self.matched = convert_flags(self._table.is_valid())

    def words(self, code: str) -> Texts:
        """[texts], blank where a text or the pattern lacks the directive."""
        if code not in self.codes:
            return pa.repeat("", len(self.matched))
        return pc.fill_null(pc.struct_field(self._table, code), "")

    def number(self, code: str, default: int = 0) -> Integers:
        """[texts], `default` where the pattern lacks the directive, 0 where a text lacks it."""
        if code not in self.codes:
            return np.full(len(self.matched), default, np.int64)
        words = self.words(code)
        digits = pc.if_else(pc.equal(words, ""), "0", words)
        return np.asarray(digits.cast(pa.int64()))


def _years(groups: _Groups, pivot: int | None) -> Integers:
    """Years; those of two digits from `pivot` on.

    Without a pivot all lie as close together as they can, from 1930 on if both centuries would do.
    """
    if "y" not in groups.codes:
        # parts of a date without a year: in a leap year
        return groups.number("G" if "G" in groups.codes else "Y", 1972)
    short = groups.number("y")
    if pivot is not None:
        return pivot + (short - pivot) % 100
    circle = np.unique(short[groups.matched])  # of a hundred years
    if not len(circle):
        return 2000 + short
    gaps = np.diff(circle, append=circle[0] + 100)
    first = np.roll(circle, -1)[gaps.argmax()]
    century = 1900 if first >= 30 else 2000
    return century + short + np.where(short < first, 100, 0)


def _days(groups: _Groups, year: Integers) -> tuple[Integers, Flags]:
    """Days since 1970-01-01, and whether there is such a date."""
    january = 12 * (year - 1970)
    new_year = first_days(january)
    exists = groups.matched & (year >= 1)
    if "G" in groups.codes:
        week = groups.number("V", 1)
        fourth = new_year + 3  # of January, which lies in week 1
        days = fourth - (fourth + 3) % 7 + 7 * (week - 1)
        exists &= (week >= 1) & (week <= 53)
        return days, exists & _in_year(days + 3, year)  # by its Thursday
    if "j" in groups.codes:
        days = new_year + groups.number("j") - 1
        return days, exists & _in_year(days, year)
    months = january + _month(groups) - 1
    days = first_days(months) + groups.number("d", 1) - 1
    exists &= count_months(days) == months
    return days, exists & (months // 12 == year - 1970)


def _in_year(days: Integers, year: Integers) -> Flags:
    return np.equal(count_months(days) // 12, year - 1970)


def _month(groups: _Groups) -> Integers:
    """Months from 1, 0 where a name is that of none."""
    if "q" in groups.codes:
        return 3 * groups.number("q") - 2
    for code, names in (("b", ABBREVIATIONS), ("B", MONTH_WORDS)):
        if code in groups.codes:
            words = pc.utf8_lower(groups.words(code))
            positions = pc.index_in(words, value_set=pa.array(names))
            return np.asarray(pc.fill_null(positions, -1)).astype(np.int64) + 1
    return groups.number("m", 1)


def _hours(groups: _Groups) -> Integers:
    """Hours from 0 to 23, else there is no such hour."""
    if "K" in groups.codes:
        return groups.number("K") - 1
    if "I" not in groups.codes:
        return groups.number("H")
    hours = groups.number("I")
    halves = pc.utf8_lower(groups.words("p"))
    afternoon = np.asarray(pc.equal(halves, "pm"))
    exists = (hours >= 1) & (hours <= 12)
    return np.where(exists, hours % 12 + 12 * afternoon, -1)


def _offsets(groups: _Groups) -> Integers:
    """Seconds east of UTC, of offsets such as +02:00, +0200 and +02."""
    if "z" not in groups.codes:
        return np.zeros(len(groups.matched), np.int64)
    words = groups.words("z")
    digits = pc.replace_substring_regex(words, "[^0-9]", "")
    four_digits = pc.utf8_rpad(digits, 4, "0")
    numbers = np.asarray(four_digits.cast(pa.int64()))
    hours, minutes = np.divmod(numbers, 100)
    is_west = np.asarray(pc.starts_with(words, "-"))
    signs = np.where(is_west, -1, 1)
    offsets: Integers = signs * (hours * HOUR + minutes * MINUTE)
    return offsets


def _infer_flags(pattern: str, groups: _Groups) -> str:
    """The pattern with the flags that write it back just as these texts have it."""
    matched = pa.array(groups.matched)
    flagged = groups.codes & set(LOOSE + "bBf")
    words = {code: groups.words(code).filter(matched) for code in flagged}
    loose = groups.codes & set(LOOSE)
    short = set()
    padded = set()
    for code in loose:
        if pc.min(pc.utf8_length(words[code])).as_py() == 1:
            short.add(code)
        if pc.any(pc.starts_with(words[code], "0")).as_py():
            padded.add(code)
    if short & {"m", "d"}:
        # a day of two digits in every row is written as the month is
        short |= {"m", "d"} - padded
    result = ""
    for flag, code, literal in tokens(pattern):
        if code in short:
            flag = "-"
        elif code in loose:
            flag = ""
        elif code in ("b", "B"):
            in_capitals = pc.all(pc.utf8_is_upper(words[code])).as_py()
            flag = "^" if in_capitals else ""
        elif code == "f":
            digits = pc.max(pc.utf8_length(words[code])).as_py()
            flag = str(digits or "")
            if not flag:  # no text has the fraction, nor its point
                result = result.removesuffix(".")
                continue
        result += f"%{flag}{code}" if code else literal.replace("%", "%%")
    return result


def write(wall: Integers, timestamps: Integers, pattern: str) -> list[str]:
    """Write times: seconds since 1970-01-01 by the wall clock and of UTC, [n] each."""
    parts = tokens(pattern)
    offsets = (wall - timestamps).tolist()
    texts = []
    for seconds, offset in zip(wall.tolist(), offsets, strict=True):
        time = EPOCH + timedelta(seconds=seconds)
        texts.append("".join(_format_part(part, time, offset) for part in parts))
    return texts


def _format_part(part: Token, time: datetime, offset: int) -> str:
    flag, code, literal = part
    match code:
        case "":
            return literal
        case "f":
            return "0" * int(flag or 6)
        case "z":
            hours, minutes = divmod(abs(offset) // MINUTE, 60)
            text = f"{'-' if offset < 0 else '+'}{hours:02d}"
            return text if flag == "-" else f"{text}{flag}{minutes:02d}"
        case "Y":  # strftime writes years before 1000 without zeros
            return f"{time.year:04d}"
        case "G":
            return f"{time.isocalendar().year:04d}"
        case "q":
            return str((time.month + 2) // 3)
        case "p":
            return "AM" if time.hour < 12 else "PM"
        case "b" | "B" | "a" | "A":  # in English, whatever the locale
            name = MONTH_WORDS[time.month - 1] if code in "bB" else WEEKDAY_WORDS[time.weekday()]
            name = name[:3] if code in "ba" else name
            return name.upper() if flag == "^" else name.capitalize()
        case "K":
            text = f"{time.hour + 1:02d}"
        case _:
            text = time.strftime(f"%{code}")
    return text.lstrip("0") or "0" if flag == "-" and code != "y" else text

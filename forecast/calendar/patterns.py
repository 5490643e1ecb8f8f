"""Parse texts by strftime-like patterns, whole columns at once, and write times by them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.calendar.zones import DAY, EPOCH, Flags, Integers
from forecast.errors import Setting, UsageError
from forecast.tables.texts import Texts, pa, pc

# Beside strftime's own: %q quarter; %-d not padded; %^b upper case; %3f fraction of 3 digits; %:z +02:00; %-z +02;
# %K hour from 1 to 24
TOKEN = re.compile(r"%(?P<flag>[-:^0-9]?)(?P<code>[A-Za-z%])|(?P<literal>[^%]+|%)")
DIGITS = {"Y": r"\d{4}", "G": r"\d{4}", "y": r"\d{2}", "q": r"[1-4]", "j": r"\d{1,3}", "M": r"\d{2}", "S": r"\d{2}"}
LOOSE = ("m", "d", "H", "I", "K", "V")
WORDS = {"b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "a": "[A-Za-z]{3}", "A": "[A-Za-z]{6,9}", "p": "[AaPp][Mm]"}
SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
OFFSETS = {"": r"[+-]\d{4}", ":": r"[+-]\d{2}:\d{2}", "-": r"[+-]\d{2}"}
FLAGS: dict[str, tuple[str, ...]] = {  # those that each directive takes
    **dict.fromkeys((*DIGITS, *LOOSE), ("", "-")),
    **dict.fromkeys(WORDS, ("", "^")),
    "f": ("", *"123456789"),
    "z": tuple(OFFSETS),
}
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip

ABBREVIATIONS = tuple(name[:3] for name in MONTHS)
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

DATES = (
    *(f"%Y{mark}%m{mark}%d" for mark in "-/."),
    *(f"%d{mark}%m{mark}%Y" for mark in "/.-"),
    *(f"%m{mark}%d{mark}%Y" for mark in "/.-"),
    *("%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y", "%B %d %Y"),
    *("%b %Y", "%b-%Y", "%B %Y", "%B-%Y", "%Y %b", "%Y-%b", "%Y %B"),
    *("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%YM%m", "%Y-M%m", "%Y%m"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%G-W%V", "%GW%V", "%G W%V", "%Y"),
    *("%d-%b-%y", "%d %b %y", "%b-%y", "%b %y", "%y-%m-%d"),
    *(f"%{first}{mark}%{second}{mark}%y" for mark in "/.-" for first, second in ("dm", "md")),
)
CLOCKS = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H")
TIMES = ("", *(f"{mark}{clock}" for mark in (" ", "T", ", ") for clock in CLOCKS), "T%H%M%S", "T%H%M")
ZONES = ("", "Z", " UTC", "%z", "%:z", "%-z", " %z", " %:z")
ZERO = {"%z": "+0000", "%:z": "+00:00", "%-z": "+00"}  # offsets of UTC
UTC_MARKS = ("Z", " UTC", *ZERO.values(), *(f" {offset}" for offset in ZERO.values()))


@dataclass(frozen=True)
class ParsedTexts:
    """What a pattern reads in an array of texts.

    Attributes
    ----------
    wall : [texts], seconds since 1970-01-01 by the written clock
    matched : [texts], whether the text has the pattern's shape
    exists : [texts], matched, and there is such a date and time
    offsets : [texts], seconds east of UTC where the pattern writes one, else None
    fractions : whether any text has a fraction of a second other than zero
    pattern : the pattern as these texts write it: %-d where days are not padded, %3f for three digits
    """

    wall: Integers
    matched: Flags
    exists: Flags
    offsets: Integers | None
    fractions: bool
    pattern: str


def tokens(pattern: str) -> list[tuple[str, str, str]]:
    """Split a pattern into (flag, code, literal), where either the code or the literal is empty.

    Raises
    ------
    UsageError
        If a directive is not known, or comes twice.
    """
    for short, long in SHORTHANDS.items():
        pattern = pattern.replace(short, long)
    parts: list[tuple[str, str, str]] = []
    for part in TOKEN.finditer(pattern):
        flag, code, literal = part["flag"] or "", part["code"] or "", part["literal"] or ""
        if code == "%":
            flag, code, literal = "", "", "%"
        elif literal == "%" or (code and flag not in FLAGS.get(code, ())):
            raise UsageError(
                f"'{part[0]}' is not a directive that can be read", setting=Setting("date_format", pattern)
            )
        elif code and code in [known for _, known, _ in parts]:
            cure = "name each part of a time once"
            raise UsageError(f"'%{code}' comes twice", setting=Setting("date_format", pattern), cure=cure)
        parts.append((flag, code, literal))
    return parts


@lru_cache(maxsize=1024)
def expression(pattern: str) -> str:
    """Return the regular expression (RE2 and Python) of a pattern, one named group for each directive."""
    parts = tokens(pattern)
    text = ""
    for i, (flag, code, literal) in enumerate(parts):
        beside = [parts[j][1] for j in (i - 1, i + 1) if 0 <= j < len(parts)]
        if not code:
            before_fraction = literal.endswith(".") and i + 1 < len(parts) and parts[i + 1][1] == "f"
            text += re.escape(literal[:-1] if before_fraction else literal)
        elif code == "f":
            # str(datetime) leaves a fraction of zero out, so that it may be missing in some rows
            text += r"(?:\.(?P<f>\d{1,9}))?"
        elif code == "z":
            text += f"(?P<z>{OFFSETS[flag]})"
        elif code in WORDS:
            text += f"(?P<{code}>{WORDS[code]})"
        elif code in LOOSE:
            # beside another number only two digits can be told apart
            text += f"(?P<{code}>\\d{{{2 if any(c and c not in WORDS for c in beside if c != 'z') else '1,2'}}})"
        elif code in ("M", "S") and flag == "-":
            text += rf"(?P<{code}>\d{{1,2}})"
        else:
            text += f"(?P<{code}>{DIGITS[code]})"
    return text


@lru_cache(maxsize=4096)
def guesses(text: str) -> tuple[str, ...]:
    """Return every pattern whose shape `text` has, the likeliest first."""
    fitting = []
    for date in DATES:
        start = re.match(expression(date), text)
        if not start:
            continue
        rest = text[start.end() :]
        for time in TIMES:
            if not time and rest and not rest.startswith(("Z", "+", "-", " ")):
                continue
            for zone in ZONES if time else ("",):
                if re.fullmatch(expression(time + zone), rest):
                    fitting.append(date + time + zone)
    return tuple(fitting)


def codes_of(pattern: str) -> set[str]:
    """The letters of a pattern's directives."""
    return {code for _, code, _ in tokens(pattern) if code}


def has_clock(pattern: str) -> bool:
    """Whether a pattern writes a time of day."""
    return bool(codes_of(pattern) & set("HIK"))


def has_date(pattern: str) -> bool:
    """Whether a pattern writes all that a date needs: a year, and a month where it writes a day."""
    codes = codes_of(pattern)
    return bool(codes & set("YyG")) and ("d" not in codes or bool(codes & set("mbB")))


def has_zone(pattern: str) -> bool:
    """Whether a pattern writes a zone: an offset, Z or UTC."""
    return is_utc(pattern) or "z" in codes_of(pattern)


def is_utc(pattern: str) -> bool:
    """Whether a pattern writes every time on the clock of UTC, and says so."""
    return has_clock(pattern) and any(literal in UTC_MARKS for _, _, literal in tokens(pattern))


def in_utc(pattern: str) -> str:
    """The pattern that writes the offset of UTC where this one writes any offset."""
    for offset, zero in ZERO.items():
        pattern = pattern.replace(offset, zero)
    return pattern


def matches(texts: Texts, pattern: str) -> Flags:
    """[texts], whether each has the pattern's shape: `parse` without its values."""
    matched = pc.match_substring_regex(texts, f"^{re.sub(r'[(][?]P<[A-Za-z]>', '(?:', expression(pattern))}$")
    return np.asarray(matched.to_numpy(zero_copy_only=False), bool)


def parse(texts: Texts, pattern: str) -> ParsedTexts:
    """Parse texts by a pattern.

    Parameters
    ----------
    texts : [texts]
    pattern : strftime-like

    Returns
    -------
    ParsedTexts
        Arrays of the same length; `wall` is 0 where there is no such time.
    """
    groups = _Groups(texts, pattern)
    wall, exists = _date(groups)
    hour, hour_exists = _hour(groups)
    minute, second = groups.number("M"), groups.number("S")
    exists &= hour_exists & (minute < 60) & (second < 60)
    wall = np.where(exists, wall + hour * 3600 + minute * 60 + second, 0)
    return ParsedTexts(
        wall=wall,
        matched=groups.matched,
        exists=exists,
        offsets=_offsets(groups.words("z")) if "z" in groups.codes else None,
        fractions=bool(groups.number("f").any()),
        pattern=_as_written(pattern, groups),
    )


class _Groups:
    """What a pattern's directives match in the texts, as words or as numbers."""

    def __init__(self, texts: Texts, pattern: str) -> None:
        self._table = pc.extract_regex(texts, f"^{expression(pattern)}$")
        self.codes = codes_of(pattern)
        self.matched: Flags = np.asarray(self._table.is_valid().to_numpy(zero_copy_only=False), bool)

    def words(self, code: str) -> Texts:
        return pc.fill_null(pc.struct_field(self._table, code), "")

    def number(self, code: str, default: int = 0) -> Integers:
        """[texts], `default` where the pattern lacks the directive, 0 where a text lacks it."""
        if code not in self.codes:
            return np.full(len(self.matched), default, np.int64)
        words = self.words(code)
        return _numpy(pc.if_else(pc.equal(words, ""), "0", words).cast(pa.int64()))


def _numpy(array: Texts) -> NDArray[Any]:
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _date(groups: _Groups) -> tuple[Integers, Flags]:
    """Seconds at midnight of the date, and whether it exists."""
    exists = groups.matched.copy()
    if "G" in groups.codes:
        year, week = groups.number("G"), groups.number("V", 1)
        monday = _first_monday(year)
        exists &= (year >= 1) & (week >= 1) & (monday + 7 * week <= _first_monday(year + 1))
        return (monday + 7 * (week - 1)) * DAY, exists
    year = _in_full(groups.number("y"), groups.matched) if "y" in groups.codes else groups.number("Y", 1970)
    exists &= year >= 1
    if "j" in groups.codes:
        first, day = _days(year, np.ones_like(year)), groups.number("j")
        return (first + day - 1) * DAY, exists & (day >= 1) & (day <= _days(year + 1, np.ones_like(year)) - first)
    month = 3 * groups.number("q") - 2 if "q" in groups.codes else groups.number("m", 1)
    for code, names in (("b", ABBREVIATIONS), ("B", MONTHS)):
        if code in groups.codes:
            place = pc.index_in(pc.utf8_lower(groups.words(code)), value_set=pa.array(names))
            month = _numpy(pc.fill_null(place, -1)).astype(np.int64) + 1
    day = groups.number("d", 1)
    exists &= (month >= 1) & (month <= 12)
    month = np.where(exists, month, 1)
    first = _days(year, month)
    length = _days(year + month // 12, month % 12 + 1) - first
    return (first + day - 1) * DAY, exists & (day >= 1) & (day <= length)


def _in_full(short: Integers, matched: Flags) -> Integers:
    """Years of two digits in full: where all of them lie closest together; from 30 on of the 1900s, if both would do.

    What is forecast lies in the past, so that Jan-49 is a month of 1949; 28, 29 and 30 are of one century, 99 and 00 of
    two.
    """
    seen = np.unique(short[matched])
    if not len(seen):
        return 2000 + short
    gaps = np.diff(np.append(seen, seen[0] + 100))
    widest = int(gaps.argmax())  # the years begin after the widest gap of the circle of a hundred
    first = int(seen[(widest + 1) % len(seen)])
    begin = 1900 if first >= 30 else 2000
    return begin + short + np.where(short < first, 100, 0)


def _first_monday(year: Integers) -> Integers:
    """Days since 1970-01-01 of the Monday of ISO week 1, the week of 4 January."""
    fourth = _days(year, np.ones_like(year)) + 3
    return fourth - (fourth + 3) % 7


def _days(year: Integers, month: Integers) -> Integers:
    """Days since 1970-01-01 of the first of a month."""
    months = (12 * (year - 1970) + month - 1).astype("datetime64[M]")
    return months.astype("datetime64[D]").astype(np.int64)


def _hour(groups: _Groups) -> tuple[Integers, Flags]:
    """Hour of the day, and whether it exists."""
    if "K" in groups.codes:
        hour = groups.number("K") - 1
        return hour, (hour >= 0) & (hour < 24)
    if "I" not in groups.codes:
        hour = groups.number("H")
        return hour, hour < 24
    hour = groups.number("I")
    afternoon = _numpy(pc.equal(pc.utf8_lower(groups.words("p")), "pm")) if "p" in groups.codes else 0
    return hour % 12 + 12 * afternoon, (hour >= 1) & (hour <= 12)


def _offsets(words: Texts) -> Integers:
    """Seconds east of UTC of texts such as +02:00, +0200 and +02."""
    digits = pc.utf8_rpad(pc.replace_substring_regex(words, "[^0-9]", ""), 4, "0")
    value: Integers = _numpy(digits.cast(pa.int64()))
    sign = np.where(_numpy(pc.starts_with(words, "-")), -1, 1).astype(np.int64)
    seconds: Integers = sign * (value // 100 * 3600 + value % 100 * 60)
    return seconds


def _as_written(pattern: str, groups: _Groups) -> str:
    """The pattern with the flags that write it back just as these texts have it."""
    result = ""
    loose = [code for code in LOOSE if code in groups.codes]
    short = {code for code in loose if _shortest(code, groups) == 1}
    padded = {code for code in loose if pc.any(pc.starts_with(groups.words(code), "0")).as_py()}
    if short & {"m", "d"}:
        short |= {"m", "d"} - padded  # a day of two digits in every row is written as the month is
    for flag, code, literal in tokens(pattern):
        if code in LOOSE:
            flag = "-" if code in short else ""
        elif code in ("b", "B"):
            upper = _numpy(pc.utf8_is_upper(groups.words(code)))
            flag = "^" if groups.matched.any() and upper[groups.matched].all() else ""
        elif code == "f":
            flag = str(pc.max(pc.utf8_length(groups.words("f"))).as_py() or 0)
            if flag == "0":  # no text has the fraction, nor its point
                result = result.removesuffix(".")
                continue
        result += literal.replace("%", "%%") if not code else f"%{flag}{code}"
    return result


def _shortest(code: str, groups: _Groups) -> int:
    """Fewest digits of a directive in these texts."""
    lengths = pc.if_else(pa.array(groups.matched), pc.utf8_length(groups.words(code)), 9)
    return int(pc.min(lengths).as_py())


def write(wall: Integers, instants: Integers, pattern: str) -> list[str]:
    """Write times: seconds since 1970-01-01 by the wall clock and of UTC, [n] each."""
    parts = tokens(pattern)
    texts = []
    for clock, instant in zip(wall.tolist(), instants.tolist(), strict=True):
        time = EPOCH + timedelta(seconds=clock)
        texts.append("".join(literal or _directive(time, clock - instant, flag, code) for flag, code, literal in parts))
    return texts


def _directive(time: datetime, offset: int, flag: str, code: str) -> str:
    year, week, _ = time.isocalendar()
    if code in LOOSE:
        value = {"m": time.month, "d": time.day, "H": time.hour, "I": (time.hour - 1) % 12 + 1, "K": time.hour + 1,
                 "V": week}[code]  # fmt: skip
        return f"{value}" if flag == "-" else f"{value:02d}"
    if code in WORDS and code != "p":
        name = MONTHS[time.month - 1] if code in "bB" else WEEKDAYS[time.weekday()]
        name = (name[:3] if code in "ab" else name).capitalize()
        return name.upper() if flag == "^" else name
    if code == "z":
        hours, minutes = divmod(abs(offset) // 60, 60)
        text = f"{'-' if offset < 0 else '+'}{hours:02d}"
        return text if flag == "-" else f"{text}{flag}{minutes:02d}"
    if code == "f":
        return "0" * int(flag or 6)
    values = {
        "Y": f"{time.year:04d}",
        "G": f"{year:04d}",
        "y": f"{time.year % 100:02d}",
        "q": str((time.month + 2) // 3),
        "j": f"{time.timetuple().tm_yday:03d}",
        "M": f"{time.minute:02d}",
        "S": f"{time.second:02d}",
        "p": "AM" if time.hour < 12 else "PM",
    }
    return values[code].lstrip("0") or "0" if flag == "-" and code in "jMS" else values[code]

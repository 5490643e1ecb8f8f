"""Read times by strftime-like patterns, whole columns at once."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.calendar.zones import Flags, Integers
from forecast.errors import Setting, UsageError

DAY = 86_400

# Beside strftime's own: %q quarter; %-d not padded; %^b upper case; %3f fraction of 3 digits; %:z +02:00; %-z +02;
# %K hour from 1 to 24
TOKEN = re.compile(r"%(?P<flag>[-:^0-9]?)(?P<code>[A-Za-z%])|(?P<literal>[^%]+|%)")
DIGITS = {"Y": r"\d{4}", "G": r"\d{4}", "y": r"\d{2}", "q": r"[1-4]", "j": r"\d{1,3}", "M": r"\d{2}", "S": r"\d{2}"}
LOOSE = ("m", "d", "H", "I", "K", "V")
WORDS = {"b": "[A-Za-z]{3}", "B": "[A-Za-z]{3,9}", "a": "[A-Za-z]{3}", "A": "[A-Za-z]{6,9}", "p": "[AaPp][Mm]"}
SPANS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
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
class Fields:
    """What a pattern found in an array of texts.

    Attributes
    ----------
    wall : [texts], seconds since 1970-01-01 by the written clock
    matched : [texts], whether the text has the pattern's shape
    real : [texts], matched, and such a date and time exists
    offsets : [texts], seconds east of UTC where the pattern writes one, else None
    fraction : whether any text has a fraction of a second other than zero
    pattern : the pattern as these texts write it: %-d where days are not padded, %3f for three digits
    """

    wall: Integers
    matched: Flags
    real: Flags
    offsets: Integers | None
    fraction: bool
    pattern: str


def tokens(pattern: str) -> list[tuple[str, str, str]]:
    """Split a pattern into (flag, code, literal), where either the code or the literal is empty.

    Raises
    ------
    UsageError
        If a directive is not known, or comes twice.
    """
    for short, long in SPANS.items():
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
    found = []
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
                    found.append(date + time + zone)
    return tuple(found)


def has_clock(pattern: str) -> bool:
    """Whether a pattern writes a time of day."""
    return any(code in ("H", "I", "K") for _, code, _ in tokens(pattern))


def has_date(pattern: str) -> bool:
    """Whether a pattern writes all that a date needs: a year, and a month where it writes a day."""
    codes = {code for _, code, _ in tokens(pattern)}
    return bool(codes & set("YyG")) and ("d" not in codes or bool(codes & set("mbB")))


def has_zone(pattern: str) -> bool:
    """Whether a pattern writes a zone: an offset, Z or UTC."""
    return is_utc(pattern) or any(code == "z" for _, code, _ in tokens(pattern))


def is_utc(pattern: str) -> bool:
    """Whether a pattern writes every time on the clock of UTC, and says so."""
    return has_clock(pattern) and any(literal in UTC_MARKS for _, _, literal in tokens(pattern))


def in_utc(pattern: str) -> str:
    """The pattern that writes the offset of UTC where this one writes any offset."""
    for offset, zero in ZERO.items():
        pattern = pattern.replace(offset, zero)
    return pattern


def matches(texts: "pa.StringArray", pattern: str) -> Flags:
    """[texts], whether each has the pattern's shape: `read` without the reading."""
    found = pc.match_substring_regex(texts, f"^{re.sub(r'[(][?]P<[A-Za-z]>', '(?:', expression(pattern))}$")
    return np.asarray(found.to_numpy(zero_copy_only=False), bool)


def read(texts: "pa.StringArray", pattern: str) -> Fields:
    """Read texts by a pattern.

    Parameters
    ----------
    texts : [texts]
    pattern : strftime-like

    Returns
    -------
    Fields
        Arrays of the same length; `wall` is 0 where a text is not real.
    """
    found = _Groups(texts, pattern)
    wall, real = _date(found)
    hour, real_hour = _hour(found)
    minute, second = found.number("M"), found.number("S")
    real &= real_hour & (minute < 60) & (second < 60)
    wall = np.where(real, wall + hour * 3600 + minute * 60 + second, 0)
    return Fields(
        wall=wall,
        matched=found.matched,
        real=real,
        offsets=_offsets(found.words("z")) if "z" in found.codes else None,
        fraction=bool(found.number("f").any()),
        pattern=_as_written(pattern, found),
    )


class _Groups:
    """The texts that a pattern's directives stand for, read as words or as numbers."""

    def __init__(self, texts: "pa.StringArray", pattern: str) -> None:
        self._table = pc.extract_regex(texts, f"^{expression(pattern)}$")
        self.codes = {code for _, code, _ in tokens(pattern) if code}
        self.matched: Flags = np.asarray(self._table.is_valid().to_numpy(zero_copy_only=False), bool)

    def words(self, code: str) -> "pa.StringArray":
        return pc.fill_null(pc.struct_field(self._table, code), "")

    def number(self, code: str, default: int = 0) -> Integers:
        """[texts], `default` where the pattern lacks the directive, 0 where a text lacks it."""
        if code not in self.codes:
            return np.full(len(self.matched), default, np.int64)
        words = self.words(code)
        return _numpy(pc.if_else(pc.equal(words, ""), "0", words).cast(pa.int64()))


def _numpy(array: "pa.Array") -> NDArray[Any]:
    return np.asarray(array.to_numpy(zero_copy_only=False))


def _date(found: _Groups) -> tuple[Integers, Flags]:
    """Seconds at midnight of the date, and whether it exists."""
    real = found.matched.copy()
    if "G" in found.codes:
        year, week = found.number("G"), found.number("V", 1)
        monday = _first_monday(year)
        real &= (year >= 1) & (week >= 1) & (monday + 7 * week <= _first_monday(year + 1))
        return (monday + 7 * (week - 1)) * DAY, real
    year = _in_full(found.number("y"), found.matched) if "y" in found.codes else found.number("Y", 1970)
    real &= year >= 1
    if "j" in found.codes:
        first, day = _days(year, np.ones_like(year)), found.number("j")
        return (first + day - 1) * DAY, real & (day >= 1) & (day <= _days(year + 1, np.ones_like(year)) - first)
    month = 3 * found.number("q") - 2 if "q" in found.codes else found.number("m", 1)
    for code, names in (("b", ABBREVIATIONS), ("B", MONTHS)):
        if code in found.codes:
            place = pc.index_in(pc.utf8_lower(found.words(code)), value_set=pa.array(names))
            month = _numpy(pc.fill_null(place, -1)).astype(np.int64) + 1
    day = found.number("d", 1)
    real &= (month >= 1) & (month <= 12)
    month = np.where(real, month, 1)
    first = _days(year, month)
    length = _days(year + month // 12, month % 12 + 1) - first
    return (first + day - 1) * DAY, real & (day >= 1) & (day <= length)


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


def _hour(found: _Groups) -> tuple[Integers, Flags]:
    """Hour of the day, and whether it exists."""
    if "K" in found.codes:
        hour = found.number("K") - 1
        return hour, (hour >= 0) & (hour < 24)
    if "I" not in found.codes:
        hour = found.number("H")
        return hour, hour < 24
    hour = found.number("I")
    afternoon = _numpy(pc.equal(pc.utf8_lower(found.words("p")), "pm")) if "p" in found.codes else 0
    return hour % 12 + 12 * afternoon, (hour >= 1) & (hour <= 12)


def _offsets(words: "pa.StringArray") -> Integers:
    """Seconds east of UTC of texts such as +02:00, +0200 and +02."""
    digits = pc.utf8_rpad(pc.replace_substring_regex(words, "[^0-9]", ""), 4, "0")
    value: Integers = _numpy(digits.cast(pa.int64()))
    sign = np.where(_numpy(pc.starts_with(words, "-")), -1, 1).astype(np.int64)
    seconds: Integers = sign * (value // 100 * 3600 + value % 100 * 60)
    return seconds


def _as_written(pattern: str, found: _Groups) -> str:
    """The pattern with the flags that write it back just as these texts have it."""
    result = ""
    short = {code for code in found.codes if code in LOOSE and _shortest(code, found) == 1}
    padded = {code for code in found.codes if code in LOOSE and pc.any(pc.starts_with(found.words(code), "0")).as_py()}
    if short & {"m", "d"}:
        short |= {"m", "d"} - padded  # a day of two digits in every row is written as the month is
    for flag, code, literal in tokens(pattern):
        if code in LOOSE:
            flag = "-" if code in short else ""
        elif code in ("b", "B"):
            upper = _numpy(pc.utf8_is_upper(found.words(code)))
            flag = "^" if found.matched.any() and upper[found.matched].all() else ""
        elif code == "f":
            flag = str(pc.max(pc.utf8_length(found.words("f"))).as_py() or 0)
            if flag == "0":  # no text has the fraction, nor its point
                result = result.removesuffix(".")
                continue
        result += literal.replace("%", "%%") if not code else f"%{flag}{code}"
    return result


def _shortest(code: str, found: _Groups) -> int:
    """Fewest digits that a directive stands for."""
    lengths = pc.if_else(pa.array(found.matched), pc.utf8_length(found.words(code)), 9)
    return int(pc.min(lengths).as_py())

"""Parse texts by strftime-like patterns, whole columns at once, and write times by them."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.calendar.zones import DAY, EPOCH, Flags, Integers
from forecast.errors import Setting, UsageError
from forecast.tables.cells import Texts

# Beside strftime's own: %q quarter; %-d not padded; %^b upper case; %3f fraction of 3 digits; %:z +02:00; %-z +02;
# %K hour from 1 to 24
TOKEN = re.compile(r"%(?P<flag>[-:^0-9]?)(?P<code>[A-Za-z%])|(?P<literal>[^%]+|%)")
LOOSE = ("m", "d", "H", "I", "K", "V")  # of two digits, or one where it is not padded
WORDS = {
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]{3,9}",
    "a": "[A-Za-z]{3}",
    "A": "[A-Za-z]{6,9}",
    "p": "[AaPp][Mm]",
}
TWO, UP_TO_TWO = r"\d{2}", r"\d{1,2}"
DIGITS = {
    "Y": r"\d{4}",
    "G": r"\d{4}",
    "y": TWO,
    "q": r"[1-4]",
    "j": r"\d{1,3}",
    **dict.fromkeys(LOOSE, UP_TO_TWO),
}
DIRECTIVES: dict[str, dict[str, str]] = {  # the expression of each flag that a directive takes
    **{code: {"": digits, "-": digits} for code, digits in DIGITS.items()},
    **{code: {"": word, "^": word} for code, word in WORDS.items()},
    **{code: {"": TWO, "-": UP_TO_TWO} for code in "MS"},
    "f": dict.fromkeys(("", *"123456789"), r"\d{1,9}"),
    "z": {"": r"[+-]\d{4}", ":": r"[+-]\d{2}:\d{2}", "-": r"[+-]\d{2}"},
}
SHORTHANDS = {"%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%D": "%m/%d/%y"}
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
    *(
        "%Y%m%d",
        "%d %b %Y",
        "%d-%b-%Y",
        "%b %d, %Y",
        "%b %d %Y",
        "%d %B %Y",
        "%B %d, %Y",
        "%B %d %Y",
    ),
    *("%b %Y", "%b-%Y", "%B %Y", "%B-%Y", "%Y %b", "%Y-%b", "%Y %B"),
    *("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%YM%m", "%Y-M%m", "%Y%m"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%G-W%V", "%GW%V", "%G W%V", "%Y"),
    *("%d-%b-%y", "%d %b %y", "%b-%y", "%b %y", "%y-%m-%d"),
    *(f"%{first}{mark}%{second}{mark}%y" for mark in "/.-" for first, second in ("dm", "md")),
)
CLOCKS = ("%H:%M:%S.%f", "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H")
TIMES = (
    "",
    *(f"{mark}{clock}" for mark in (" ", "T", ", ") for clock in CLOCKS),
    "T%H%M%S",
    "T%H%M",
)
ZONES = ("", "Z", " UTC", "%z", "%:z", "%-z", " %z", " %:z")
ZERO = {"%z": "+0000", "%:z": "+00:00", "%-z": "+00"}  # offsets of UTC
UTC_MARKS = ("Z", " UTC", *ZERO.values(), *(f" {offset}" for offset in ZERO.values()))


def tokens(pattern: str) -> list[tuple[str, str, str]]:
    """Split a pattern into (flag, code, literal), code or literal empty; UsageError if a code is none, or twice."""
    for short, long in SHORTHANDS.items():
        pattern = pattern.replace(short, long)
    setting = Setting("date_format", pattern)
    parts: list[tuple[str, str, str]] = []
    for part in TOKEN.finditer(pattern):
        flag, code, literal = part["flag"] or "", part["code"] or "", part["literal"] or ""
        if code == "%":
            flag, code, literal = "", "", "%"
        elif literal == "%" or (code and flag not in DIRECTIVES.get(code, ())):
            raise UsageError(f"'{part[0]}' is not a directive that can be read", setting=setting)
        elif code and code in [known for _, known, _ in parts]:
            raise UsageError(
                f"'%{code}' comes twice", setting=setting, cure="name each part of a time once"
            )
        parts.append((flag, code, literal))
    return parts


@lru_cache(maxsize=1024)
def expression(pattern: str) -> str:
    """The regular expression (RE2 and Python) of a pattern, one named group for each directive."""
    parts, text = tokens(pattern), ""
    for i, (flag, code, literal) in enumerate(parts):
        before, after = parts[i - 1][1] if i else "", parts[i + 1][1] if i + 1 < len(parts) else ""
        if not code:
            text += re.escape(literal.removesuffix(".") if after == "f" else literal)
            continue
        # beside another number only two digits can be told apart
        crowded = code in LOOSE and any(c and c not in (*WORDS, "z") for c in (before, after))
        group = f"(?P<{code}>{TWO if crowded else DIRECTIVES[code][flag]})"
        # str(datetime) leaves a fraction of zero out, so that it may be missing in some rows
        text += rf"(?:\.{group})?" if code == "f" else group
    return text


@lru_cache(maxsize=4096)
def guesses(text: str) -> tuple[str, ...]:
    """Every pattern whose shape `text` has, the likeliest first."""
    fitting = []
    for date in DATES:
        start = re.match(expression(date), text)
        rest = text[start.end() :] if start else ""
        for time in TIMES if start else ():
            if not time and rest and not rest.startswith(("Z", "+", "-", " ")):
                continue
            zones = ZONES if time else ("",)
            fitting += [
                date + time + zone for zone in zones if re.fullmatch(expression(time + zone), rest)
            ]
    return tuple(fitting)


@lru_cache(maxsize=1024)
def codes_of(pattern: str) -> frozenset[str]:
    return frozenset(code for _, code, _ in tokens(pattern) if code)


def has_clock(pattern: str) -> bool:
    return bool(codes_of(pattern) & set("HIK"))


def has_zone(pattern: str) -> bool:
    """Whether a pattern writes a zone: an offset, Z or UTC."""
    return is_utc(pattern) or "z" in codes_of(pattern)


def is_utc(pattern: str) -> bool:
    """Whether a pattern writes every time on the clock of UTC, and says so."""
    return has_clock(pattern) and any(literal in UTC_MARKS for _, _, literal in tokens(pattern))


def matches(texts: Texts, pattern: str) -> Flags:
    """[texts], whether each has the pattern's shape: `parse` without its values."""
    shape = re.sub(r"[(][?]P<[A-Za-z]>", "(?:", expression(pattern))
    return np.asarray(_numpy(pc.match_substring_regex(texts, f"^{shape}$")), bool)


@dataclass(frozen=True)
class ParsedTexts:
    """What a pattern reads in an array of texts, [texts] each."""

    wall: Integers  # seconds since 1970-01-01 by the written clock; 0 where there is no such time
    matched: Flags  # the text has the pattern's shape
    exists: Flags  # matched, and there is such a date and time
    offsets: Integers  # seconds east of UTC where the pattern writes an offset, else 0
    fractions: bool  # any text has a fraction of a second other than zero
    pattern: str  # as these texts write it: %-d where days are not padded, %3f for three digits
    pivot: int | None = (
        None  # where years have two digits: the first of the hundred years around those of the texts
    )


def parse(texts: Texts, pattern: str, pivot: int | None = None) -> ParsedTexts:
    """Parse texts by a pattern; `pivot` is the first of the hundred years that years of two digits stand for."""
    groups = _Groups(texts, pattern)
    year = _years(groups, pivot)
    days, exists = _date(groups, year)
    hour = groups.number("K") - 1 if "K" in groups.codes else groups.number("H")
    exists &= (hour >= 0) & (hour < 24)
    if "I" in groups.codes:
        hour = groups.number("I")
        exists &= (hour >= 1) & (hour <= 12)
        afternoon = (
            _numpy(pc.equal(pc.utf8_lower(groups.words("p")), "pm")) if "p" in groups.codes else 0
        )
        hour = hour % 12 + 12 * afternoon
    minute, second = groups.number("M"), groups.number("S")
    exists &= (minute < 60) & (second < 60)
    wall, offsets = (
        np.where(exists, days * DAY + hour * 3600 + minute * 60 + second, 0),
        np.zeros_like(days),
    )
    if "z" in groups.codes:  # such as +02:00, +0200 and +02
        digits = pc.utf8_rpad(pc.replace_substring_regex(groups.words("z"), "[^0-9]", ""), 4, "0")
        hours, minutes = np.divmod(_numpy(digits.cast(pa.int64())), 100)
        offsets = np.where(_numpy(pc.starts_with(groups.words("z"), "-")), -1, 1) * (
            hours * 3600 + minutes * 60
        )
    fractions = bool(groups.number("f").any())
    around = None
    if "y" in groups.codes and exists.any():
        around = int(year[exists].min() + year[exists].max()) // 2 - 49
    return ParsedTexts(
        wall, groups.matched, exists, offsets, fractions, _as_written(pattern, groups), around
    )


class _Groups:
    """What a pattern's directives match in the texts, as words or as numbers."""

    def __init__(self, texts: Texts, pattern: str) -> None:
        self._table = pc.extract_regex(texts, f"^{expression(pattern)}$")
        self.codes = codes_of(pattern)
        self.matched: Flags = np.asarray(_numpy(self._table.is_valid()), bool)

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


def _date(groups: _Groups, year: Integers) -> tuple[Integers, Flags]:
    """Days since 1970-01-01, and whether there is such a date."""
    years, week = (year - 1970).astype("datetime64[Y]"), groups.number("V", 1)
    exists = groups.matched & (year >= 1) & (week >= 1) & (week <= 53)
    if "G" in groups.codes:
        fourth = (
            years.astype("datetime64[D]").astype(np.int64) + 3
        )  # of January, which lies in week 1
        days = fourth - (fourth + 3) % 7 + 7 * (week - 1)
        return days, exists & ((days + 3).astype("datetime64[D]").astype("datetime64[Y]") == years)
    if "j" in groups.codes:
        days = years.astype("datetime64[D]").astype(np.int64) + groups.number("j") - 1
        return days, exists & (days.astype("datetime64[D]").astype("datetime64[Y]") == years)
    month = 3 * groups.number("q") - 2 if "q" in groups.codes else groups.number("m", 1)
    for code, names in (("b", ABBREVIATIONS), ("B", MONTHS)):
        if code in groups.codes:
            number = pc.index_in(pc.utf8_lower(groups.words(code)), value_set=pa.array(names))
            month = _numpy(pc.fill_null(number, -1)).astype(np.int64) + 1
    months = (years.astype("datetime64[M]").astype(np.int64) + month - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]").astype(np.int64) + groups.number("d", 1) - 1
    dates = days.astype("datetime64[D]")
    exists &= (months.astype("datetime64[Y]") == years) & (dates.astype("datetime64[M]") == months)
    return days, exists


def _years(groups: _Groups, pivot: int | None) -> Integers:
    """Years; of two digits from `pivot` on, or where all lie closest together, from 30 on of the 1900s if both do."""
    if "y" not in groups.codes:
        return groups.number(
            "G" if "G" in groups.codes else "Y", 1972
        )  # parts of a date without one: in a leap year
    short, matched = groups.number("y"), groups.matched
    if pivot is not None:
        return pivot + (short - pivot) % 100
    seen = np.unique(short[matched]) if matched.any() else np.zeros(1, np.int64)
    widest = int(np.diff(np.append(seen, seen[0] + 100)).argmax())
    first = int(seen[(widest + 1) % len(seen)])  # after the widest gap of the circle of a hundred
    return (1900 if first >= 30 else 2000) + short + np.where(short < first, 100, 0)


def _as_written(pattern: str, groups: _Groups) -> str:
    """The pattern with the flags that write it back just as these texts have it."""
    result, matched, codes = "", pa.array(groups.matched), groups.codes & {*LOOSE, "b", "B", "f"}
    words = {code: groups.words(code).filter(matched) for code in codes}
    loose = codes & {*LOOSE}
    short = {code for code in loose if pc.min(pc.utf8_length(words[code])).as_py() == 1}
    padded = {code for code in loose if pc.any(pc.starts_with(words[code], "0")).as_py()}
    if short & {"m", "d"}:
        short |= {"m", "d"} - padded  # a day of two digits in every row is written as the month is
    for flag, code, literal in tokens(pattern):
        if code in LOOSE:
            flag = "-" if code in short else ""
        elif code in ("b", "B"):
            flag = "^" if len(words[code]) and pc.all(pc.utf8_is_upper(words[code])).as_py() else ""
        elif code == "f":
            flag = str(pc.max(pc.utf8_length(words["f"])).as_py() or "")
            if not flag:  # no text has the fraction, nor its point
                result = result.removesuffix(".")
                continue
        result += literal.replace("%", "%%") if not code else f"%{flag}{code}"
    return result


def write(wall: Integers, timestamps: Integers, pattern: str) -> list[str]:
    """Write times: seconds since 1970-01-01 by the wall clock and of UTC, [n] each."""
    parts = tokens(pattern)
    times = ((EPOCH + timedelta(seconds=clock)) for clock in wall.tolist())
    pairs = zip(times, (wall - timestamps).tolist(), strict=True)
    return [
        "".join(lit or _directive(*pair, flag, code) for flag, code, lit in parts) for pair in pairs
    ]


def _directive(time: datetime, offset: int, flag: str, code: str) -> str:
    if code == "f":
        return "0" * int(flag or 6)
    if code == "z":
        hours, minutes = divmod(abs(offset) // 60, 60)
        text = f"{'-' if offset < 0 else '+'}{hours:02d}"
        return text if flag == "-" else f"{text}{flag}{minutes:02d}"
    if code in WORDS:
        noon, month, day = (
            "am" if time.hour < 12 else "pm",
            MONTHS[time.month - 1],
            WEEKDAYS[time.weekday()],
        )
        word = {"p": noon, "B": month, "b": month[:3], "A": day, "a": day[:3]}[code]
        return word.upper() if flag == "^" or code == "p" else word.capitalize()
    if code in "YGqK":  # years before 1000 have no zeros in strftime
        number = {
            "Y": time.year,
            "G": time.isocalendar()[0],
            "q": (time.month + 2) // 3,
            "K": time.hour + 1,
        }[code]
        return f"{number:0{4 if code in 'YG' else 1 if code == 'q' or flag else 2}d}"
    text = time.strftime(f"%{code}")
    return text.lstrip("0") or "0" if flag == "-" and code != "y" else text

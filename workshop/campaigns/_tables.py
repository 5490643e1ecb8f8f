"""Random tables: sound ones, and what people, spreadsheets and broken copies make of them; with flags to read them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

STEPS = {
    **{
        "h": timedelta(hours=1),
        "D": timedelta(days=1),
        "W": timedelta(days=7),
        "MS": timedelta(days=31),
    },
    **{
        "15min": timedelta(minutes=15),
        "s": timedelta(seconds=1),
        "QS": timedelta(days=92),
        "YS": timedelta(days=366),
    },
}
FORMATS = (
    *(
        "%Y-%m-%d",
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%d.%m.%Y",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%dT%H:%M:%SZ",
    ),
    *(
        "%Y-%m-%d %H:%M:%S+01:00",
        "%Y%m%d",
        "%Y",
        "%b %Y",
        "%d %B %Y",
        "%H:%M",
        "%Y-W%W",
        "%s",
        "%j",
        "%y",
    ),
)
NAMES = (
    *(
        "time",
        "date",
        "ds",
        "day",
        "id",
        "shop",
        "unique_id",
        "y",
        "value",
        "sales",
        "units",
        "price",
        "promo",
        "x",
    ),
    *(
        "",
        " padded ",
        "a,b",
        "=1+1",
        "forecast",
        "lo_80",
        "series",
        "step",
        "naïve",
        "1",
        "2",
        "é\u200b",
        "#id",
    ),
)
IDS = (
    *(
        "a",
        "b",
        "c",
        "007",
        "7",
        "NA",
        "null",
        "nan",
        "",
        " a",
        "a,b",
        'say "x"',
        "two\nlines",
        "=1+1",
        "日本",
        "-1",
    ),
    *(
        "1e5",
        "12345678901234567",
        "x" * 300,
        "\u202e",
        "a\tb",
        "é",
        "\x07",
        "2024-01-01",
        "True",
        "a;b",
    ),
)
CELLS = (
    *(
        "",
        " ",
        "-",
        "n/a",
        "NaN",
        "null",
        "inf",
        "-inf",
        "1e400",
        "1e300",
        "3.4e38",
        "1e38",
        "-0.0",
        "0x10",
        "5%",
    ),
    *(
        "True",
        "1,5",
        "1.234,5",
        "1 234",
        "1_000",
        "$5",
        "1e-45",
        "1e-300",
        "٣",
        "½",
        "1.5.2",
        "2024-02-30",
        "99:99",
    ),
    *(
        "--1",
        "+1",
        ".5",
        "5.",
        "1e5",
        "9007199254740993",
        "9" * 30,
        "a",
        "'1",
        "#REF!",
        "=A1",
        "(5)",
    ),
)
TIMES = (0, 1, -5, 1990, 40_000, 1_700_000_000, 10**15, 2**63 - 100, 20240101, 1_700_000_000_000)
MISHAPS = (
    *(
        "cell",
        "cell",
        "cell",
        "drop",
        "twice",
        "swap",
        "short",
        "long",
        "header",
        "blank",
        "empty",
        "column",
    ),
    *("comment", "footer", "pad"),
)
ENCODINGS = ("utf-8-sig", "utf-16", "latin-1", "utf-16-le", "utf-32", "cp1252")
FLAGS: tuple[tuple[str, ...], ...] = (
    *(("--delimiter", one) for one in (",", ";", "tab", "|", "x", "")),
    *(("--decimal", one) for one in (".", ",")),
    *(("--thousands", one) for one in (",", ".", " ", "'", "_")),
    *(
        ("--encoding", one)
        for one in ("utf-8", "cp1252", "utf-16", "ascii", "nonsense", "utf-7", "idna", "zip")
    ),
    *(("--layout", one) for one in ("long", "wide", "rows")),
    *(("--time", one) for one in ("time", "date", "y", "nothing", "")),
    *(("--id", one) for one in ("id", "shop", "time", "id,shop", "y")),
    *(("--target", one) for one in ("y", "value", "id", "time", "y,value")),
    *(
        ("--freq", one)
        for one in (
            "h",
            "D",
            "B",
            "W",
            "MS",
            "QS",
            "YS",
            "1",
            "2",
            "15min",
            "s",
            "0",
            "-1",
            "ME",
            "W-SUN",
        )
    ),
    *(("--aggregate", one) for one in ("sum", "mean", "last")),
    *(("--season", one) for one in ("2", "7", "7,365", "100000", "1000000000", "1", "12,12")),
    *(("--horizon", one) for one in ("1", "3", "100", "10000", "0")),
    *(("--lookback", one) for one in ("1", "5", "1000", "100000", "0")),
    *(("--known", one) for one in ("price", "promo", "y", "time")),
    *(("--past", one) for one in ("price", "id", "x")),
    *(("--static", one) for one in ("shop", "promo", "time")),
    *(("--on-duplicate", one) for one in ("first", "last", "mean", "sum")),
    *(
        ("--timezone", one)
        for one in ("Europe/Berlin", "UTC", "+02:00", "+99:99", "Nowhere/X", "America")
    ),
    *(("--dst", one) for one in ("earlier", "later")),
    *(("--date-format", one) for one in ("%d/%m/%Y", "%Y-%m-%d", "%H:%M", "%Q", "%", "%Y%Y", "")),
    *(("--max-missing", one) for one in ("0", "1", "0.9")),
    *(("--holidays", one) for one in ("DE", "US-CA", "XX", "HolidayBase", "de")),
    ("--strict",),
)
ONLY_TEXT = ("--delimiter", "--decimal", "--thousands", "--encoding")


@dataclass(frozen=True)
class Sample:
    """A file and the flags to read it with."""

    data: bytes
    flags: tuple[tuple[str, ...], ...]

    def words(self, only: tuple[str, ...] | None = None) -> list[str]:
        """The flags as words of a command, some of them where some are named."""
        return [word for flag in self.flags if only is None or flag[0] in only for word in flag]


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    """A table that is sound but for a few changes."""
    rows = draw(st.one_of(_long(), _long(), _wide(), _rows()))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 0, 0, 2, 0, 4, 0, 0, 1, 0, 0]))):
        rows = _changed(draw, rows)
    text = _written(draw, rows)
    data = _encoded(draw, text)
    most = draw(st.sampled_from([0, 0, 0, 1, 0, 3, 0]))
    return Sample(
        data,
        tuple(
            draw(st.lists(st.sampled_from(FLAGS), max_size=most, unique_by=lambda flag: flag[0]))
        ),
    )


Rows = list[list[str]]


def _rarely(draw: st.DrawFn, times: int) -> bool:
    """Once in so many draws; a number from the middle, as the ends are drawn more often."""
    return draw(st.integers(0, times - 1)) == times // 2


@st.composite
def _times(draw: st.DrawFn) -> list[str]:
    """Times of a grid, with gaps now and then."""
    count = draw(st.sampled_from([30, 60, 40, 1, 100, 2, 50, 13, 5, 45]))
    if _rarely(draw, 20):
        first = draw(
            st.sampled_from(
                [
                    0,
                    1,
                    -5,
                    1990,
                    40_000,
                    1_700_000_000,
                    10**15,
                    2**63 - 100,
                    20240101,
                    1_700_000_000_000,
                ]
            )
        )
        step = draw(st.sampled_from([1, 2, 7, 3600, 86_400, 10**12]))
        return [str(first + step * at) for at in range(count)]
    start = draw(
        st.sampled_from([datetime(2024, 3, 30, 23), datetime(2020, 1, 31), datetime(1969, 12, 29)])
    )
    if _rarely(draw, 4):
        start = draw(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)))
    if not _rarely(draw, 6):
        start = start.replace(microsecond=0, second=0, minute=0)
    name = draw(st.sampled_from([*STEPS, "D", "D", "MS"]))
    if name in ("MS", "QS", "YS"):
        start = start.replace(day=1)
    fine = name in ("h", "15min", "s")
    pattern = draw(
        st.sampled_from(FORMATS[4:7] if fine else FORMATS[:1] if start.day < 13 else FORMATS[:4])
    )
    if _rarely(draw, 6):
        pattern = draw(st.sampled_from(FORMATS))
    found, at = [], start
    for _ in range(count):
        found.append(
            at.strftime(pattern)
            if pattern != "%s"
            else str(int((at - datetime(1970, 1, 1)).total_seconds()))
        )
        try:
            at += STEPS[name]
            if name in ("MS", "QS", "YS"):
                at = at.replace(day=1)
        except OverflowError:
            break
    if _rarely(draw, 5) and len(found) > 2:
        del found[draw(st.integers(1, len(found) - 2)) :: draw(st.sampled_from([2, 5, 50]))]
    return found


def _values(draw: st.DrawFn, count: int) -> list[str]:
    """Numbers of one kind."""
    style = draw(st.sampled_from(["whole", "decimal", "blank", "constant"]))
    if _rarely(draw, 6):
        style = draw(st.sampled_from(["comma", "huge", "tiny", "words"]))
    base = draw(st.integers(-50, 1000))
    numbers = [base + (at * 37 % 11) for at in range(count)]
    size = draw(st.sampled_from(["e30", "e37", "e38", "e39", "e308", "e400"]))
    kinds = {
        "whole": [str(one) for one in numbers],
        "decimal": [f"{one / 7:.3f}" for one in numbers],
        "comma": [f"{one / 7:.2f}".replace(".", ",") for one in numbers],
        "huge": [f"{one}{size}" for one in numbers],
        "tiny": [f"{one}e-{draw(st.sampled_from([30, 40, 45, 300]))}" for one in numbers],
        "constant": [str(base)] * count,
        "blank": ["" if at % 5 == 1 else str(one) for at, one in enumerate(numbers)],
        "words": [("low", "high", "", "5")[at % 4] for at in range(count)],
    }
    return kinds[style]


def _names(draw: st.DrawFn, usual: tuple[str, ...]) -> list[str]:
    """The usual names of columns, now and then another one."""
    return [draw(st.sampled_from(NAMES)) if _rarely(draw, 50) else name for name in usual]


@st.composite
def _long(draw: st.DrawFn) -> Rows:
    times = draw(_times())
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True))
    more = draw(st.integers(0, 2))
    header = _names(draw, ("id", "time", "y", "price", "promo")[: 3 + more])
    rows = []
    for one in ids:
        columns = [_values(draw, len(times)) for _ in range(1 + more)]
        rows += [[one, time, *cells] for time, *cells in zip(times, *columns, strict=True)]
    return [header, *rows]


@st.composite
def _wide(draw: st.DrawFn) -> Rows:
    times = draw(_times())
    count = draw(st.integers(1, 4))
    header = _names(draw, ("time", "y", "value", "x", "sales")[: 1 + count])
    columns = [_values(draw, len(times)) for _ in range(count)]
    return [header, *([time, *cells] for time, *cells in zip(times, *columns, strict=True))]


@st.composite
def _rows(draw: st.DrawFn) -> Rows:
    count = draw(st.sampled_from([1, 3, 12, 40]))
    ids = draw(st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True))
    rows = []
    for one in ids:
        cells = _values(draw, count)
        left = draw(st.integers(0, count))
        rows.append([one, *cells[:left], *[""] * (count - left)])
    return [["id", *(f"V{at + 1}" for at in range(count))], *rows]


def _changed(draw: st.DrawFn, rows: Rows) -> Rows:
    """One mishap."""
    rows = [list(row) for row in rows]
    at = draw(st.integers(0, len(rows) - 1))
    kind = draw(st.sampled_from(MISHAPS))
    if kind == "cell" and rows[at]:
        rows[at][draw(st.integers(0, len(rows[at]) - 1))] = draw(
            st.sampled_from(CELLS) | st.text(max_size=8)
        )
    elif kind == "drop":
        del rows[at]
    elif kind == "twice":
        rows.insert(at, list(rows[at]))
    elif kind == "swap":
        rows[at], rows[-1] = rows[-1], rows[at]
    elif kind == "short":
        rows[at] = rows[at][:-1]
    elif kind == "long":
        rows[at] = [*rows[at], "1"]
    elif kind == "header":
        rows.insert(at, list(rows[0]))
    elif kind == "blank":
        rows.insert(at, [""] * len(rows[0]))
    elif kind == "empty":
        rows.insert(at, [])
    elif kind == "column":
        rows = [[*row, *row[-1:]] for row in rows]
    elif kind == "comment":
        rows.insert(0, ["# exported 2024-01-01"])
    elif kind == "footer":
        rows.append(["Total", *["1"] * (len(rows[0]) - 1)])
    else:
        rows[at] = [f" {cell} " for cell in rows[at]]
    return rows or [[]]


def _written(draw: st.DrawFn, rows: Rows) -> str:
    mark = draw(st.sampled_from([",", ",", ",", ";", "\t", "|", " "]))
    quoted = "none" if _rarely(draw, 40) else draw(st.sampled_from(["needed", "all"]))
    end = draw(st.sampled_from(["\n", "\n", "\r\n", "\r"]))

    def cell(text: str) -> str:
        needs = quoted == "all" or (
            quoted == "needed" and any(sign in text for sign in (mark, '"', "\n", "\r"))
        )
        return '"' + text.replace('"', '""') + '"' if needs else text

    return end.join(mark.join(map(cell, row)) for row in rows) + draw(
        st.sampled_from([end, end, "", end * 3, '"', "\0", "\x1a"])
    )


def _encoded(draw: st.DrawFn, text: str) -> bytes:
    name: Any = draw(st.sampled_from(ENCODINGS)) if _rarely(draw, 20) else "utf-8"
    data = text.encode(name, errors="replace")
    if data and _rarely(draw, 50):
        at = draw(st.integers(0, len(data) - 1))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 3)) :]
    return data

"""What the fuzzer does with the reader: its bytes become a file that is read, understood and brought to a grid."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import pandas as pd

from forecast.errors import ForecastError
from forecast.panel.infer import check_to_fit, describe_reading, read
from forecast.settings import TableSettings, TextSettings
from forecast.tables.reading import read_table
from workshop.campaigns._choices import Choices

DATA = Path(__file__).parents[2] / "data"
TEXTS: list[dict[str, Any]] = [
    *[{}] * 8,
    *({"decimal": ","}, {"delimiter": ";"}, {"thousands": ","}, {"encoding": "cp1252"}, {"encoding": "utf-16"}),
    *({"thousands": "."}, {"delimiter": "tab"}, {"decimal": "."}),
]  # fmt: skip
TABLES: list[dict[str, Any]] = [
    *[{}] * 8,
    *({"layout": "long"}, {"layout": "wide"}, {"layout": "rows"}, {"on_duplicate": "mean"}, {"freq": "D"}),
    *({"freq": "1"}, {"freq": "MS", "aggregate": "sum"}, {"timezone": "Europe/Berlin", "dst": "later"}),
    *({"past": ("price",)}, {"known": ("price",)}, {"static": ("k",), "past": ("price",)}, {"holidays": "DE"}),
]  # fmt: skip
ROWS = """id,1,2,3,4,5
a,1,2,3,4,5
b,2,3,4
"""
LONG = """shop;day;units;price
"a, b";31.12.2023;1.234,5;2,5
c;01.01.2024;7;
c;02.01.2024;8;3,5
"""
ZONED = "time,y\n2024-03-31T00:30:00+01:00,1\n2024-03-31T03:30:00+02:00,2\n2024-03-31T04:30:00+02:00,3\n"
MORE = (
    *(
        ROWS,
        LONG,
        ZONED,
        "ds,y\n20240101,1\n20240102,2\n20240103,3\n",
        "t,y\n1,1\n2,nan\n3,inf\n",
        "a\n1\n2\n3\n4\n",
    ),
    *("time,y\n1700000000,1\n1700003600,2\n1700007200,3\n", "q,y\n2020Q1,1\n2020Q2,2\n2020Q3,3\n"),
    *(
        "y,n\n2000,1\n2001,2\n",
        "d,y\nJan 2020,1\nFeb 2020,2\nMar 2020,3\n",
        "w,y\n2020-W01,1\n2020-W02,2\n",
    ),
    'd,y\n2020-01-01,"1\n"\n2020-01-02,2\n',
    *(
        "id,t,y,k\nx,1,1,a\nx,2,2,b\ny,1,3,a\ny,2,4,\n",
        "d,y\n2020-01-01,1e300\n2020-01-02,-0\n2020-01-03,0x10\n",
    ),
)


def one(data: bytes, place: Path) -> None:
    """Read `data` as a table, from a file in `place`, to the panel; all but a ForecastError is a finding."""
    choices = Choices(data)
    text, table = TEXTS[choices.whole(0, len(TEXTS) - 1)], TABLES[choices.whole(0, len(TABLES) - 1)]
    path = place / "t.csv"
    path.write_bytes(choices.raw(1 << 16))
    try:
        panel_of(str(path), TextSettings(**text), TableSettings(**table))
    except ForecastError:
        return


def panel_of(path: str, text: TextSettings, settings: TableSettings) -> None:
    """All that fit does with a file before it trains."""
    table = read_table(path, text)
    reading = read(table, settings)
    check_to_fit(reading)
    describe_reading(reading)


def seeds() -> list[bytes]:
    """The first lines of the sample tables, small tables of every kind, and packed ones."""
    heads = [
        b"".join(path.read_bytes().splitlines(keepends=True)[:30])
        for path in sorted(DATA.glob("*.csv"))
    ]
    texts = [*heads, *(text.encode() for text in MORE)]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", texts[-1])
    parquet = io.BytesIO()
    pd.read_csv(io.StringIO(MORE[0])).to_parquet(parquet)
    more = [
        gzip.compress(texts[0]),
        packed.getvalue(),
        parquet.getvalue(),
        texts[0].decode().encode("utf-16"),
    ]
    return [text + bytes([0, 0]) for text in (*texts, *more)]

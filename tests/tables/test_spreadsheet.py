"""Workbooks are read as a person reads them; what cannot be read so is refused with its cell."""

import sys
import zipfile
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.errors import BadData, Unavailable, UsageError
from forecast.panel import infer
from forecast.panel.dated import normalise
from forecast.settings import TableSettings, TextSettings
from forecast.tables import storage
from forecast.tables.cells import parse_numbers
from forecast.tables.reading import read_table
from forecast.tables.table import Table
from tests.conftest import Run
from tests.tables.workbooks import raw_xlsx, xlsx, zipped

DAYS = [date(2024, 1, 1) + timedelta(days=i) for i in range(30)]
SALES = [["day", "units"], *([day, 10.25 + i % 7] for i, day in enumerate(DAYS))]

FAR = '<row><c r="A1"><v>1</v></c></row><row><c r="XFD1048576"><v>1</v></c></row>'


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Table]:
    def from_bytes(data: bytes, **settings: Any) -> Table:
        path = tmp_path / "book.csv"  # content counts, not the name
        path.write_bytes(data)
        return read_table(str(path), TextSettings(**settings))

    return from_bytes


def test_cells_keep_their_types_and_all_their_digits(read: Any) -> None:
    precise = [0.1, 1 / 3, 1234567890.125, 1e-9, 1e15]
    rows = [["day", "y", "whole", "code", "open", "mixed"]]
    rows += [
        [DAYS[i], y, 2**50 + i, f"00{i}", i % 2 == 0, ["NA", 1.5, "2", 3, None][i]]
        for i, y in enumerate(precise)
    ]
    table = read(xlsx(Sales=rows))
    frame = table.frame
    assert frame["day"].tolist() == [pd.Timestamp(day) for day in DAYS[:5]]
    assert frame["y"].tolist() == precise
    assert frame["whole"].tolist() == [2**50 + i for i in range(5)]
    assert frame["code"].tolist() == ["000", "001", "002", "003", "004"]
    assert frame["open"].tolist() == ["TRUE", "FALSE", "TRUE", "FALSE", "TRUE"]
    assert frame["mixed"].tolist() == ["NA", "1.5", "2", "3", ""]
    assert table.place(0, "y") == "book.csv row 2, column 'y'"


def test_hours_are_whole_although_a_sheet_stores_fractions_of_days(read: Any) -> None:
    hours = [datetime(2024, 1, 1) + timedelta(hours=i) for i in range(100)]
    table = read(xlsx(Sales=[["at", "y"], *([hour, i] for i, hour in enumerate(hours))]))
    assert table.frame["at"].tolist() == [pd.Timestamp(hour) for hour in hours]
    assert infer.read(table, TableSettings()).schema.calendar.name == "h"


def test_times_of_day_and_spans_are_text(read: Any) -> None:
    frame = read(xlsx(Sales=[["day", "y"], ["a", time(10, 30)], ["b", "c"]])).frame
    assert frame["y"].tolist() == ["10:30:00", "c"]


def test_the_first_sheet_with_cells_is_read_and_others_are_named(read: Any, caplog: Any) -> None:
    other = [["day", "rain"], *([day, 1.5] for day in DAYS)]
    data = xlsx(Cover=[], Sales=SALES, Rain=other)
    assert list(read(data).frame.columns) == ["day", "units"]
    assert "book.csv: read sheet 'Sales'; pass sheet= to read 'Rain'" in caplog.text
    caplog.clear()
    assert list(read(xlsx(Notes=[["about"], ["counts by day"]], Sales=SALES)).frame.columns) == [
        "day",
        "units",
    ]
    assert "pass sheet= to read 'Notes'" in caplog.text
    caplog.clear()
    for sheet in ("Rain", "3"):
        assert list(read(data, sheet=sheet).frame.columns) == ["day", "rain"]
    read(xlsx(Cover=[], Sales=SALES))
    assert not caplog.text
    for sheet in ("rain", "4", "0"):
        with pytest.raises(
            UsageError, match=f"sheet={sheet!r}: book.csv has no .*'Cover', 'Sales', 'Rain'"
        ):
            read(data, sheet=sheet)
    with pytest.raises(BadData, match="sheet 'Cover' is empty"):
        read(data, sheet="Cover")
    with pytest.raises(BadData, match="is empty"):
        read(xlsx(Cover=[]))


def test_sheets_may_have_any_name(read: Any) -> None:
    for name in ("R&D <1>", "Verkäufe 2024", "'quoted'"[1:-1], "12", "日本"):
        data = xlsx(**{"Cover": [["x"]], name: SALES})
        assert list(read(data, sheet=name).frame.columns) == ["day", "units"]


def test_hidden_sheets_are_read_only_when_named(read: Any) -> None:
    data = xlsx(hidden=["Lists"], Sales=SALES, Lists=[["a", "b"], [1, 2]])
    assert list(read(data).frame.columns) == ["day", "units"]
    assert list(read(data, sheet="Lists").frame.columns) == ["a", "b"]


def test_a_title_above_the_header_and_a_total_below_are_left_out(read: Any, caplog: Any) -> None:
    for above in (["Sales of 2024"], ["Sales of 2024", None]):
        caplog.clear()
        table = normalise(read(xlsx(Sales=[above, [], *SALES, ["Total", 390.5]])))
        assert (table.names, len(table), table.line(0)) == (["day", "units"], 30, "row 4")
        assert (
            "left out the title above the header (row 1 to 2); pass header_row=3 to say so"
            in caplog.text
        )
        assert "left out rows without a time below the data (from row 34 on)" in caplog.text
        assert infer.read(table, TableSettings()).panel.lengths.tolist() == [30]
        with pytest.raises(
            BadData, match=r"title above the header.*; rows without a time.*leave out strict="
        ):
            infer.read(table, TableSettings(strict=True))
    caplog.clear()
    for settings in ({"header_row": 4}, {"skip_rows": 3}):
        table = read(xlsx(Sales=[["Sales", 2024], ["by", "day"], [], *SALES]), **settings)
        assert (len(table), table.line(0), caplog.text) == (30, "row 5", "")
    with pytest.raises(BadData, match="is empty"):
        read(xlsx(Sales=SALES), header_row=99)
    with pytest.raises(
        BadData, match="row 1: column B has no name; give it one, or pass header_row="
    ):
        read(xlsx(Sales=[["Sales", None, "of 2024"], ["day", "x", "units"], [DAYS[0], 1, 2]]))


@pytest.mark.parametrize("total", [["Total", None, 3], [None, "Total", 3]])
def test_hours_stay_hours_beside_a_total(read: Any, total: list[Any]) -> None:
    hours = [[datetime(2024, 1, 1) + timedelta(hours=i), "a", i % 7] for i in range(60)]
    table = normalise(read(xlsx(Sales=[["at", "shop", "units"], *hours, total])))
    assert (len(table), infer.read(table, TableSettings()).schema.calendar.name) == (60, "h")


def test_merged_cells_are_refused_with_their_range(read: Any) -> None:
    rows = [["Sales of 2024", None], *SALES]
    assert len(read(xlsx(merge=["A1:B1"], Sales=rows))) == 30  # of a title
    with pytest.raises(BadData, match="row 1: the cells B1:C1 are merged; unmerge them"):
        read(xlsx(merge=["B1:C1"], Sales=[["day", "north", None], [DAYS[0], 1, 2]]))
    with pytest.raises(BadData, match="row 3: the cells B3:B5 are merged"):
        read(xlsx(merge=["B3:B5"], Sales=SALES))
    beside = [[*SALES[0], "a", "b", "c"], *([*row, 1, 2, 3] for row in SALES[1:])]
    assert len(read(xlsx(merge=["G3:G5"], Sales=beside)).frame) == 30


def test_errors_of_the_sheet_are_counted_and_read_as_blank(read: Any, caplog: Any) -> None:
    cells = [("=1/0", error) for error in ("#N/A", "#DIV/0!")]
    table = read(
        xlsx(
            Sales=[
                *SALES,
                *([DAYS[-1] + timedelta(days=i + 1), cell] for i, cell in enumerate(cells)),
            ]
        )
    )
    assert np.isnan(parse_numbers(table, "units")[-2:]).all()
    assert (
        "book.csv holds 2 error values such as #N/A (first B32 of sheet1); they are read as blank cells"
        in caplog.text
    )


def test_a_number_beyond_all_bounds_is_left_to_the_table_without_a_warning(read: Any) -> None:
    rows = "".join(
        f'<row r="{i}"><c r="A{i}"><v>{value}</v></c></row>'
        for i, value in enumerate((3, "1e400"), 2)
    )
    table = read(raw_xlsx(f'<row r="1"><c r="A1" t="str"><v>y</v></c></row>{rows}'))
    assert table.frame["y"].tolist() == [3.0, np.inf]


def test_formulas_without_a_value_are_counted_and_read_as_blank(read: Any, caplog: Any) -> None:
    text, formula = '<c r="{}" t="inlineStr"><is><t>{}</t></is></c>', "<f>A1</f>"
    rows = [
        text.format("A1", "day") + text.format("B1", "y"),
        f'<c r="A2"><v>1</v></c><c r="B2">{formula}</c>',
        f'<c r="A3"><v>2</v></c><c r="B3">{formula}<v></v></c>',
        f'<c r="A4"><v>3</v></c><c r="B4">{formula}<v>5</v></c>',
        f'<c r="A5"><v>3</v></c><c r="B5" t="str">{formula}<v></v></c>',
    ]
    table = read(
        raw_xlsx("".join(f'<row r="{i}">{cells}</row>' for i, cells in enumerate(rows, 1)))
    )
    assert parse_numbers(table, "y")[2] == 5
    assert (
        "book.csv holds 2 formulas that were never calculated (first B2 of sheet1); they are read as blank cells"
        in caplog.text
    )


def test_blank_rows_and_columns_at_the_edges_are_left_out(read: Any, caplog: Any) -> None:
    rows = [
        [],
        *([None, *row, None, None] for row in [*SALES[:4], [None, None], *SALES[4:]]),
        [None] * 5,
    ]
    table = read(xlsx(Sales=rows))
    assert list(table.frame.columns) == ["day", "units"]
    assert len(table.frame) == 30
    assert "1 rows without any value were left out" in caplog.text
    assert table.place(0) == "book.csv row 3"
    assert table.place(29) == "book.csv row 33"


def test_numbers_that_are_text_follow_the_flags(read: Any) -> None:
    rows = [["day", "y"], *([day, "1.204,5" if i % 2 else 3.5] for i, day in enumerate(DAYS))]
    table = read(xlsx(Sales=rows), decimal=",", thousands=".")
    assert parse_numbers(table, "y")[:2].tolist() == [3.5, 1204.5]
    table = read(xlsx(Sales=[["day", "y"], *([day, "1,5"] for day in DAYS)]))
    assert parse_numbers(table, "y")[0] == 1.5


def test_years_in_numbers_are_times(read: Any) -> None:
    table = read(xlsx(Sales=[["year", "y"], *([1990 + i, i % 3] for i in range(30))]))
    schema = infer.read(table, TableSettings()).schema
    assert (schema.time, schema.calendar.name) == (("year",), "YS")


def test_an_unnamed_index_of_pandas_is_left_out(read: Any, tmp_path: Path) -> None:
    frame = pd.DataFrame({"day": pd.to_datetime(DAYS), "units": 1.5})
    frame.to_excel(tmp_path / "book.xlsx", engine="xlsxwriter")
    table = normalise(read_table(str(tmp_path / "book.xlsx"), TextSettings()))
    pd.testing.assert_frame_equal(table.frame, frame.astype({"day": "datetime64[s]"}))


def test_without_the_package_the_extra_is_named(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(
        Unavailable, match=r"pip install '.\[excel\]'.*, or export the sheet as CSV"
    ):
        read(xlsx(Sales=SALES))


def test_other_documents_are_told_apart(read: Any) -> None:
    with pytest.raises(BadData, match=r"binary workbook \(.xlsb\)"):
        read(zipped({"[Content_Types].xml": "", "xl/workbook.bin": ""}))
    for parts in (
        {"[Content_Types].xml": "", "word/document.xml": ""},
        {"mimetype": "x", "content.xml": ""},
    ):
        with pytest.raises(
            BadData, match=r"no .xlsx; save its table as .xlsx, or export it as CSV"
        ):
            read(zipped(parts))


def test_damaged_workbooks_are_refused_and_never_a_crash(read: Any) -> None:
    whole = xlsx(Sales=SALES[:4])
    expected = read(whole).frame
    for at in range(0, len(whole), 29):
        for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]):
            try:
                pd.testing.assert_frame_equal(read(data).frame, expected)
            except (BadData, UsageError, Unavailable):  # a size that was damaged may be huge
                continue
    names = {member.filename for member in zipfile.ZipFile(BytesIO(whole)).infolist()}
    for part in names - {"xl/workbook.xml"}:
        parts = {name: zipfile.ZipFile(BytesIO(whole)).read(name).decode() for name in names}
        with_entity = '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
        for text in ("", "<a", with_entity):
            try:
                read(zipped({**parts, part: text}))
            except BadData:
                continue


@pytest.mark.parametrize(
    ("sheet", "said"),
    [
        (" " * 50_000_000, "GiB are free; split it"),
        (FAR, "; the sheet reaches to XFD1048576: delete cells apart from its table, or split it"),
    ],
    ids=["zeros", "far corner"],
)
def test_a_small_workbook_that_fills_the_memory_is_refused(
    read: Any, sheet: str, said: str, monkeypatch: Any
) -> None:
    data = raw_xlsx(sheet)
    monkeypatch.setattr(storage, "free_memory", lambda: 40 << 20)
    assert len(data) < 500_000
    with pytest.raises(Unavailable, match=f"GiB of memory or more to read.*{said}"):
        read(data)


@pytest.mark.parametrize("megabytes", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("place", ["inline", "shared"])
def test_a_huge_cell_is_refused_before_it_is_unpacked(
    forecast: Run, tmp_path: Path, place: str, megabytes: int
) -> None:
    letter, path = "\N{SNOWMAN}", tmp_path / "sales.xlsx"
    text = f"<t>{letter}</t>"
    cell = (
        '<c r="B1" t="s"><v>0</v></c>'
        if place == "shared"
        else f'<c r="B1" t="inlineStr"><is>{text}</is></c>'
    )
    rows = "".join(f'<row r="{row}"><c r="A{row}"><v>{row}</v></c></row>' for row in range(2, 30))
    small = raw_xlsx(
        f'<row r="1">{cell}</row>{rows}', f"<si>{text}</si>" if place == "shared" else ""
    )
    with (
        zipfile.ZipFile(BytesIO(small)) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            before, huge, after = source.read(name).partition(letter.encode())
            with archive.open(name, "w") as part:
                part.write(before)
                for _ in range(megabytes if huge else 0):
                    part.write(b"x" * 1_000_000)
                part.write(after)
    assert path.stat().st_size < 1_000 * megabytes + 1_000
    ran = forecast("inspect", path)
    assert ran.code == 69, ran.err
    assert "unpacks to more than 500 times its size" in ran.err


def test_fit_and_predict_of_a_workbook_are_those_of_its_csv(
    forecast: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sales.xlsx").write_bytes(xlsx(Cover=[["About"]], Sales=SALES, Rain=SALES))
    pd.DataFrame(SALES[1:], columns=SALES[0]).to_csv("sales.csv", index=False)
    found = forecast("fit", "sales.xlsx", "--sheet", "Sales", "--model", "last", "--horizon", 2)
    assert found.code == 0, found.err
    assert "reading  --sheet Sales" in found.err
    Path("tonight.xlsx").write_bytes(xlsx(Notes=[["nothing"]], Sales=SALES))
    saved = forecast("predict")
    assert [
        forecast("predict", name).out for name in ("tonight.xlsx", "sales.csv", "sales.xlsx")
    ] == [saved.out] * 3
    assert "\nunits,2024-01-31,11.25," in saved.out
    found = forecast("predict", "sales.xlsx", "--sheet", "None")
    assert (found.code, "its sheets are 'Cover', 'Sales', 'Rain'" in found.err) == (2, True)
    Path("job.toml").write_text(
        '[source]\npath = "sales.xlsx"\nsheet = 2\n[train]\nmodel = "last"\n[sink]\npath = "out.csv"\n'
    )
    assert forecast("run", "job.toml").code == 0


def test_the_sheet_of_the_future_may_have_another_name(
    forecast: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [[*row, i % 3 if i else "promo"] for i, row in enumerate(SALES)]
    Path("sales.xlsx").write_bytes(xlsx(Cover=[["About"]], Sales=rows))
    plan = [["day", "promo"], *([DAYS[-1] + timedelta(days=i), 1] for i in (1, 2))]
    Path("plan.xlsx").write_bytes(xlsx(Plan=plan))
    words = ("--known", "promo", "--model", "last", "--horizon", 2, "--sheet", "Sales")
    assert forecast("fit", "sales.xlsx", *words).code == 0
    found = forecast("predict", "sales.xlsx", "--future", "plan.xlsx")
    assert (found.code, len(found.frame)) == (0, 2)

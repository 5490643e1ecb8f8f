"""Content that is no table is named with a cure, text is decoded, and what does not fit into memory is refused."""

import zlib

import pytest

from forecast.errors import BadData, Unavailable, UsageError
from forecast.tables.storage import (
    foreign_kind,
    line_at,
    readable,
    require_memory,
    to_utf8,
    utf16_guess,
)

TEXT = "Stadt,Umsatz\nKöln,5\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_a_byte_order_mark_says_the_encoding(encoding: str) -> None:
    assert to_utf8(TEXT.encode(encoding), "sales.csv", None).decode() == TEXT


def test_text_of_another_encoding_is_refused_with_its_line_and_a_guess() -> None:
    with pytest.raises(
        BadData, match=r"sales.csv line 2: is not UTF-8 text; pass encoding='cp1252'"
    ):
        to_utf8(TEXT.encode("cp1252"), "sales.csv", None)
    with pytest.raises(BadData, match="line 2: is not ascii text; pass another encoding="):
        to_utf8(TEXT.encode(), "sales.csv", "ascii")
    with pytest.raises(BadData, match="is the file cut"):
        to_utf8(TEXT.encode("utf-16")[:-1], "sales.csv", None)
    with pytest.raises(UsageError, match="encoding='nonsense': is no text encoding"):
        to_utf8(b"a", "sales.csv", "nonsense")
    assert [utf16_guess(TEXT.encode(code)) for code in ("utf-16-le", "utf-16-be", "utf-8")] == [
        *("utf-16-le", "utf-16-be"),
        None,
    ]


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"%PDF-1.7", "a PDF"),
        (b"BZh9", "bzip2"),
        (b" <!DOCTYPE html>", "a web page"),
        (b"a,b", None),
    ],
)
def test_foreign_content_is_known_by_its_beginning(start: bytes, kind: str | None) -> None:
    found = foreign_kind(start)
    assert found is None if kind is None else kind in str(found)


def test_lines_are_counted_at_line_ends_of_all_systems() -> None:
    assert [line_at(b"a\nb\r\nc\rd", position) for position in (0, 2, 5, 7)] == [1, 2, 3, 4]


def test_errors_of_libraries_become_bad_data_and_own_errors_stay() -> None:
    with (
        pytest.raises(BadData, match=r"sales\.gz is cut, damaged or encrypted"),
        readable("sales.gz"),
    ):
        zlib.decompress(b"no")
    with pytest.raises(UsageError, match="own"), readable("sales.gz"):
        raise UsageError("own")


def test_more_bytes_than_are_free_are_refused_with_both_sizes() -> None:
    require_memory(2**30, "sales.csv", free=2**30)
    with pytest.raises(
        Unavailable,
        match=r"sales.csv takes 2.0 GiB of memory or more to read, and 1.0 GiB are free",
    ):
        require_memory(2**31, "sales.csv", free=2**30)

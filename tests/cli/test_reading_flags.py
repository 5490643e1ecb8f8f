"""The flags with which fit read its file hold for the files of later commands."""

from pathlib import Path
from shlex import split

import pytest

from forecast import Forecaster
from tests.conftest import Run

FLAGS = split("--encoding cp1252 --delimiter ; --thousands . --date-format %d/%m/%Y")
JOB = """store = "store"
[source]
path = "tonight.csv"
{more}[train]
model = "last"
horizon = 3
[sink]
path = "out.csv"
"""


def sales(count: int, place: str, mark: str = ".") -> None:
    """A table that cannot be read without flags: firsts of months, or days of January; dots that may be decimal."""
    rows = [f"01/{i % 12 + 1:02d}/{2010 + i // 12};1{mark}{100 + i % 7}" for i in range(count)]
    Path(place).write_bytes("\n".join(["Verkäufe am;Stück", *rows, ""]).encode("cp1252"))


@pytest.fixture
def fitted(forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sales(48, "sales.csv")
    sales(60, "tonight.csv")
    found = forecast(
        "fit", "sales.csv", "--artifact", "store", "--model", "last", "--horizon", 3, *FLAGS
    )
    assert found.code == 0, found.err
    assert "reading  --encoding cp1252 --delimiter ';' --thousands ." in found.err


def test_a_template_of_future_values_is_written_as_the_table_is_read(
    forecast: Run, fitted: None
) -> None:
    lines = Path("sales.csv").read_bytes().splitlines()
    rows = [b"Sales", b"", lines[0] + b";promo", *(line + b";1.000" for line in lines[1:])]
    Path("known.csv").write_bytes(b"\n".join([*rows, b""]))
    known = ("--known", "promo", "--header-row", 3, "--model", "last", "--horizon", 2)
    found = forecast("fit", "known.csv", "--artifact", "known", *known, *FLAGS)
    assert found.code == 0, found.err
    found = forecast("predict", "--artifact", "known", "--future-template", "rows.csv")
    assert found.code == 0, found.err
    written = Path("rows.csv").read_bytes().decode("cp1252")
    assert written == "Verkäufe am;promo\n01/01/2014;\n01/02/2014;\n"
    Path("rows.csv").write_bytes(written.replace(";\n", ";1.000\n").encode("cp1252"))
    found = forecast("predict", "--artifact", "known", "--future", "rows.csv")
    assert (found.code, len(found.frame)) == (0, 2), found.err


def test_predict_needs_no_flags_of_reading(forecast: Run, fitted: None) -> None:
    for words in ((), FLAGS):
        found = forecast("predict", "tonight.csv", "--artifact", "store", *words)
        assert found.code == 0, found.err
        assert found.frame["forecast"].tolist() == [1103.0] * 3
        assert found.frame["Verkäufe am"].tolist() == ["01/01/2015", "01/02/2015", "01/03/2015"]
    assert "reading  --encoding cp1252" in forecast("inspect", "--artifact", "store").out


def test_a_flag_given_to_predict_wins(forecast: Run, fitted: None) -> None:
    sales(60, "comma.csv", ",")
    assert (
        forecast("predict", "comma.csv", "--artifact", "store").code == 0
    )  # , is the decimal mark under thousands .
    found = forecast("predict", "comma.csv", "--artifact", "store", "--thousands", ",")
    assert found.frame["forecast"].tolist() == [1103.0] * 3
    found = forecast("predict", "tonight.csv", "--artifact", "store", "--decimal", ".")
    assert found.frame["forecast"].tolist() == [1.103] * 3
    found = forecast("predict", "tonight.csv", "--artifact", "store", "--encoding", "utf-8")
    assert (found.code, "not utf-8 text" in found.err) == (65, True)
    found = forecast("predict", "tonight.csv", "--artifact", "store", "--date-format", "%m/%d/%Y")
    assert (found.code, "does not lie on the grid MS" in found.err) == (65, True)


def test_backtest_and_score_need_no_flags_of_reading(forecast: Run, fitted: None) -> None:
    for words in ((), ("--date-format", "%d/%m/%Y")):
        found = forecast("backtest", "tonight.csv", "--artifact", "store", "--windows", 2, *words)
        assert found.code == 0, found.err
    assert forecast("predict", "--artifact", "store", "--output", "made.csv").code == 0
    words = ("score", "made.csv", "tonight.csv")
    found = forecast(*words, "--artifact", "store")
    assert found.code == 0, found.err
    assert "scored   3 forecasts" in found.err
    Path("store").rename("forecast-model")
    assert forecast(*words, "--artifact", "forecast-model").out == found.out
    assert forecast(*words, "--artifact", "nowhere").code == 66
    assert forecast(*words).code == 65, "only a store that is named is looked at"


def test_a_job_reads_as_the_fit_that_its_store_came_from(forecast: Run, fitted: None) -> None:
    Path("job.toml").write_text(JOB.format(more=""))
    for _ in range(2):
        found = forecast("run", "job.toml")
        assert found.code == 0, found.err
        assert "1103" in Path("out.csv").read_text(encoding="utf-8")


def test_a_job_whose_flags_change_fits_anew_and_keeps_to_them(forecast: Run, fitted: None) -> None:
    more = (
        'delimiter = ";"\nencoding = "cp1252"\nthousands = "."\n[table]\ndate_format = "%d/%m/%Y"\n'
    )
    Path("job.toml").write_text(JOB.format(more=more).replace('"store"', '"own"'))
    found = forecast("run", "job.toml", "--as-of", "2026-01-01")
    assert found.code == 0, found.err
    assert Forecaster.load("own").schema_.reading.thousands == "."
    Path("job.toml").write_text(
        Path("job.toml").read_text().replace('thousands = "."', 'decimal = "."')
    )
    found = forecast("run", "job.toml", "--as-of", "2026-01-02")
    assert "the settings changed" in found.err
    assert found.code == 5, "all values are a thousandth of what they were"
    found = forecast("run", "job.toml", "--accept")
    assert found.code == 0, found.err
    assert "1.103" in Path("out.csv").read_text(encoding="utf-8")


def test_a_table_with_one_series_a_row_keeps_its_flags_too(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [";".join(["id", *(f"V{i}" for i in range(40))])]
    rows += [";".join([one, *(f"1.{100 + i % 7}" for i in range(40))]) for one in "ab"]
    Path("rows.csv").write_text("\n".join([*rows, ""]))
    assert (
        forecast("fit", "rows.csv", "--thousands", ".", "--model", "last", "--horizon", 2).code == 0
    )
    assert forecast("predict", "rows.csv").frame["forecast"].tolist() == [1104.0] * 4

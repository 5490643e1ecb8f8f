"""A first column without a name is row numbers that are left out, or gets a name."""

from pathlib import Path

import pytest

from forecast.panel.tidying import tidied
from forecast.settings import TextSettings
from forecast.tables.reading import read_table


@pytest.mark.parametrize(
    ("content", "name"), [(",y\n2024-01-01,1\n", "time"), (",y\n0,1\n1,2\n", "index"), (",a,b\nx,1,2\n", "index")]
)
def test_other_unnamed_first_columns_are_kept_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str, name: str
) -> None:
    (tmp_path / "sales.csv").write_text(content)
    table = tidied(read_table(str(tmp_path / "sales.csv"), TextSettings()))
    assert table.frame.columns[0] == name
    assert f"called '{name}'" in caplog.text

"""Sums and paths that cannot be written are refused before any work."""

from pathlib import Path

import pytest

from tests.conftest import Run


@pytest.mark.parametrize(
    ("words", "setting", "problem"),
    [
        (
            ("--paths", 3),
            "--paths",
            "they are written beside the forecasts; name a file with --output",
        ),
        (
            ("--totals", "t.csv"),
            "--totals",
            "no sums are asked for; add --sum-by or --sum-every",
        ),
        (
            ("--sum-by", "all", "--totals", "o.csv", "--output", "o.csv"),
            "--totals",
            "the series are written there",
        ),
    ],
)
def test_sums_that_cannot_be_written_are_refused(
    forecast: Run,
    store: Path,
    tmp_path: Path,
    words: tuple[object, ...],
    setting: str,
    problem: str,
) -> None:
    placed = [tmp_path / word if str(word).endswith(".csv") else word for word in words]
    found = forecast("predict", "--artifact", store, *placed)
    assert found.code == 2
    assert f"{setting}: {problem}" in found.err.replace(f"{tmp_path}/", "")
    assert not list(tmp_path.iterdir())

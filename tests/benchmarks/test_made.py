"""The benchmark of made tables: what it measures is what was made."""

from pathlib import Path

import pytest

from benchmarks import made
from benchmarks.methods import NOW


def test_effects_that_were_made_are_measured_once(tmp_path: Path) -> None:
    results = tmp_path / "made.jsonl"
    families = ["one", "wrong-day", "few"]
    rows = {row["family"]: row for row in made.measure(results, families, NOW, 1, None)}
    assert rows["one"]["elasticity"] == pytest.approx(-1.5, abs=0.5)
    assert rows["one"]["promotion"] == pytest.approx(0.3, abs=0.15)
    assert rows["one"]["moved before"] == 0
    assert rows["wrong-day"]["error"] < 2
    assert 0 < rows["few"]["width of 10"] < 10
    assert list(made.measure(results, families, NOW, 1, None)) == []
    table = made.summary(made.read_rows(results))
    assert table.loc[("one", NOW, "error"), "count"] == 1


@pytest.mark.parametrize("family", ["replaced", "first", "signs", "shop"])
def test_new_series_are_made_and_forecast(family: str) -> None:
    made_of = made.FAMILIES[family]
    found = made_of(0, NOW, None)
    near = {"replaced": ("together", 1.0), "first": ("shop new", 0.0)}
    exact = {"signs": ("with signs", 0.0), "shop": ("sundays", 0.0)}
    for name, truth in (near | exact).items():
        if name == family:
            assert found[truth[0]] == pytest.approx(truth[1], abs=0.05 if name in near else 1e-9)

"""The verdict on a backtest, and the sections of a report on it."""

import pytest

from forecast.errors import BadData
from forecast.report.page import LineChart, PageTable
from forecast.report.sections import (
    BacktestTables,
    coverage_section,
    describe_accuracy,
    error_section,
)


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ((0.0, 0.0, None), "Exact on 2 origins, as seasonal naive is."),
        ((2e-16, 3e-16, -0.5), "Exact on 2 origins, as seasonal naive is."),
        ((1e-16, 0.2, None), "MASE 0.2 on 2 origins, where seasonal naive is exact."),
        ((0.5, 0.0, 1.0), "100 % less error than seasonal naive on 2 origins."),
    ],
)
def test_an_exact_forecast_is_said_to_be_exact(
    errors: tuple[float, float, float | None], verdict: str
) -> None:
    naive, own, skill = errors
    rows = [
        {"model": "seasonal-naive", "skill": 0.0, "mase": naive},
        {"model": "theta", "skill": skill, "mase": own},
    ]
    tables = {"overall": rows, "by_series": rows, "by_step": rows, "origins": ["a", "b"]}
    assert f"{describe_accuracy(BacktestTables(tables, 'tests.json'))}." == verdict


def test_the_verdict_names_series_that_are_forecast_worse_and_intervals_that_hold_too_few_values() -> (
    None
):
    whole = {"model": "theta", "skill": 0.26, "mase": 0.5, "coverage_80": 0.71, "coverage_95": 0.9}
    skills = {"a": 0.5, "b": -0.1, "c": -0.2, "d": -0.3, "e": -0.4, "f": 0.1}
    rows = [
        {"id": name, "model": "theta", "skill": skill, "mase": 0.5}
        for name, skill in skills.items()
    ]
    tables = {"overall": [whole], "by_series": rows, "by_step": [whole], "origins": ["x", "y"]}
    text = describe_accuracy(BacktestTables(tables, "tests.json"))
    assert text == (
        "26 % less error than seasonal naive on 2 origins, but more for 4 of 6 series (b, c, d, ...); "
        "80 % intervals held 71 %, 95 % intervals held 90 %, too few"
    )


def tables(**numbers: float | None) -> BacktestTables:
    """Two series and two steps, each with the same numbers."""
    rows = [
        {"model": model, "skill": skill, **numbers}
        for model, skill in (("seasonal-naive", 0.0), ("theta", 0.3))
    ]
    by_series = [{"shop": shop, **row} for shop in ("a", "b") for row in rows]
    by_step = [{"step": step, **row} for step in (1, 2) for row in rows]
    found = {"overall": rows, "by_series": by_series, "by_step": by_step, "origins": ["x", "y"]}
    return BacktestTables(found, "tests.json")


def test_sections_have_the_numbers_of_the_tables_and_what_is_no_measure_is_blank() -> None:
    section = error_section(tables(mase=0.5, wape=None))
    overall, chart = section.parts[1:3]
    assert isinstance(overall, PageTable)
    assert overall.head == ("model", "skill", "MASE", "WAPE")
    assert overall.rows[1] == ("theta", 0.3, 0.5, None)
    assert isinstance(chart, LineChart)
    assert chart.lines == {"seasonal-naive": [0.5, 0.5], "theta": [0.5, 0.5]}
    held = coverage_section(tables(coverage_80=0.75, coverage_95=0.9)).parts[2]
    assert isinstance(held, LineChart)
    assert (held.lines, held.targets) == ({"80 %": [0.75, 0.75], "95 %": [0.9, 0.9]}, (0.8, 0.95))


def test_errors_are_those_of_the_first_model_that_is_not_the_reference() -> None:
    found = tables(mase=0.5)
    assert (found.model, found.steps, found.ids) == ("theta", 2, {("a",), ("b",)})
    assert found.errors == {("a",): 0.5, ("b",): 0.5}


@pytest.mark.parametrize(
    "found", [None, [], {}, {"overall": 3}, {"overall": [{}], "by_series": [{}]}]
)
def test_another_file_is_refused(found: object) -> None:
    with pytest.raises(BadData, match=r"tests.json: has no measures of a backtest"):
        BacktestTables(found, "tests.json")

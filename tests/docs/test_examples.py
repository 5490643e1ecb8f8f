"""Blocks that are no commands, and the example scripts, are run or compared with the code."""

import doctest
import importlib
import json
import sqlite3
import tomllib
from contextlib import closing
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forecast as package
from forecast import Forecaster
from forecast.jobs.pipeline import SECTIONS, JobSettings
from forecast.jobs.record import Record
from forecast.panel.infer import read
from forecast.settings import TableSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import Run
from tests.docs._blocks import Block
from tests.docs._pages import ROOT, blocks_of_pages
from tests.docs._shrinking import short_pipeline, short_python
from tests.docs._standins import python_names

SERVING = ("airflow_dag.py", "serve.py")  # tests/docs/test_serving.py runs these
SCRIPTS = sorted((ROOT / "docs" / "examples").glob("*.py"))
FIRST, *OTHERS = [path for path in SCRIPTS if path.name not in SERVING]
EXAMPLES = [FIRST, *(pytest.param(path, marks=pytest.mark.slow) for path in OTHERS)]
LANGUAGES = ("python", "toml", "sql")  # that a test below runs
# other blocks, by how they begin, and why they are not run
SHOWN = {
    "table -> panel": "a picture",
    "cli/predict.py  ": "a list of calls, which test_way compares with a run",
    "faces  ": "a picture, which test_pages compares with the contract",
    "columns  typical effect": "a line of what fit says",
    "largest": "parts of files, which do not run by themselves, as are the next three",
    "Option(": "the same",
    "def largest": "the same",
    "def test_the_largest": "the same",
    "class _Places": "parts of two files, which do not run by themselves",
    "apt-get install chromium": "it installs a browser, which only tests/browser needs",
    '{"id": ': "a record, which a test below compares with the code",
    "[build-system]": "a package, which tests/test_registry.py installs",
    "date,name,": "a table of events, which a test below reads",
    "start,end,name,": "the same",
    "shop,product,replaces,": "a table of successors, which a test below reads",
    "shop,from,to,value,": "a table of overrides, which a test below reads",
    "region,shop,period,total,": "a table of sums, which a test below reads",
    "shop,lead_time,review,": "a table of the stock, which a test below reads",
    "overrides_by  ": "what status says of ten weeks, which tests/jobs/test_overrides.py runs",
    "date,load,temperature,available_at": "a table of vintages, which a test below reads",
    "effects  ": "a line that a fit prints of a table that is not shipped",
    "closed  ": "the same",
}


def beginning(start: str) -> list[Block]:
    return [block for _, block in blocks_of_pages() if block.text.startswith(start)]


def is_toml(block: Block) -> bool:
    """Whether an indented block is a pipeline file or a part of one."""
    try:
        return block.language is None and bool(tomllib.loads(block.text))
    except tomllib.TOMLDecodeError:
        return False


def test_every_block_is_run_or_has_a_reason_why_not() -> None:
    for page, block in blocks_of_pages():
        known = block.is_commands or block.language in LANGUAGES or is_toml(block)
        assert known or block.text.startswith(tuple(SHOWN)), (
            f"{page} line {block.line}: neither commands nor {LANGUAGES}; run it, or add it to SHOWN with a reason"
        )
    assert [start for start in SHOWN if not beginning(start)] == []


def test_python_examples_run(checkout: Path) -> None:
    examples = [(page, block) for page, block in blocks_of_pages() if block.language == "python"]
    assert examples
    for page, block in examples:
        if block.text.startswith("import mlflow"):
            continue  # tests/test_mlflow.py does this where MLflow is installed
        code = compile("\n" * (block.line - 1) + short_python(block.text), page, "exec")
        exec(code, python_names())


def test_pipeline_examples_run(checkout: Path, forecast: Run) -> None:
    examples = [
        block for _, block in blocks_of_pages() if block.language == "toml" or is_toml(block)
    ]
    assert examples
    for block in examples:
        found = tomllib.loads(block.text)
        if {"source", "sink"} <= set(found):
            Path("job.toml").write_text(short_pipeline(block.text), encoding="utf-8")
            ended = forecast("run", "job.toml")
            assert ended.code == 0, ended.err
        for name, value in found.items():
            group, tables = (
                SECTIONS.get(name, JobSettings),
                value if isinstance(value, list) else [value],
            )
            assert all(
                set(each if name in SECTIONS else [name]) <= set(group.model_fields)
                for each in tables
            )


def test_queries_find_rows_in_the_database_of_the_job(checkout: Path, forecast: Run) -> None:
    queries = [block.text for _, block in blocks_of_pages() if block.language == "sql"]
    assert queries
    assert forecast("run", "pipelines/database.toml", "--as-of", "2010-02-01").code == 0
    assert forecast("run", "pipelines/database.toml", "--as-of", "2010-03-01").code == 0
    for query in queries:
        with closing(sqlite3.connect("pipelines/output/forecasts.db")) as database, database:
            assert database.execute(query).fetchall(), query


def test_the_record_has_the_keys_of_a_record() -> None:
    (block,) = beginning('{"id": ')
    record = json.loads(block.text.replace(", …}", "}"))
    assert set(record) <= set(Record.model_fields)


def test_the_table_of_events_is_one(panel_frame: pd.DataFrame, tmp_path: Path) -> None:
    for start in ("date,name,", "start,end,name,"):
        (block,) = beginning(start)
        events = tmp_path / "events.csv"
        events.write_text(block.text, encoding="utf-8")
        named = panel_frame.replace({"shop": {"s001": "Berlin", "s002": "Bonn"}})
        fitted = Forecaster(
            model="last", horizon=2, id="shop", target="units", events=str(events)
        ).fit(named)
        assert len(fitted.schema_.dated_events) == len(block.lines) - 1


def test_the_table_of_successors_is_one(tmp_path: Path) -> None:
    (block,) = beginning("shop,product,replaces,like,from,share")
    rows = tmp_path / "successors.csv"
    rows.write_text(block.text, encoding="utf-8")
    names = ("Bonn/tea 400 g", "Bonn/herbal tea", "Bonn/cocoa", "Bonn/tea 500 g")
    days = pd.date_range("2024-04-01", "2024-06-10").strftime("%Y-%m-%d")
    frame = pd.DataFrame({"day": [*days] * 4, "name": np.repeat(names, len(days)), "units": 5.0})
    frame = frame[~frame["name"].str.contains("500") | (frame["day"] >= "2024-06-03")]
    frame[["shop", "product"]] = frame.pop("name").str.split("/", expand=True)
    how = {"model": "last", "horizon": 14, "id": ("shop", "product"), "target": "units"}
    table = Forecaster(**how, successors=str(rows)).fit(frame).predict()
    assert set(table["product"]) == {"tea 500 g", "cocoa"}
    assert set(table["shop"]) == {"Bonn", "Ulm"}


def test_the_table_of_overrides_is_one(tmp_path: Path) -> None:
    (block,) = beginning("shop,from,to,value,")
    overrides = tmp_path / "people.csv"
    overrides.write_text(block.text, encoding="utf-8")
    days = pd.date_range("2026-09-01", "2026-12-20").strftime("%Y-%m-%d")
    week = np.arange(len(days)) % 7
    parts = [
        pd.DataFrame({"shop": name, "day": days, "y": 100 + week}) for name in ("Berlin", "Bonn")
    ]
    model = Forecaster(model="seasonal-naive", horizon=14, id="shop").fit(pd.concat(parts))
    table = model.set_params(overrides=str(overrides)).predict()
    found = table.set_index(["shop", "day"])["forecast"].unstack("shop")
    assert found.loc["2026-12-24", "Berlin"] == 0
    assert (found.loc["2026-12-25":"2026-12-26"] == 80).all(axis=None)
    assert found.loc["2026-12-28", "Berlin"] == pytest.approx(1.2 * found.loc["2026-12-28", "Bonn"])


def test_the_table_of_sums_is_one(tmp_path: Path) -> None:
    (block,) = beginning("region,shop,period,total,")
    overrides = tmp_path / "people.csv"
    overrides.write_text(block.text, encoding="utf-8")
    days = pd.date_range("2026-09-07", "2026-12-31").strftime("%Y-%m-%d")
    week = np.arange(len(days)) % 7
    shops = {"Bonn": ("south", 2), "Ulm": ("south", 4), "Kiel": ("north", 8)}
    parts = [
        pd.DataFrame({"shop": shop, "region": region, "day": days, "y": share * (1 + week)})
        for shop, (region, share) in shops.items()
    ]
    model = Forecaster(model="seasonal-naive", horizon=31, id="shop", static="region")
    before = model.fit(pd.concat(parts)).predict().groupby("shop")["forecast"].sum()
    after = model.set_params(overrides=str(overrides)).predict().groupby("shop")["forecast"].sum()
    assert after["Ulm"] == before["Ulm"]
    assert after["Bonn"] == pytest.approx(1000 - before["Ulm"])
    assert after.sum() == pytest.approx(1.05 * (1000 + before["Kiel"]))


def test_the_table_of_vintages_is_one() -> None:
    (block,) = beginning("date,load,temperature,available_at")
    table = table_from_frame(pd.read_csv(StringIO(block.text)))
    panel = read(
        table, TableSettings(target=("load",), known=("temperature",), freq="D"), horizon=2
    ).panel
    assert panel.vintages is not None
    assert panel.known[-2:, 0].tolist() == [3.0, 1.8]


def test_examples_in_docstrings_print_what_they_show() -> None:
    modules = {
        importlib.import_module(getattr(package, name).__module__) for name in package.__all__
    }
    results = [doctest.testmod(module) for module in modules]
    assert sum(result.attempted for result in results) >= 8
    assert sum(result.failed for result in results) == 0


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_script_runs_short(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    code = compile(short_python(path.read_text(encoding="utf-8")), str(path), "exec")
    exec(code, {"__name__": "__main__"})

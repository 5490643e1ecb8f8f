"""A sink or a source is one file: dropped into its folder, its key works in pipeline files, messages and Python."""

import hashlib
import json
from collections.abc import Callable

import pytest

from tests.conftest import PackageCopy
from tests.jobs.a_job import Job

SINK = '''"""A file of JSON lines, an object for each forecast."""

from pathlib import Path
from typing import Any

from pydantic import Field

from forecast.durable import make_directory, replace_file
from forecast.errors import UsageError
from forecast.jobs.kinds import Results, SinkKeys
from forecast.panel.schema import Schema
from forecast.settings import FilePath, OutputSettings
from forecast.tables.table import Table


class Settings(SinkKeys):
    """Keys of [sink] for JSON lines."""

    lines: FilePath = Field(description="a .jsonl file, replaced all at once")


def check(sink: Settings, schema: Schema, table: Table, output: OutputSettings, ids=(), texts=()) -> str:
    if not sink.lines.endswith(".jsonl"):
        raise UsageError(f"{sink.lines}: JSON lines are written to a .jsonl file")
    return f"{sink.lines} can be written"


def write(sink: Settings, results: Results, *beside: tuple[Settings, Results]) -> dict[str, Any]:
    for place, each in ((sink, results), *beside):
        make_directory(Path(place.lines).parent)
        replace_file(place.lines, each.frame.to_json(orient="records", lines=True).encode())
    return {"rows": len(results.frame)}
'''

SOURCE = '''"""A file of JSON lines."""

import hashlib
import io
from dataclasses import replace
from pathlib import Path

import pandas as pd
from pydantic import Field

from forecast.settings import FilePath, SettingsGroup
from forecast.tables.reading import table_from_frame


class Settings(SettingsGroup):
    """Keys of [source] for JSON lines."""

    records: FilePath = Field(description="a .jsonl file")


def read(source, text):
    data = Path(source.records).read_bytes()
    table = table_from_frame(pd.read_json(io.BytesIO(data), lines=True), source.records)
    return replace(table, sha256=hashlib.sha256(data).hexdigest()), {}
'''

API = """
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.run import run_job
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sources import SourceSettings
from forecast.settings import TrainSettings

train = TrainSettings(model="seasonal-naive", horizon=7)
source, sink = SourceSettings(path="sales.csv"), SinkSettings(lines="python.jsonl")
print(run_job(Pipeline(name="job", store="other", source=source, sink=sink, train=train)).output)
"""


Run = Callable[..., str]


@pytest.fixture
def run(job: Job, package: PackageCopy) -> Run:
    """Run the job with a copy of the package that has two more files; returns what it writes."""
    package.add("forecast/jobs/sinks/lines.py", SINK)
    package.add("forecast/jobs/sources/records.py", SOURCE)

    def run(*commands: tuple[str, ...]) -> list[str]:
        return [f"{ran.code} {ran.out}{ran.err}" for ran in package.ran(*commands, cwd=job.folder)]

    return run


def test_a_new_file_is_a_source_everywhere(job: Job, run: Run) -> None:
    job.table().to_json(job.folder / "sales.jsonl", orient="records", lines=True)
    text = job.file.read_text()
    texts = {
        "typo": 'record = "sales.jsonl"',
        "both": 'path = "sales.csv"\nrecords = "sales.jsonl"',
        "job": 'records = "sales.jsonl"',
    }
    for name, lines in texts.items():
        (job.folder / f"{name}.toml").write_text(text.replace('path = "sales.csv"', lines))
    typo, both, checked, ran = run(
        ("run", "typo.toml"),
        ("run", "both.toml"),
        ("run", "job.toml", "--check"),
        ("run", "job.toml"),
    )
    assert typo.startswith("2 ")
    assert "unknown key 'record'; did you mean 'records' in [source]?" in typo
    assert both.startswith("2 ")
    assert "[source] give either path, or records, or url and sql" in both
    assert f"reads {job.folder}/sales.jsonl" in checked
    assert ran.startswith("0 ")
    digest = hashlib.sha256((job.folder / "sales.jsonl").read_bytes()).hexdigest()
    assert job.record()["input"] == {
        "name": f"{job.folder}/sales.jsonl",
        "rows": 400,
        "sha256": digest,
    }


REFUSED = {
    'line = "out/new.jsonl"': "unknown key 'line'; did you mean 'lines' in [sink]?",
    "": "[sink] give it lines, or path, or url and table",
    'lines = "sales.csv"': "[sink] lines ",  # it would replace the source
    'lines = "new.txt"': "JSON lines are written to a .jsonl file",
}


def test_a_new_file_is_a_sink_everywhere(job: Job, run: Run) -> None:
    text = job.file.read_text()
    for place, lines in enumerate(REFUSED):
        other = text.replace('path = "out.csv"', lines).replace('"store"', f'"store-{place}"')
        (job.folder / f"refused-{place}.toml").write_text(other)
    job.write(sink='lines = "out/new.jsonl"\nurl = "sqlite:///f.db"\ntable = "f"')
    job.file.write_text(job.file.read_text() + '[[totals]]\nby = "all"\nlines = "out/sums.jsonl"\n')
    refused = [("run", f"refused-{place}.toml") for place in range(len(REFUSED))]
    fitted = "from pathlib import Path; print(list(Path().glob('store*/v-*')))"
    schema, *ends, versions, checked, ran, api = run(
        ("run", "--schema"),
        *refused,
        ("-c", fitted),
        ("run", "job.toml", "--check"),
        ("run", "job.toml"),
        ("-c", API),
    )
    keys = json.loads(schema.removeprefix("0 "))["$defs"]["SinkSettings"]["properties"]
    assert keys["lines"]["description"] == "a .jsonl file, replaced all at once"
    for end, message in zip(ends, REFUSED.values(), strict=True):
        assert end.startswith("2 ")
        assert message in end
    assert versions == "0 []\n", "nothing was fitted"
    assert "out/new.jsonl can be written" in checked
    assert f"to {job.folder}/out/new.jsonl and " in ran
    rows = [
        json.loads(line) for line in (job.folder / "out" / "new.jsonl").read_text().splitlines()
    ]
    assert [*rows[0]] == ["shop", "day", "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert len(rows) == 14
    assert len((job.folder / "out" / "sums.jsonl").read_text().splitlines()) == 7
    assert job.output.exists()
    assert job.record()["output"]["lines"] == f"{job.folder}/out/new.jsonl"
    assert "'lines': 'python.jsonl'" in api
    assert len((job.folder / "python.jsonl").read_text().splitlines()) == 14


FAILING = """    raise {"exit": SystemExit(0), "pipe": BrokenPipeError(32, "Broken pipe")}[Path(sink.lines).stem]
"""


def test_a_sink_that_exits_or_whose_pipe_breaks_ends_the_run_with_an_error(
    job: Job, package: PackageCopy
) -> None:
    before, written = SINK.split("    for place, each in")
    package.add(
        "forecast/jobs/sinks/lines.py", before + FAILING + "    for place, each in" + written
    )
    for code, name, problem in (
        (1, "exit", "this is a bug of forecast: SystemExit: 0"),
        (74, "pipe", "input or output: Broken pipe"),
    ):
        job.write(sink=f'lines = "{name}.jsonl"')
        (ran,) = package.ran(("run", "job.toml"), cwd=job.folder)
        assert ran.code == code
        assert problem in ran.err
        assert job.record()["exit_code"] == code
        assert problem in job.record()["error"]
        assert job.ledger("SELECT exit_code FROM forecast_runs ORDER BY as_of")[-1] == (code,)

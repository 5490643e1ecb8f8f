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


def check(sink: Settings, schema: Schema, table: Table, output: OutputSettings) -> str:
    if not sink.lines.endswith(".jsonl"):
        raise UsageError(f"{sink.lines}: JSON lines are written to a .jsonl file")
    return f"{sink.lines} can be written"


def write(sink: Settings, results: Results) -> dict[str, Any]:
    make_directory(Path(sink.lines).parent)
    replace_file(sink.lines, results.frame.to_json(orient="records", lines=True).encode())
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

IN_PYTHON = """
from forecast.jobs.pipeline import Pipeline
from forecast.jobs.run import run_job
from forecast.jobs.sinks import SinkSettings
from forecast.jobs.sources import SourceSettings
from forecast.settings import TrainSettings

train = TrainSettings(model="seasonal-naive", horizon=7)
source, sink = SourceSettings(path="sales.csv"), SinkSettings(lines="python.jsonl")
print(run_job(Pipeline(name="job", store="other", source=source, sink=sink, train=train)).output)
"""


@pytest.fixture
def run(job: Job, package: PackageCopy) -> Callable[..., str]:
    """Run Python with a copy of the package that has two more files; returns its output."""
    package.add("forecast/jobs/sinks/lines.py", SINK)
    package.add("forecast/jobs/sources/records.py", SOURCE)

    def run(*words: str, code: int = 0) -> str:
        ran = package.run(*words, code=code, cwd=job.folder)
        return ran.out + ran.err

    return run


COMMAND = ("-m", "forecast", "run")


def test_a_new_file_is_a_source_everywhere(job: Job, run: Callable[..., str]) -> None:
    job.table().to_json(job.folder / "sales.jsonl", orient="records", lines=True)
    text = job.file.read_text()
    job.file.write_text(text.replace('path = "sales.csv"', 'record = "sales.jsonl"'))
    assert "unknown key 'record'; did you mean 'records' in [source]?" in run(*COMMAND, "job.toml", code=2)
    job.file.write_text(text.replace('path = "sales.csv"', 'path = "sales.csv"\nrecords = "sales.jsonl"'))
    assert "[source] give either path, or records, or url and sql" in run(*COMMAND, "job.toml", code=2)
    job.file.write_text(text.replace('path = "sales.csv"', 'records = "sales.jsonl"'))
    assert f"reads {job.folder}/sales.jsonl" in run(*COMMAND, "job.toml", "--check")
    run(*COMMAND, "job.toml")
    digest = hashlib.sha256((job.folder / "sales.jsonl").read_bytes()).hexdigest()
    assert job.record()["input"] == {"name": f"{job.folder}/sales.jsonl", "rows": 400, "sha256": digest}


def test_a_new_file_is_a_sink_everywhere(job: Job, run: Callable[..., str]) -> None:
    keys = json.loads(run(*COMMAND, "--schema"))["$defs"]["SinkSettings"]["properties"]
    assert keys["lines"]["description"] == "a .jsonl file, replaced all at once"
    text = job.file.read_text()
    job.file.write_text(text.replace('path = "out.csv"', 'line = "out/new.jsonl"'))
    assert "unknown key 'line'; did you mean 'lines' in [sink]?" in run(*COMMAND, "job.toml", code=2)
    job.file.write_text(text.replace('path = "out.csv"', ""))
    assert "[sink] give it lines, or path, or url and table" in run(*COMMAND, "job.toml", code=2)
    job.file.write_text(text.replace('path = "out.csv"', 'lines = "sales.csv"'))
    assert "[sink] lines " in run(*COMMAND, "job.toml", code=2), "it would replace the source"
    job.file.write_text(text.replace('path = "out.csv"', 'lines = "new.txt"'))
    assert "JSON lines are written to a .jsonl file" in run(*COMMAND, "job.toml", code=2)
    assert not list(job.store.glob("v-*")), "nothing was fitted"
    job.write(sink='lines = "out/new.jsonl"\nurl = "sqlite:///f.db"\ntable = "f"')
    assert "out/new.jsonl can be written" in run(*COMMAND, "job.toml", "--check")
    assert f"to {job.folder}/out/new.jsonl and " in run(*COMMAND, "job.toml")
    rows = [json.loads(line) for line in (job.folder / "out" / "new.jsonl").read_text().splitlines()]
    assert [*rows[0]] == ["shop", "day", "forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
    assert len(rows) == 14
    assert job.output.exists()
    assert job.record()["output"]["lines"] == f"{job.folder}/out/new.jsonl"
    assert "'lines': 'python.jsonl'" in run("-c", IN_PYTHON)
    assert len((job.folder / "python.jsonl").read_text().splitlines()) == 14

"""Pipeline files: keys are the settings, a wrong one is answered with the right one, and no output is what is read."""

import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from forecast.errors import UsageError
from forecast.jobs.pipeline import SECTIONS, JobSettings, Pipeline, read_pipeline
from tests.jobs.a_job import Job, kept_files
from tests.jobs.test_run import Run

SHIPPED = Path(__file__).parents[2] / "pipelines"


@pytest.mark.parametrize(
    ("top", "sections", "said"),
    [
        ("refitt = 'weekly'", {}, "unknown key 'refitt'; did you mean 'refit' at the top"),
        ("horizon = 7", {}, "'horizon'; it belongs in [train]"),
        (
            "",
            {"train": "seasn = 7"},
            "[train] unknown key 'seasn'; did you mean 'season' in [table]?",
        ),
        (
            "",
            {"trian": "steps = 7"},
            "'trian'; did you mean 'train' at the top level, as a table: [train]?",
        ),
        ("", {"train": "steps = 0"}, "[train] steps=0"),
        ("", {"train": "steps = 'many'"}, "[train] steps='many'"),
        ("refit = 'monthly'", {}, "refit='monthly'"),
        ("refit = 0", {}, "refit=0: it is never, daily"),
        ("", {"checks": "warn_after = '3d'\nerror_after = '2d'"}, "lies beyond error_after"),
        ("", {"sink": "table = 'f'"}, "url and table go together"),
        ("", {"source": "sql = 'SELECT 1'"}, "give either path, or url and sql"),
        (
            "store = '${NO_SUCH_VARIABLE}'",
            {},
            "store: the environment variable NO_SUCH_VARIABLE is not set",
        ),
        (
            "",
            {"checks": "warn_after = '3 moons'"},
            "[checks] warn_after='3 moons': a duration is written as",
        ),
        ("ledger = 'sink'", {}, 'ledger = "sink" needs'),
        ("store = 3", {}, "store"),
        ("as_of = 'yesterday'", {}, "as_of yesterday: is not a time"),
        ("[[train]]", {}, "not valid TOML"),
        ("keep = true", {}, "keep cannot be true or false"),
        ("", {"output": "levels = true"}, "[output] levels cannot be true or false"),
        (
            "",
            {"source": "future = ''"},
            "[source] future='': string should have at least 1 character",
        ),
        ("as_of = 12:30:00", {}, "as_of 12:30:00: is not a time"),
    ],
)
def test_a_wrong_file_ends_with_2_and_says_what_was_meant(
    job: Job, forecast: Run, top: str, sections: dict[str, str], said: str
) -> None:
    text = job.write(top, **sections).read_text()
    if top.startswith("store"):
        job.file.write_text(text.replace('store = "store"\n', ""))
    ran = forecast("run", job.file)
    assert ran.code == 2, ran.err
    assert said in ran.err
    assert not job.store.exists()


@pytest.mark.parametrize("missing", ["source", "sink"])
def test_source_and_sink_are_needed(job: Job, forecast: Run, missing: str) -> None:
    text = job.file.read_text()
    job.file.write_text(text.replace(f"[{missing}]\npath", f"[{'output'}]\n# path"))
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert f"the table [{missing}] is missing" in ran.err


def test_an_unknown_model_is_refused_before_a_night(job: Job, forecast: Run) -> None:
    job.file.write_text(job.file.read_text().replace("seasonal-naive", "segrn"))
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert "did you mean 'segrnn'" in ran.err


@pytest.mark.parametrize("words", [("--check",), ()])
def test_an_unknown_knob_is_refused_before_the_source_is_read(
    job: Job, forecast: Run, words: tuple[str, ...]
) -> None:
    job.write(train="params = {hidden_sice = 8}")
    job.file.write_text(
        job.file.read_text().replace("seasonal-naive", "gru").replace("sales.csv", "nowhere.csv")
    )
    ran = forecast("run", job.file, *words)
    assert ran.code == 2
    assert "did you mean 'hidden_size'" in ran.err


def test_no_file_and_no_name(forecast: Run, tmp_path: Path) -> None:
    assert forecast("run", tmp_path / "none.toml").code == 66
    assert forecast("run").code == 2


def test_check_says_what_a_job_does_and_does_nothing(job: Job, forecast: Run) -> None:
    ran = forecast("run", job.file, "--check")
    assert ran.code == 0
    assert "refits weekly" in ran.err
    assert not job.store.exists()


def test_the_schema_names_every_key(forecast: Run) -> None:
    schema = json.loads(forecast("run", "--schema").out)
    assert set(schema["properties"]) == {*JobSettings.model_fields, *SECTIONS}
    assert "horizon" in schema["$defs"]["TrainSettings"]["properties"]
    assert schema["additionalProperties"] is False


def test_variables_are_read_from_the_environment(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALES", "sales.csv")
    job.file.write_text(job.file.read_text().replace("sales.csv", "${SALES}"))
    assert read_pipeline(str(job.file)).source.path == str(job.folder / "sales.csv")


def test_paths_start_at_the_folder_of_the_file(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.write(sink='url = "sqlite:///f.db"\ntable = "t"')
    monkeypatch.chdir("/")
    found = read_pipeline(str(job.file))
    assert found.store == str(job.store)
    assert found.sink.path == str(job.output)
    assert found.sink.url == f"sqlite:///{job.folder}/f.db"
    assert found.name == "job"


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_pipelines_run_on_the_sample_data(
    file: Path, tmp_path: Path, forecast: Run
) -> None:
    text = file.read_text(encoding="utf-8").replace("../data", str(SHIPPED.parent / "data"))
    steps = "steps = 2\nbaselines = 'seasonal-naive'"
    text = (
        text.replace("budget = 60", steps) if "[train]" in text else f"{text}\n[train]\n{steps}\n"
    )
    (tmp_path / file.name).write_text(text, encoding="utf-8")
    ran = forecast("run", tmp_path / file.name)
    assert ran.code == 0, ran.err
    written = tomllib.loads(text)["sink"]
    output = tmp_path / written.get("path", written.get("url", "").removeprefix("sqlite:///"))
    assert output.stat().st_size > 100


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_pipelines_run_as_they_stand(file: Path, tmp_path: Path, forecast: Run) -> None:
    text = file.read_text(encoding="utf-8").replace("../data", str(SHIPPED.parent / "data"))
    (tmp_path / file.name).write_text(text, encoding="utf-8")
    assert forecast("run", tmp_path / file.name).code == 0


def test_a_pipeline_is_not_made_in_pieces() -> None:
    with pytest.raises(UsageError, match="unknown setting"):
        Pipeline.check({"no": 1})


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('store = "store"', 'store = "st\\u0000re"', "store: holds a NUL character"),
        ('"sales.csv"', '"sal\\u0000es.csv"', "[source] path: holds a NUL character"),
        ('"out.csv"', '"o\\u0000ut.csv"', "[sink] path: holds a NUL character"),
        (
            'store = "store"',
            f'store = "store"\nname = "{"x" * 2_000}"',
            "at most 1000 characters",
        ),
    ],
)
def test_a_text_that_no_file_or_name_can_be_is_refused(
    job: Job, forecast: Run, old: str, new: str, said: str
) -> None:
    file = job.write()
    file.write_text(file.read_text().replace(old, new))
    ran = forecast("run", file)
    assert ran.code == 2
    assert "job.toml: " in ran.err
    assert said in ran.err


def test_a_file_without_an_end_is_no_pipeline(forecast: Run) -> None:
    found = forecast("run", "/dev/zero", "--check")
    assert found.code == 2
    assert "is it a pipeline file?" in found.err


def test_a_byte_order_mark_and_dates_without_quotes_are_read(job: Job) -> None:
    text = job.write("as_of = 2024-06-01").read_text(encoding="utf-8")
    job.file.write_text(text, encoding="utf-8-sig")
    assert read_pipeline(str(job.file)).as_of == "2024-06-01"


@pytest.mark.parametrize(
    ("sink", "said"),
    [
        ("sales.csv", "is the table of [source] path"),
        ("link.csv", "is the table of [source] path"),
        ("job.toml", "is the pipeline file"),
        ("store/CURRENT", "would replace a file of the store"),
        ("store/v-1/out.csv", "would replace a file of the store"),
        ("store.runs/ledger.db", "would replace a file of the store"),
    ],
)
def test_a_sink_that_is_read_is_refused_and_kept(
    job: Job, forecast: Run, at: Callable[[int], str], sink: str, said: str
) -> None:
    job.write()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    os.symlink("sales.csv", job.folder / "link.csv")
    job.file.write_text(job.file.read_text().replace("out.csv", sink))
    before = kept_files(job.folder)
    for words in (["--as-of", at(151)], ["--check"]):
        ran = forecast("run", job.file, *words)
        assert ran.code == 2
        assert f"[sink] path {job.folder / sink} {said}" in ran.err
    assert kept_files(job.folder) == before


def test_an_output_of_a_run_is_no_file_that_it_reads(
    job: Job, forecast: Run, at: Callable[[int], str]
) -> None:
    job.write()
    before = job.file.read_bytes()
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.file)
    assert ran.code == 2
    assert "is the pipeline file" in ran.err
    assert job.file.read_bytes() == before


def test_a_sink_may_lie_in_the_folder_of_the_store_beside_its_files(
    job: Job, forecast: Run, at: Callable[[int], str]
) -> None:
    job.write()
    job.file.write_text(job.file.read_text().replace("out.csv", "store/out.csv"))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0

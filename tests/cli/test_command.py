"""A setting that is given counts as given, with its default value too."""

from collections.abc import Callable
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData
from forecast.settings import BacktestSettings, TableSettings, TrainSettings
from tests.conftest import Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]  # fixtures

KEPT = {
    "model",
    "jobs",
    "device",
    "engine",
    "strict",
    "on_duplicate",
    "unfinished",
    "windows",
    "step",
}  # a saved forecaster takes them


def _table(folder: Path, twice: bool = False) -> Path:
    frame = pd.DataFrame(
        {"day": pd.date_range("2024-01-01", periods=40), "units": np.arange(40.0) % 7}
    )
    path = folder / f"{'twice' if twice else 'plain'}.csv"
    pd.concat([frame, frame.tail(1)] if twice else [frame]).to_csv(path, index=False)
    return path


def test_a_flag_with_its_default_value_overrides_what_the_fit_was_given(
    forecast: Run, tmp_path: Path
) -> None:
    twice, store = _table(tmp_path, twice=True), tmp_path / "s"
    fitted = forecast(
        "fit", twice, "--artifact", store, *split("--model last --horizon 3 --on-duplicate last")
    )
    assert fitted.code == 0, fitted.err
    assert forecast("predict", twice, "--artifact", store).code == 0
    for command in ("predict", "backtest"):
        refused = forecast(command, twice, "--artifact", store, "--on-duplicate", "error")
        assert refused.code == 65
        assert "comes twice" in refused.err


def test_every_flag_with_its_default_value_is_refused_where_it_would_be_refused(
    forecast: Run, store: Path, passengers: Path
) -> None:
    fields = {
        **TrainSettings.model_fields,
        **TableSettings.model_fields,
        **BacktestSettings.model_fields,
    }
    for name in sorted(fields.keys() - KEPT):
        default, flag = (
            fields[name].get_default(call_default_factory=True),
            f"--{name.replace('_', '-')}",
        )
        if default in (None, ()):  # no value on the command line stands for it
            continue
        value = ",".join(default) if isinstance(default, tuple) else default
        words = (
            [flag if default else f"--no-{flag[2:]}"]
            if isinstance(default, bool)
            else [flag, value]
        )
        refused = forecast("backtest", passengers, "--artifact", store, *words)
        assert refused.code == 2, (name, refused.err)
        assert f"{flag}: --artifact tests" in refused.err


def test_a_parameter_with_its_default_value_counts_for_a_loaded_forecaster(tmp_path: Path) -> None:
    frame = pd.read_csv(_table(tmp_path, twice=True))
    Forecaster(model="last", horizon=3, on_duplicate="last").fit(frame).save(str(tmp_path / "s"))
    loaded = Forecaster.load(str(tmp_path / "s"))
    assert len(loaded.predict(frame)) == 3
    with pytest.raises(BadData, match="comes twice"):
        loaded.set_params(on_duplicate="error").predict(frame)


def test_a_job_reads_as_its_version_does_unless_its_file_says_otherwise(
    job: Job, forecast: Run, at: Callable[[int], str]
) -> None:
    frame = job.table(150)
    pd.concat([frame, frame.tail(1)]).to_csv(job.folder / "sales.csv", index=False)
    words = ("--horizon", 7, "--model", "seasonal-naive", "--on-duplicate", "last")
    assert forecast("fit", job.folder / "sales.csv", "--artifact", job.store, *words).code == 0
    job.write(top='refit = "never"')
    future = pd.Timestamp.now(tz="UTC").strftime("%Y-%m-%dT%H:%M:%S+00:00")
    ran = forecast("run", job.file, "--as-of", future)
    assert ran.code == 0, ran.err
    job.write(top='refit = "never"', table='on_duplicate = "error"')
    assert forecast("run", job.file, "--as-of", future).code == 65


@pytest.mark.parametrize(
    "words",
    [
        ("now", ""),
        ("predict", "--artifact", ""),
        ("predict", "--future", ""),
        ("fit", "t.csv", "--events", ""),
    ],
)
def test_an_empty_path_is_refused(forecast: Run, words: tuple[str, ...], tmp_path: Path) -> None:
    ran = forecast(*words)
    assert ran.code == 2
    assert "the path is empty" in ran.err

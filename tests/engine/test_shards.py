"""A table that is forecast in parts: the same numbers as all at once, the same bytes on any engine, all or nothing."""

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path
from shlex import split
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.requests import ForecastRequest, TableFile
from forecast.engine.shards import ShardedForecast, forecast_shards, plan_shards
from forecast.errors import Busy, ForecastError, StorageFailure, Unavailable, UsageError
from forecast.inference.forecasting import load_predictor
from forecast.parallel import cluster, side_by_side
from forecast.settings import TextSettings
from forecast.tables import storage
from tests.conftest import Run

LEVEL = 20.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and its table as two files of Parquet; some series end early, and one has no value."""
    place = tmp_path_factory.mktemp("parts")
    rng = np.random.default_rng(0)
    frames = []
    for number in range(20):
        days = pd.date_range("2024-01-01", periods=60 - number // 2)
        units = LEVEL + number + np.arange(len(days)) % 7 + rng.normal(size=len(days))
        frames.append(pd.DataFrame({"shop": f"{number:03}", "day": days, "units": units}))
    frame = pd.concat(frames, ignore_index=True)
    Forecaster(model="linear", steps=5, members=1, horizon=7).fit(frame).save(str(place / "store"))
    empty = pd.DataFrame(
        {"shop": "empty", "day": pd.date_range("2024-01-01", periods=9), "units": np.nan}
    )
    frame = pd.concat([frame, empty], ignore_index=True)
    (place / "table").mkdir()
    frame[::2].to_parquet(place / "table" / "even.parquet")  # each series has rows in both
    frame[1::2].to_parquet(place / "table" / "odd.parquet")
    frame.sort_values(["shop", "day"]).to_parquet(place / "whole.parquet")
    return place


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"
    }


def joined(folder: Path) -> pd.DataFrame:
    """All forecasts that the manifest of a folder names."""
    names = [each["file"] for each in json.loads((folder / "MANIFEST.json").read_text())["files"]]
    return pd.concat([pd.read_parquet(folder / name) for name in names]).sort_values(
        ["shop", "day"], ignore_index=True
    )


def work(folder: Path, output: Path | str) -> ShardedForecast:
    predictor = load_predictor(str(folder / "store"))
    request = ForecastRequest(TableFile(str(folder / "table"), TextSettings()))
    return plan_shards(predictor, request, str(output))


def test_parts_together_are_the_forecasts_of_all_series(
    forecast: Run, folder: Path, tmp_path: Path
) -> None:
    command = (
        "predict",
        folder / "whole.parquet",
        "--artifact",
        folder / "store",
        "--explain",
        "--output",
    )
    whole = forecast(*command, tmp_path / "whole.parquet")
    parts = forecast(*command, tmp_path / "parts", "--shards", "30")  # more than there are series
    assert (whole.code, parts.code) == (3, 3)  # one series has no value
    expected = pd.read_parquet(tmp_path / "whole.parquet").sort_values(
        ["shop", "day"], ignore_index=True
    )
    pd.testing.assert_frame_equal(
        joined(tmp_path / "parts"), expected, rtol=2e-6
    )  # of seven digits
    assert "1 series got no forecast: empty" in parts.err
    manifest = json.loads((tmp_path / "parts" / "MANIFEST.json").read_text())
    assert (manifest["rows"], manifest["series"], manifest["shards"]) == (20 * 7, 20, 30)
    assert manifest["origin"] == "2024-02-29 00:00:00"
    written = files(tmp_path / "parts")
    assert set(written) == {"MANIFEST.json", *(each["file"] for each in manifest["files"])}
    for each in manifest["files"]:
        assert hashlib.sha256(written[each["file"]]).hexdigest() == each["sha256"]


def test_shards_in_other_processes_say_a_message_of_each_kind(
    forecast: Run, folder: Path, tmp_path: Path
) -> None:
    frame = pd.read_parquet(folder / "whole.parquet")
    frame["shop"] = (
        frame["shop"]
        .str.lstrip("0")
        .mask(~frame["shop"].between("001", "005"), "new " + frame["shop"])
    )
    frame.to_parquet(tmp_path / "new.parquet")
    command = ("predict", tmp_path / "new.parquet", "--artifact", folder / "store", "--output")
    parts = forecast(*command, tmp_path / "parts", "--shards", "5", "--jobs", "2")
    assert "they are forecast anyway (the first of 5 such messages about parts)" in parts.err
    assert "some new ids are ids of the fit but for leading zeros" in parts.err


def test_a_csv_is_forecast_in_shards(forecast: Run, folder: Path, tmp_path: Path) -> None:
    pd.read_parquet(folder / "whole.parquet").to_csv(tmp_path / "t.csv", index=False)
    for data, output in ((tmp_path / "t.csv", "text"), (folder / "whole.parquet", "parquet")):
        words = ("--artifact", folder / "store", "--shards", "3", "--output", tmp_path / output)
        assert forecast("predict", data, *words).code == 3
    assert files(tmp_path / "text") == files(tmp_path / "parquet")


def test_a_shard_may_have_few_times(forecast: Run, folder: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(folder / "whole.parquet")
    weekly = (frame["shop"] == "003") & (frame.groupby("shop").cumcount() % 7 > 0)
    late = (frame["shop"] == "005") & (frame.groupby("shop").cumcount().between(5, 52))
    frame[~weekly & ~late].to_parquet(tmp_path / "t.parquet")
    command = ("predict", tmp_path / "t.parquet", "--artifact", folder / "store", "--output")
    whole = forecast(*command, tmp_path / "whole.parquet")
    parts = forecast(*command, tmp_path / "parts", "--shards", "30")
    assert parts.code == whole.code, parts.err
    expected = pd.read_parquet(tmp_path / "whole.parquet").sort_values(
        ["shop", "day"], ignore_index=True
    )
    pd.testing.assert_frame_equal(
        joined(tmp_path / "parts"), expected, rtol=2e-6
    )  # of seven digits


@pytest.mark.parametrize(
    "spoil", ["a time off the grid", "a far time", "a coarse table", "a huge value", "twice"]
)
def test_what_is_wrong_with_a_table_is_named_as_in_the_whole(
    forecast: Run, folder: Path, tmp_path: Path, spoil: str
) -> None:
    frame = pd.read_parquet(folder / "whole.parquet").reset_index(drop=True)
    row = int(np.flatnonzero(frame["shop"] == "007")[9])
    if spoil == "a time off the grid":
        frame.loc[row, "day"] += pd.Timedelta(hours=1)
    elif spoil == "a far time":
        frame.loc[row, "day"] = pd.Timestamp("2094-01-01")
    elif spoil == "a coarse table":
        frame = frame[frame["day"].dt.day_of_year % 2 == 0]
    elif spoil == "a huge value":
        frame.loc[row, "units"] = 1e200
    else:
        frame.loc[row, "day"] = frame.loc[row - 1, "day"]
    frame.to_parquet(tmp_path / "t.parquet")
    command = ("predict", tmp_path / "t.parquet", "--artifact", folder / "store", "--output")
    whole = forecast(*command, tmp_path / "whole.parquet")
    parts = forecast(*command, tmp_path / "parts", "--shards", "5")
    assert (parts.code, parts.err.splitlines()[-1]) == (whole.code, whole.err.splitlines()[-1])
    assert f"row {row + 1}" in parts.err or spoil == "a coarse table"


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_processes_and_threads_write_the_bytes_of_a_single_process(
    folder: Path, tmp_path: Path, backend: str
) -> None:
    forecast_shards(work(folder, tmp_path / "one"), 5)
    with joblib.parallel_config(backend=backend):
        forecast_shards(work(folder, f"file://{tmp_path}/many"), 5, jobs=2)
    assert files(tmp_path / "one") == files(tmp_path / "many")
    assert len(files(tmp_path / "one")) == 6


def test_a_new_run_replaces_the_old_one_when_it_is_complete(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    forecast_shards(work(folder, output), 4)
    first = files(output)
    write, calls = storage.Location.write, 0

    def fail_at_the_third(place: Any, name: str, data: bytes) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise StorageFailure("full")
        write(place, name, data)

    monkeypatch.setattr(storage.Location, "write", fail_at_the_third)
    with pytest.raises(StorageFailure):
        forecast_shards(work(folder, output), 5)
    after = files(output)
    assert {name: after[name] for name in first} == first  # what the manifest names is whole
    assert len(after) == len(first) + 2
    monkeypatch.setattr(storage.Location, "write", write)
    (output / "part-of-another.parquet").touch()
    forecast_shards(work(folder, output), 3)
    assert len(joined(output)) == 140
    named = {each["file"] for each in json.loads((output / "MANIFEST.json").read_text())["files"]}
    assert set(files(output)) == {
        "MANIFEST.json",
        "part-of-another.parquet",
        *named,
    }  # those of the failed run are gone


def test_a_folder_has_one_writer_at_a_time(
    forecast: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, write, others = tmp_path / "out", storage.Location.write, list[Any]()

    def begin_another(place: Any, name: str, data: bytes) -> None:
        write(place, name, data)
        monkeypatch.setattr(storage.Location, "write", write)
        words = (
            folder / "whole.parquet",
            "--artifact",
            folder / "store",
            *split("--shards 2 --output"),
        )
        others.extend(forecast("predict", *words, place) for place in (output, f"file://{output}"))

    monkeypatch.setattr(storage.Location, "write", begin_another)
    forecast_shards(work(folder, output), 3)
    for other in others:
        assert other.code == 75, other.err
        assert f"still held by process {os.getpid()} on " in other.err
        assert "--wait" not in other.err  # an option that predict does not have
    assert len(joined(output)) == 140
    assert len(files(output)) == 4


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the objects of s3://forecasts are."""
    from pyarrow import fs

    store = fs.SubTreeFileSystem(
        str(tmp_path / "bucket"), fs.LocalFileSystem()
    )  # as pyarrow has it: not local
    (tmp_path / "bucket" / "forecasts").mkdir(parents=True)
    real = storage.Location.parse

    def parse(uri: str) -> storage.Location:
        return (
            storage.Location(uri, store, uri.removeprefix("s3://"))
            if uri.startswith("s3://")
            else real(uri)
        )

    monkeypatch.setattr(storage.Location, "parse", parse)
    return tmp_path / "bucket" / "forecasts"


def test_an_object_store_gets_the_same_files(folder: Path, tmp_path: Path, bucket: Path) -> None:
    forecast_shards(work(folder, "s3://forecasts"), 4)
    forecast_shards(work(folder, tmp_path / "here"), 4)
    assert files(bucket) == files(tmp_path / "here")


def test_an_object_store_has_one_writer_at_a_time(
    folder: Path, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = bucket / ".lock"
    lock.write_text("process 7 on elsewhere")
    with pytest.raises(
        Busy,
        match=r"held by process 7 on elsewhere; .* remove s3://forecasts/.lock if that process",
    ):
        forecast_shards(work(folder, "s3://forecasts"), 2)
    assert list(bucket.iterdir()) == [lock]
    lock.unlink()
    write, seen = storage.Location.write, list[bool]()
    monkeypatch.setattr(
        storage.Location, "write", lambda *args: (write(*args), seen.append(lock.exists()))
    )
    forecast_shards(work(folder, "s3://forecasts"), 2)
    assert all(seen)
    assert not lock.exists()


@pytest.mark.parametrize("when", ["before the shards", "between shards of a cluster"])
def test_a_table_that_changes_between_passes_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    table = tmp_path / "source" / "table"
    shutil.copytree(folder / "table", table)
    shutil.copytree(folder / "store", tmp_path / "source" / "store")
    planned = work(tmp_path / "source", tmp_path / "out")
    frame = pd.read_parquet(table / "odd.parquet")

    def replace_a_file() -> None:
        frame.assign(units=1.0).to_parquet(table / "new.parquet")
        (table / "new.parquet").replace(table / "odd.parquet")

    if when == "before the shards":
        replace_a_file()
    else:
        monkeypatch.setattr(
            "forecast.engine.shards.on_cluster", lambda: True
        )  # each shard reads the table
        write = storage.Location.write
        monkeypatch.setattr(
            storage.Location, "write", lambda *args: (write(*args), replace_a_file())
        )
    with pytest.raises(
        ForecastError,
        match=r"odd\.parquet: changed while it was read; read it when nobody writes to it",
    ):
        forecast_shards(planned, 3)
    assert not (tmp_path / "out" / "MANIFEST.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (
            ["--shards", "4"],
            2,
            "--shards: shards are written into a folder; name one with --output",
        ),
        (["--shards", "4", "--output", "f.csv"], 73, "name a folder"),
        (
            ["--shards", "4", "--output", "out", "--origin", "2024-02-01"],
            2,
            "--origin: it does not go with --shards",
        ),
        (
            ["--cluster", "ray:/x", "--output", "out"],
            2,
            "--cluster ray:/x: no address of a cluster",
        ),
        (["--cluster", "rai://x:1", "--output", "out"], 2, "did you mean 'ray'"),
    ],
)
def test_what_does_not_go_with_parts_is_refused_before_any_work(
    forecast: Run, folder: Path, tmp_path: Path, words: list[str], code: int, reason: str
) -> None:
    words = [str(tmp_path / word) if word in ("out", "f.csv") else word for word in words]
    ran = forecast("predict", folder / "table", "--artifact", folder / "store", *words)
    assert (ran.code, ran.out) == (code, "")
    assert reason in ran.err
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_read_is_named(forecast: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("a,b\n")
    for data, code in (("nowhere", 66), ("text.parquet", 65), ("ftp://x/y", 2)):
        place = data if "://" in data else tmp_path / data
        ran = forecast(
            "predict",
            place,
            "--artifact",
            folder / "store",
            "--shards",
            "2",
            "--output",
            tmp_path / "o",
        )
        assert ran.code == code, ran.err
        assert data in ran.err


@pytest.mark.parametrize(("scheme", "module"), [("ray", "ray"), ("dask", "distributed")])
def test_a_missing_extra_is_named(
    forecast: Run,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    module: str,
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    words = (
        "--artifact",
        folder / "store",
        "--output",
        tmp_path / "o",
        "--cluster",
        f"{scheme}://127.0.0.1:1",
    )
    ran = forecast("predict", folder / "table", *words)
    assert ran.code == 69
    assert (
        f"the packages for {scheme} are not installed; `pip install '.[{scheme}]'` in the folder"
        in ran.err
    )
    with pytest.raises(Unavailable, match=scheme), cluster(f"{scheme}://127.0.0.1:1"):
        pass


def test_without_a_cluster_nothing_changes() -> None:
    with cluster(None):
        assert list(side_by_side((joblib.delayed(int)(text) for text in "321"), 1)) == [3, 2, 1]
        assert list(side_by_side((joblib.delayed(int)(text) for text in "321"), 2)) == [3, 2, 1]
    with pytest.raises(UsageError, match="no address"), cluster("http://x"):
        pass

"""The packages of `forecast-predict` are enough to forecast: all others are hidden from the command line."""

import json
import os
import re
import shutil
import subprocess
import sys
from email import message_from_bytes
from functools import cache
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
from packaging.requirements import Requirement

from benchmarks.speed_install import predict_requirements
from tests.conftest import COMMANDS, ROOT, Ran

pytest.importorskip("onnxruntime")

HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

hidden = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Hidden())
"""
LEFTOVERS = shutil.ignore_patterns("__pycache__", "build", "*.egg-info")
LARGE = {"torch", "sklearn", "scipy", "joblib", "statsforecast", "onnx", "array_api_compat"}


@cache
def hidden() -> tuple[str, ...]:
    """The modules that the requirements do not bring."""
    waiting = [Requirement(line) for line in predict_requirements()]
    brought: set[str] = set()
    while waiting:
        one = waiting.pop()
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if (one.marker is not None and not one.marker.evaluate({"extra": ""})) or name in brought:
            continue
        brought.add(name)
        waiting += [Requirement(text) for text in metadata.requires(name) or []]
    modules = metadata.packages_distributions()
    ours = {"forecast", "tests", "benchmarks"}
    others = {
        module
        for module, names in modules.items()
        if not module.startswith("__editable__")
        and not {re.sub(r"[-_.]+", "-", name).lower() for name in names} & brought
        and module.isidentifier()
    }
    return tuple(sorted(others - ours - {module for module in others if module.startswith("_")}))


def ran(*commands: tuple[object, ...], without: tuple[str, ...] = ()) -> list[Ran]:
    """How commands end, one after another in one process that lacks some packages."""
    words = json.dumps([list(map(str, command)) for command in commands])
    ended = subprocess.run(
        [sys.executable, "-c", HIDE + COMMANDS, ",".join(without or hidden()), words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [Ran(*each) for each in json.loads(ended.stdout)]


def run(*words: object, code: int = 0, without: tuple[str, ...] = ()) -> Ran:
    (found,) = ran(words, without=without)
    assert found.code == code, found.err
    return found


def built(*folders: str, into: Path) -> list[ZipFile]:
    """The wheels that pip builds of folders of a clean checkout."""
    checkout = into / "checkout"
    for name in ("forecast", "predict"):
        shutil.copytree(ROOT / name, checkout / name, ignore=LEFTOVERS)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, checkout)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", into, *folders], cwd=checkout, check=True)
    return [ZipFile(wheel) for wheel in sorted(into.glob("*.whl"))]


def test_both_distributions_have_the_same_package_and_the_second_needs_less(tmp_path: Path) -> None:
    whole, predict = built(".", "./predict", into=tmp_path)
    files = {
        file.relative_to(ROOT).as_posix(): file.read_bytes()
        for file in (ROOT / "forecast").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    for wheel in (whole, predict):
        names = [name for name in wheel.namelist() if name.startswith("forecast/")]
        assert {name: wheel.read(name) for name in names} == files
    heads = []
    for wheel in (whole, predict):
        assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        heads.append(message_from_bytes(wheel.read(name)))
    assert [head["Name"] for head in heads] == ["forecast", "forecast-predict"]
    assert heads[0]["Version"] == heads[1]["Version"]
    needed = [
        {Requirement(line).name for line in head.get_all("Requires-Dist") if "extra" not in line}
        for head in heads
    ]
    assert needed[1] - needed[0] == {"onnxruntime", "protobuf"}
    assert needed[0] - needed[1] == {"torch", "scikit-learn", "joblib", "array-api-compat"}
    sizes = [sum(info.compress_size for info in wheel.infolist()) for wheel in (whole, predict)]
    assert max(sizes) < 2_200_000


def test_what_is_large_is_hidden() -> None:
    assert LARGE & metadata.packages_distributions().keys() <= set(hidden())


def test_saved_networks_and_now_forecast_as_ever(
    store: Path, tmp_path: Path, panel_frame: pd.DataFrame
) -> None:
    """The fit, a table, a long table with columns of each kind, and a table without a fit."""
    from forecast import Forecaster

    model = Forecaster(
        model="segrnn", steps=4, members=1, horizon=3, id="shop", target="units", known="promo"
    )
    model.set_params(past="price", static="size", guard=False).fit(panel_frame).save(
        str(tmp_path / "store")
    )
    future = panel_frame.tail(80).drop(columns=["units", "price"])
    days = pd.to_datetime(future["day"]) + pd.Timedelta(days=80)
    shops = [
        future.assign(day=days.dt.strftime("%Y-%m-%d"), shop=shop)
        for shop in panel_frame["shop"].unique()
    ]
    pd.concat(shops).to_csv(tmp_path / "future.csv", index=False)
    panel_frame.to_csv(tmp_path / "shops.csv", index=False)
    shops, later = (
        tmp_path / "shops.csv",
        ("--future", tmp_path / "future.csv", "--artifact", tmp_path / "store"),
    )
    words = [
        ("predict", "--artifact", store, "--quiet"),
        ("predict", "data/air_passengers.csv", "--artifact", store, "--quiet"),
        ("predict", shops, *later, "--quiet"),
        ("now", shops, "--id", "shop", "--target", "units", "--horizon", 7),
    ]
    whole = ran(*words, without=("torch",))
    assert [(each.code, len(each.frame)) for each in whole] == [(0, 18), (0, 18), (0, 12), (0, 28)]
    assert ran(*words) == whole


def test_a_job_runs_until_a_fit_is_due(tmp_path: Path, store: Path) -> None:
    shutil.copytree(store, tmp_path / "model")
    job = tmp_path / "job.toml"
    job.write_text(
        f'store = "model"\nrefit = "never"\n[source]\npath = "{ROOT / "data" / "air_passengers.csv"}"\n'
        '[sink]\npath = "forecasts.csv"\n[train]\nengine = "onnx"\nguard = false\nsteps = 30\n'
        "params = {hidden_size = 8}\n",
        encoding="utf-8",
    )
    changed = "text.replace('never', 'daily').replace('size = 8', 'size = 9')"
    due = f"from pathlib import Path; job = Path({str(job)!r}); text = job.read_text(); job.write_text({changed})"
    first, _, refused = ran(("run", job), ("-c", due), ("run", job))
    assert (first.code, refused.code) == (0, 69)
    assert "not installed" in refused.err
    assert len(pd.read_csv(tmp_path / "forecasts.csv")) == 18
    text = job.read_text(encoding="utf-8").replace("daily", "never").replace("size = 9", "size = 8")
    job.write_text(text, encoding="utf-8")
    again, loaded = ran(
        ("run", job), ("-c", "import sys; print('torch' in sys.modules)"), without=("none",)
    )
    assert (again.code, loaded.out) == (0, "False\n")  # nor is it imported where it is there


def test_training_names_what_it_lacks(tmp_path: Path) -> None:
    assert (
        "package torch"
        in run(
            "fit",
            "data/air_passengers.csv",
            "--artifact",
            tmp_path / "s",
            "--model",
            "gru",
            code=69,
        ).err
    )


def test_a_bare_fit_that_trains_nothing_lacks_nothing(tmp_path: Path) -> None:
    run("fit", "data/air_passengers.csv", "--artifact", tmp_path / "s")


def test_a_store_is_inspected_and_a_forecast_scored(tmp_path: Path, store: Path) -> None:
    months = pd.period_range("1961-01", periods=18, freq="M").astype(str)
    pd.DataFrame({"month": months, "passengers": 450}).to_csv(tmp_path / "actual.csv", index=False)
    inspected, predicted, scored = ran(
        ("inspect", "--artifact", store, "--json"),
        ("predict", "--artifact", store, "--output", tmp_path / "f.csv"),
        ("score", tmp_path / "f.csv", tmp_path / "actual.csv", "--artifact", store),
    )
    assert json.loads(inspected.out)["hash"]
    assert predicted.code == 0, predicted.err
    assert "mase" in scored.out


def test_a_version_without_exports_names_what_to_install(tmp_path: Path, store: Path) -> None:
    from forecast.artifacts.store import Store

    contents, _ = Store(store).load()
    contents.exports.clear()
    with Store(tmp_path / "store").lock() as writer:
        writer.save(contents)
    refused = run("predict", "--artifact", tmp_path / "store", code=69)
    assert "not installed" in refused.err
    assert "pip install" in refused.err

"""Models and baselines of other packages, by their entry points."""

import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast import registry
from forecast.baselines.shared.method import baseline_method
from tests.baselines.test_new_baseline import BASELINE
from tests.conftest import Run
from tests.docs._pages import blocks_of_pages
from tests.models.test_new_model import MODEL

POINTS = """[forecast.models]
leaky-memory = leaky_models.memory
segrnn = leaky_models.memory
Loud! = leaky_models.memory
lost = leaky_models.nowhere
broken = leaky_models.broken

[forecast.baselines]
middle = leaky_models.middle
"""
SMALL = ("--horizon", 2, "--season", 7, "--baselines", "last", "--quiet")


def write(folder: Path, points: str = POINTS, **modules: str) -> None:
    """An installed package: its modules, and its metadata as pip leaves them."""
    modules = {
        "memory": MODEL,
        "middle": BASELINE,
        "broken": "import a_package_that_is_not_there\n",
        **modules,
    }
    (folder / "leaky_models").mkdir()
    (folder / "leaky_models" / "__init__.py").write_text("import torch\n")
    for name, text in modules.items():
        (folder / "leaky_models" / f"{name}.py").write_text(text)
    (folder / "leaky_models-1.2.dist-info").mkdir()
    (folder / "leaky_models-1.2.dist-info" / "METADATA").write_text(
        "Name: leaky-models\nVersion: 1.2\n"
    )
    (folder / "leaky_models-1.2.dist-info" / "entry_points.txt").write_text(points)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose packages are installed."""
    (tmp_path / "packages").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "packages")
    monkeypatch.chdir(tmp_path)
    _forget()
    yield tmp_path / "packages"
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    """Look at installed packages anew, as the next process would."""
    registry.plugins.cache_clear()
    baseline_method.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "leaky_models"]:
        del sys.modules[name]


def test_models_lists_them_with_their_package_and_names_those_left_out(
    forecast: Run, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(packages)
    monkeypatch.setitem(sys.modules, "torch", None)  # an import would fail
    listed = forecast("models")
    assert listed.code == 0
    assert (
        "leaky-memory    Exponentially decaying memory of the past, read out at once (Mozer 1992) (leaky-models 1.2)\n"
        in (listed.out)
    )
    assert listed.out.endswith(", ets, middle (leaky-models 1.2)\n")
    assert (
        "the model 'segrnn' of the package leaky-models 1.2 is left out: the name is taken"
        in listed.err
    )
    assert "the model 'Loud!' of the package leaky-models 1.2 is left out: " in listed.err
    assert (
        "leaky_models.nowhere of the package leaky-models 1.2: there is no such module"
        in listed.err
    )
    assert forecast("now", "synth:noise", "--horizon", 2, "--quiet").code == 0


def test_what_cannot_be_used_is_named_with_its_package_and_stops_nothing_else(
    forecast: Run, packages: Path
) -> None:
    write(packages, middle="METHOD = 3\n")
    for name, module, reason in [
        ("broken", "broken", "ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("lost", "nowhere", "ModuleNotFoundError: No module named 'leaky_models.nowhere'"),
        ("middle", "middle", "TypeError: its METHOD is no Method"),
    ]:
        refused = forecast("fit", "synth:noise", "--model", name, *SMALL)
        assert refused.code == 69
        assert (
            f"leaky_models.{module} of the package leaky-models 1.2: cannot be used: {reason}"
            in refused.err
        )
    assert forecast("fit", "synth:noise", "--model", "last", *SMALL).code == 0


def test_entry_points_that_cannot_be_read_are_named_with_their_package(
    forecast: Run, packages: Path
) -> None:
    write(packages, "[forecast.models]\nleaky-memory\n")
    listed = forecast("models")
    assert listed.code == 0
    assert (
        "entry_points.txt of the package leaky-models cannot be read, and is left out: "
        in listed.err
    )
    refused = forecast("fit", "synth:noise", "--model", "leaky-memory", *SMALL)
    assert refused.code == 2
    assert "unknown model 'leaky-memory'" in refused.err


@pytest.mark.parametrize(
    ("model", "flags"), [("leaky-memory", ("--steps", 2, "-p", "hidden_size=2")), ("middle", ())]
)
def test_a_store_names_the_package_that_it_needs(
    forecast: Run,
    packages: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    flags: tuple[Any, ...],
) -> None:
    write(packages)
    store = ("--artifact", tmp_path / "store")
    assert (
        forecast("fit", "synth:noise", "--model", model, "--no-guard", *flags, *SMALL, *store).code
        == 0
    )
    assert forecast("models", model).out.endswith(
        f"{'memories' if flags else 'without settings'}\n"
    )
    assert json.loads(forecast("inspect", *store, "--json").out)["packages"] == {
        model: "leaky-models 1.2"
    }
    assert len(forecast("predict", *store).out.splitlines()) == 3
    monkeypatch.undo()
    _forget()
    gone = forecast("predict", *store)
    assert gone.code == 69
    assert (
        f"this forecaster has the model '{model}' of the package leaky-models 1.2, which is not installed"
        in gone.err
    )


def test_a_store_without_such_a_model_names_no_package(
    forecast: Run, packages: Path, tmp_path: Path
) -> None:
    write(packages)
    assert (
        forecast(
            "fit", "synth:noise", "--model", "last", *SMALL, "--artifact", tmp_path / "store"
        ).code
        == 0
    )
    (config,) = (tmp_path / "store").glob("v-*/config.json")
    assert json.loads(config.read_text())["config"]["packages"] == {}


FIELD = '    hidden_size: int = Field(32, ge=1, description="memories")\n'


def test_the_package_of_the_page_works(forecast: Run, packages: Path) -> None:
    blocks = {block.text.split("\n")[0]: block.text for _, block in blocks_of_pages()}
    project = tomllib.loads(blocks["[build-system]"])
    groups = project["project"]["entry-points"]
    points = [
        f"[{group}]\n{name} = {module}\n"
        for group in groups
        for name, module in groups[group].items()
    ]
    write(
        packages,
        "".join(points).replace("decaying_models", "leaky_models"),
        **{
            name: next(text for line, text in blocks.items() if line.startswith(f'"""{start}'))
            for name, start in (("memory", "Means of the past"), ("middle", "The middle"))
        },
    )
    for name, flags in (("decaying-memory", ("--steps", 2)), ("middle", ())):
        assert forecast("fit", "synth:noise", "--model", name, *flags, *SMALL).code == 0
        assert len(forecast("predict").out.splitlines()) == 3


def test_settings_may_have_names_of_other_things(forecast: Run, packages: Path) -> None:
    names = ("quantiles", "loss", "fields", "levels", "max")
    more = "".join(f'    {name}: int = Field(3, description="x")\n' for name in names)
    write(packages, memory=MODEL.replace(FIELD, FIELD + more))
    flags = (word for name in (*names, "hidden_size") for word in ("-p", f"{name}=2"))
    assert (
        forecast("fit", "synth:noise", "--model", "leaky-memory", "--steps", 2, *SMALL, *flags).code
        == 0
    )


def test_a_network_that_fails_is_named_with_its_package(forecast: Run, packages: Path) -> None:
    failing = MODEL.replace("steps = self.into(inputs(batch))", 'raise KeyError("no such memory")')
    write(packages, memory=failing)
    failed = forecast(
        "fit", "synth:noise", "--model", "leaky-memory", "--no-guard", "--steps", 2, *SMALL
    )
    assert failed.code == 69
    assert "the package leaky-models 1.2 failed with KeyError: 'no such memory'" in failed.err


@pytest.mark.parametrize(
    ("error", "code", "problem"),
    [
        ("SystemExit(0)", 69, "the package leaky-models 1.2 failed with SystemExit: 0"),
        ("EOFError()", 69, "the package leaky-models 1.2 failed with EOFError"),
        ('BrokenPipeError(32, "Broken pipe")', 74, "input or output: Broken pipe"),
    ],
)
def test_a_network_that_exits_or_whose_pipe_breaks_is_an_error(
    forecast: Run, packages: Path, error: str, code: int, problem: str
) -> None:
    write(packages, memory=MODEL.replace("steps = self.into(inputs(batch))", f"raise {error}"))
    failed = forecast(
        "fit", "synth:noise", "--model", "leaky-memory", "--no-guard", "--steps", 2, *SMALL
    )
    assert failed.code == code
    assert problem in failed.err


METRICS = """
def METRIC(actual, forecast):
    return abs(forecast - 7.0).mean(axis=1)
"""


def test_a_metric_of_a_package_measures_models(
    forecast: Run, packages: Path, tmp_path: Path
) -> None:
    points = "[forecast.metrics]\nnear-seven = leaky_models.seven\nshort = leaky_models.short\n"
    write(packages, points, seven=METRICS, short="def METRIC(actual, forecast):\n    return 0.0\n")
    values = np.tile([7.0, 3.0, 5.0, 1.0], 12)
    table = tmp_path / "t.csv"
    table.write_text("t,y\n" + "".join(f"{step},{value}\n" for step, value in enumerate(values)))
    store = ("--artifact", tmp_path / "store")
    names = ("--model", "mean", "--horizon", 1)
    ran = forecast("fit", table, "--metric", "near-seven", *names, *store)
    assert ran.code == 0, ran.err
    scores = json.loads(forecast("inspect", *store, "--json").out)["scores"]
    assert scores["mean"] == pytest.approx(3.0, abs=0.2)
    refused = forecast("fit", table, "--metric", "short", *names, *store)
    assert refused.code == 69
    assert (
        "leaky_models.short of the package leaky-models 1.2: its METRIC returned ()" in refused.err
    )
    unknown = forecast("fit", table, "--metric", "near-eight", *names, *store)
    assert unknown.code == 2
    assert "unknown metric 'near-eight'; did you mean 'near-seven'?" in unknown.err

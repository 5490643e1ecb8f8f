"""The types of the public names, as type checkers and editors see them."""

import importlib.util
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

import altair
import numpy as np
import pytest
from numpy.typing import ArrayLike

import forecast
from forecast import Forecaster
from forecast.parameters import OutputParams
from forecast.settings import OutputSettings

USER = Path(__file__).with_name("_user.py")
ROOT = USER.parents[1]

# what the types of the public names do not rest on is left out: reading torch takes 15 seconds
CONFIG = """[mypy]
strict = true
[mypy-forecast.*]
ignore_errors = true
[mypy-altair.*,torch.*,rich.*,sqlalchemy.*,forecast.baselines.*,forecast.ensemble.*,forecast.effects.*,\
forecast.inference.*,forecast.models.*,forecast.training.*,forecast.windows.*]
follow_imports = skip
"""


def wrong_lines() -> set[int]:
    lines = enumerate(USER.read_text(encoding="utf-8").splitlines(), start=1)
    return {number for number, line in lines if line.endswith("# wrong")}


def run(*words: str) -> str:
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-m", *words],
        env={**os.environ, "MYPYPATH": str(ROOT), "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout + ended.stderr


def test_mypy_finds_the_mistakes_of_a_user_and_nothing_else(tmp_path: Path) -> None:
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG)
    found = run("mypy", "--config-file", str(config), "--cache-dir", str(tmp_path), str(USER))
    numbers = re.findall(rf"{USER.name}:(\d+): error", found)
    assert set(map(int, numbers)) == wrong_lines(), found


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_finds_the_mistakes_of_a_user_and_nothing_else() -> None:
    found = run("pyright", "--outputjson", "--pythonpath", sys.executable, str(USER))
    problems = json.loads(found)["generalDiagnostics"]
    errors = [problem for problem in problems if problem["severity"] == "error"]
    assert {problem["range"]["start"]["line"] + 1 for problem in errors} == wrong_lines(), found


def public_functions() -> Iterator[tuple[str, Any]]:
    for name in forecast.__all__:
        value = getattr(forecast, name)
        if inspect.isfunction(value):
            yield name, value
        if not inspect.isclass(value):
            continue
        for key, member in inspect.getmembers(value):
            member = member.fget if isinstance(member, property) else member
            is_public = key == "__init__" or not key.startswith("_")
            if is_public and getattr(member, "__module__", "").startswith("forecast."):
                yield f"{name}.{key}", member


def holds_any(kind: object) -> bool:
    if is_typeddict(kind):
        return any(map(holds_any, get_type_hints(kind).values()))
    if kind == ArrayLike or get_origin(kind) is np.ndarray:
        return False  # numpy's own types, whose shapes are not known
    return kind is Any or any(map(holds_any, get_args(kind)))


def test_no_public_signature_holds_any() -> None:
    functions = dict(public_functions())
    assert {"Forecaster.predict", "Forecaster.__init__", "run_job", "Store.load"} <= set(functions)
    loose = []
    for name, function in functions.items():
        hints = get_type_hints(function, localns={"altair": altair})
        loose += [f"{name}: {part}" for part, kind in hints.items() if holds_any(kind)]
    assert loose == []


def test_all_forecasts_take_the_same_words() -> None:
    expected = get_type_hints(Forecaster.predict)
    assert get_type_hints(OutputParams).keys() < OutputSettings.model_fields.keys()
    for name, words in (
        ("totals", {"X", "future", "origin", "horizon", "output"}),
        ("plot", {"X", "future", "origin", "horizon", "output"}),
        ("what_if", {"X", "future", "origin", "horizon", "output"}),
        ("future_template", {"X", "origin", "horizon"}),
    ):
        hints = get_type_hints(getattr(Forecaster, name), localns={"altair": altair})
        assert {word: hints[word] for word in words} == {word: expected[word] for word in words}

"""A scaling or a loss is a name in the settings and a function: two files, and it is everywhere."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

SCALING = """

def _first(past: Past) -> tuple[Array, Array]:
    return past.values[:, :1], past.deviation


SCALINGS["first"] = _first
"""
LOSS = """

POINT_LOSSES["log-cosh"] = lambda error: (error.exp() / 2 + (-error).exp() / 2).log()
"""


@pytest.mark.parametrize(
    ("setting", "choice", "beside", "file", "code"),
    [
        ("scaling", "first", 'Literal["standard", ', "panel/scaling.py", SCALING),
        ("loss", "log-cosh", 'Literal["quantile", ', "models/shared/losses.py", LOSS),
    ],
)
def test_a_name_and_a_function_make_a_choice_everywhere(
    tmp_path: Path, setting: str, choice: str, beside: str, file: str, code: str
) -> None:
    package = tmp_path / "forecast"
    shutil.copytree(ROOT / "forecast", package)  # with its compiled modules, which saves seconds
    settings = (package / "settings.py").read_text(encoding="utf-8")
    assert settings.count(beside) == 1
    (package / "settings.py").write_text(settings.replace(beside, f'{beside}"{choice}", '), encoding="utf-8")
    with (package / file).open("a", encoding="utf-8") as module:
        module.write(code)

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    command = ("-m", "forecast")
    assert choice in run(*command, "fit", "--help")
    schema = json.loads(run(*command, "run", "--schema"))
    assert choice in str(schema["$defs"]["TrainSettings"]["properties"][setting])
    (tmp_path / "job.toml").write_text(
        f'store = "s"\n[source]\npath = "t.csv"\n[sink]\npath = "f.csv"\n'
        f'[train]\n{setting} = "{choice}"\nmodel = "linear"\nsteps = 3\nhorizon = 2\n'
    )
    (tmp_path / "t.csv").write_text(run(*command, "synth", "seasonal"))
    run(*command, "run", "job.toml", "--as-of", "2100-01-01")
    assert (tmp_path / "f.csv").exists()
    run(
        "-c",
        "from forecast import Forecaster as F; from forecast.tables.synthetic import synthesize as s; "
        f"m = F(model='linear', steps=3, horizon=2, {setting}='{choice}').fit(s('noise')); m.predict(); "
        f"assert m.fitted_.settings().{setting} == '{choice}'",
    )

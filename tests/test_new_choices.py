"""A scaling or a loss is a name in the settings and a function: two files, and it is everywhere."""

import json

import pytest

from tests.conftest import PackageCopy

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
        ("scaling", "first", 'Literal["standard", ', "windows/scaling.py", SCALING),
        ("loss", "log-cosh", 'Literal["quantile", ', "models/shared/losses.py", LOSS),
    ],
)
def test_a_name_and_a_function_make_a_choice_everywhere(
    package: PackageCopy, setting: str, choice: str, beside: str, file: str, code: str
) -> None:
    source = package.folder / "forecast"
    settings = (source / "settings.py").read_text(encoding="utf-8")
    assert settings.count(beside) == 1
    package.add("forecast/settings.py", settings.replace(beside, f'{beside}"{choice}", '))
    with (source / file).open("a", encoding="utf-8") as module:
        module.write(code)

    def run(*words: str) -> str:
        return package.run(*words).out

    helped, schema_text, table = package.forecast(("fit", "--help-all"), ("run", "--schema"), ("synth", "seasonal"))
    assert choice in helped
    schema = json.loads(schema_text)
    assert choice in str(schema["$defs"]["TrainSettings"]["properties"][setting])
    package.add(
        "job.toml",
        f'store = "s"\n[source]\npath = "t.csv"\n[sink]\npath = "f.csv"\n'
        f'[train]\n{setting} = "{choice}"\nmodel = "linear"\nsteps = 3\nhorizon = 2\n',
    )
    package.add("t.csv", table)
    package.forecast(("run", "job.toml", "--as-of", "2100-01-01"))
    assert (package.folder / "f.csv").exists()
    run(
        "-c",
        "from forecast import Forecaster as F; from forecast.tables.synthetic import synthesize as s; "
        f"m = F(model='linear', steps=3, horizon=2, {setting}='{choice}').fit(s('noise')); m.predict(); "
        f"assert m.fitted_.settings().{setting} == '{choice}'",
    )

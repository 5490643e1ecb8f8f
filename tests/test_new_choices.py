"""A scaling or a loss is a name in the settings and a function: two files, and it is everywhere."""

import json

from tests.conftest import PackageCopy

SCALING = """

def _first(past: Past) -> tuple[Array, Array]:
    return past.values[:, :1], past.deviation


SCALINGS["first"] = _first
"""
LOSS = """

POINT_LOSSES["log-cosh"] = lambda error: (error.exp() / 2 + (-error).exp() / 2).log()
"""


CHOICES = {
    "scaling": ("first", 'Literal["standard", ', "windows/scaling.py", SCALING),
    "loss": ("log-cosh", 'Literal["quantile", ', "models/shared/model.py", LOSS),
}
JOB = """
store = "s"
source.path = "t.csv"
sink.path = "f.csv"
[train]
scaling = "first"
loss = "log-cosh"
model = "linear"
baselines = ["last"]
steps = 3
horizon = 2
"""
API = """
from forecast import Forecaster
from forecast.tables.synthetic import synthesize
knobs = {"model": "linear", "baselines": ("last",), "steps": 3, "horizon": 2}
model = Forecaster(**knobs, scaling="first", loss="log-cosh").fit(synthesize("noise"))
model.predict()
settings = model.fitted_.settings()
print(settings.scaling, settings.loss)
"""


def test_a_name_and_a_function_make_a_choice_everywhere(package: PackageCopy) -> None:
    settings = (package.folder / "forecast" / "settings.py").read_text(encoding="utf-8")
    for choice, beside, file, code in CHOICES.values():
        assert settings.count(beside) == 1
        settings = settings.replace(beside, f'{beside}"{choice}", ')
        with (package.folder / "forecast" / file).open("a", encoding="utf-8") as module:
            module.write(code)
    package.add("forecast/settings.py", settings)
    package.add("job.toml", JOB)
    helped, schema, _, _, told = package.forecast(
        ("fit", "--help-all"),
        ("run", "--schema"),
        ("synth", "seasonal", "--output", "t.csv"),
        ("run", "job.toml", "--as-of", "2100-01-01"),
        ("-c", API),
    )
    for setting, (choice, *_) in CHOICES.items():
        assert choice in helped
        assert choice in str(json.loads(schema)["$defs"]["TrainSettings"]["properties"][setting])
    assert (package.folder / "f.csv").exists()
    assert told.split() == ["first", "log-cosh"]

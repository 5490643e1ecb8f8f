"""`forecast models` lists what can be trained, and the settings of one model."""

import pytest

from forecast.models import model_class, model_names
from forecast.registry import baseline_names
from tests.conftest import Run


def test_all_models_and_baselines_are_listed(forecast: Run) -> None:
    *lines, baselines = forecast("models").out.splitlines()
    assert [line.split()[0] for line in lines] == model_names()
    assert baselines.removeprefix("baselines, which are models too: ").split(", ") == list(
        baseline_names()
    )


def test_a_model_has_a_line_for_each_setting_with_its_default(forecast: Run) -> None:
    lines = forecast("models", "gru").out.splitlines()[1:]
    fields = model_class("gru").Params.model_fields
    assert [line.split()[1] for line in lines] == [
        f"{name}={field.default}" for name, field in fields.items()
    ]


@pytest.mark.parametrize(
    ("name", "says"), [("theta", "without settings"), ("ets", "it needs `pip install '.[stats]'`")]
)
def test_a_baseline_says_what_it_needs(forecast: Run, name: str, says: str) -> None:
    assert says in forecast("models", name).out

"""A model is one file: dropped into the folder, it is everywhere."""

from tests.conftest import PackageCopy

MODEL = '''"""Exponentially decaying memory of the past, read out at once (Mozer 1992)."""

import torch
from pydantic import Field
from torch import Tensor, nn

from forecast.models.shared.model import RecurrentModel, Shape
from forecast.models.shared.parts import StepDecoder, input_size, inputs
from forecast.windows.windows import Batch
from forecast.settings import SettingsGroup


class DecayParams(SettingsGroup):
    """How much is remembered."""

    hidden_size: int = Field(32, ge=1, description="memories")


class Network(RecurrentModel):
    """Leaky averages of a linear map of each step, each with a rate of its own."""

    Params = DecayParams

    def __init__(self, params: DecayParams, shape: Shape) -> None:
        super().__init__(params, shape)
        self.into = nn.Linear(input_size(self.shape), params.hidden_size)
        self.rate = nn.Parameter(torch.linspace(-2.0, 4.0, params.hidden_size))
        self.decoder = StepDecoder(params.hidden_size, self.shape, dropout=0.0)

    def forward(self, batch: Batch) -> Tensor:
        steps = self.into(inputs(batch))
        ages = torch.arange(steps.shape[1] - 1, -1, -1, device=steps.device)
        kept = torch.sigmoid(self.rate) ** ages[:, None]
        return self.decoder((steps * kept).sum(1), batch.future_covariates)
'''

API = """
from forecast import Forecaster
from forecast.tables.synthetic import synthesize
Forecaster(model="leaky-memory", steps=3, horizon=2, guard=False).fit(synthesize("noise")).predict()
"""


def test_a_new_file_is_a_model_everywhere(package: PackageCopy) -> None:
    assert len(MODEL.splitlines()) < 80
    tests = package.add_tests("tests/models/test_every_model.py", "leaky-memory")
    package.add("forecast/models/leaky_memory.py", MODEL)

    quick = ("--steps", "5", "--horizon", "3", "-p", "hidden_size=4", "--baselines", "last")
    listed, described, _, forecasts, _, tested = package.forecast(
        ("models",),
        ("models", "leaky-memory"),
        ("fit", "synth:seasonal", "--model", "leaky-memory", *quick),
        ("predict",),
        ("-c", API),
        tests,
    )
    assert "leaky-memory" in listed
    assert "hidden_size=32" in described
    assert len(forecasts.splitlines()) == 4
    assert "passed" in tested
    assert "failed" not in tested

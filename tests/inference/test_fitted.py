"""A fitted forecaster is plain arrays: reading one needs no torch."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    ["inference.fitted", "inference.contents", "inference.predictor", "artifacts.resume", "ensemble.candidates"],
)
def test_what_surrounds_the_networks_imports_no_torch(module: str) -> None:
    code = f"import sys, forecast.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

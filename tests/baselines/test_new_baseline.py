"""A baseline is one file: dropped into the folder, it is everywhere."""

from shlex import split

import pandas as pd
import pytest

from tests.conftest import PackageCopy

BASELINE = '''"""Half way between the smallest and the largest observed value."""

import numpy as np

from forecast.baselines.shared.method import Mask, Method, Values


def forecast(values: Values, observed: Mask, horizon: int, season: int) -> Values:
    """Repeat the middle of each window's range."""
    low = np.where(observed, values, np.inf).min(1, keepdims=True)
    high = np.where(observed, values, -np.inf).max(1, keepdims=True)
    return np.repeat((low + high) / 2, horizon, 1)


METHOD = Method(forecast)
'''

JOB = """
store = "store"
source.path = "sales.csv"
sink.path = "out.csv"
[train]
baselines = ["middle", "last"]
horizon = 3
steps = 2
model = "linear"
"""

API = """
from forecast import Forecaster
from forecast.tables.synthetic import synthesize
frame = synthesize("noise")
print(list(Forecaster(model="linear", steps=2, horizon=3, baselines=("middle",)).fit(frame).fitted_.ensemble.scores))
print(Forecaster(model="middle", horizon=3).fit(frame).models())
"""


@pytest.mark.slow
def test_a_new_file_is_a_baseline_everywhere(package: PackageCopy) -> None:
    tests = package.add_tests("tests/baselines/test_baselines.py", "middle")
    package.add("forecast/baselines/middle.py", BASELINE)

    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "units": [i * i % 7 for i in range(60)]}).to_csv(
        package.folder / "sales.csv", index=False
    )
    package.add("job.toml", JOB)
    listed, described, _, fitted, _, ran, api, tested = package.forecast(
        ("models",),
        ("models", "middle"),
        split("fit synth:noise --model linear --steps 2 --horizon 3 --baselines middle"),
        ("inspect", "--json"),
        ("run", "job.toml"),
        ("inspect", "--artifact", "store", "--json"),
        ("-c", API),
        tests,
    )
    assert "middle" in listed.splitlines()[-1]
    assert described.startswith("middle: a baseline")
    assert '"middle"' in fitted
    assert '"middle"' in ran
    compared, alone = api.splitlines()
    assert "'middle'" in compared
    assert alone == "['middle']"
    assert "passed" in tested
    assert "failed" not in tested

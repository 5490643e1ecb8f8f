"""A baseline is one file: dropped into the folder, it is everywhere."""

import pandas as pd

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
print(list(Forecaster(model="linear", steps=2, horizon=3, baselines=("middle",)).fit(frame).fitted_.config.scores))
print(Forecaster(model="middle", horizon=3).fit(frame).models())
"""


def test_a_new_file_is_a_baseline_everywhere(package: PackageCopy) -> None:
    package.add_tests("tests/baselines/test_baselines.py")
    package.add("forecast/baselines/middle.py", BASELINE)

    def run(*words: str) -> str:
        return package.run(*words).out

    command = ("-m", "forecast")
    assert "middle" in run(*command, "models").splitlines()[-1]
    assert run(*command, "models", "middle").startswith("middle: a baseline")
    quick = ("--model", "linear", "--steps", "2", "--horizon", "3")
    run(*command, "fit", "synth:noise", *quick, "--baselines", "middle")
    assert '"middle"' in run(*command, "inspect", "--json")
    days = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    pd.DataFrame({"day": days, "units": [i * i % 7 for i in range(60)]}).to_csv(
        package.folder / "sales.csv", index=False
    )
    package.add("job.toml", JOB)
    run(*command, "run", "job.toml")
    assert '"middle"' in run(*command, "inspect", "--artifact", "store", "--json")
    compared, alone = run("-c", API).splitlines()
    assert "'middle'" in compared
    assert alone == "['middle']"
    tested = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/baselines/test_baselines.py", "-k", "middle")
    assert "passed" in tested
    assert "failed" not in tested

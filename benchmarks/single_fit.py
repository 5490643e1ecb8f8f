"""Fit and forecast single series, in a process of its own: jobs come in on stdin and go out on stdout, one JSON a line.

It imports `forecast` from PYTHONPATH, so that one benchmark can measure another checkout, and nothing else of either.
"""

import json
import sys
import time
import warnings
from typing import Any

import pandas as pd

COLUMNS = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]


def answer(job: dict[str, Any]) -> dict[str, Any]:
    """The forecasts of one job, a row of numbers a time, and the seconds that they took."""
    from forecast import Forecaster  # torch is imported once, and not by whoever reads this file

    frame = pd.read_csv(job["path"])
    # the baselines are those that `now` mixes
    models = {"default": "auto", "baselines": "pretrained"}
    settings = {"model": models.get(job["method"], job["method"])}
    if job["horizon"] is not None:
        settings["horizon"] = job["horizon"]
    begun = time.monotonic()
    table = Forecaster(**settings).fit(frame).predict()
    seconds = time.monotonic() - begun
    times = pd.to_datetime(table["time"].astype(str)).dt.strftime("%Y-%m-%d %H:%M:%S")
    return {
        "seconds": seconds,
        "times": times.tolist(),
        "numbers": table[COLUMNS].to_numpy(float).tolist(),
    }


def main() -> None:
    """Answer until stdin ends."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

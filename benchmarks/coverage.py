"""Coverage of intervals on synthetic series, and whether the guard leaves what cannot be learned to a baseline."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.methods import DEFAULT
from benchmarks.rows import Row

SERIES = 200
HORIZONS = {
    "seasonal": 12,
    "random-walk": 14,
    "multi-season": 48,
    "intermittent": 14,
    "noise": 14,
}
BASELINES = ("last", "seasonal-naive", "drift", "mean", "seasonal-mean", "theta")


def coverage_rows(
    kinds: Sequence[str],
    methods: Sequence[str],
    series: int,
    budget: float | None,
    seeds: int,
    steps: int | None,
) -> Iterator[Row]:
    """A row for each kind, method and seed; the newest horizon of each series is kept back and scored.

    Models are fitted without the guard, so that the intervals are their own; `default` is a bare fit.

    Raises
    ------
    ValueError
        If a kind is unknown.
    """
    from forecast import Forecaster  # torch is imported only where it is needed
    from forecast.tables.synthetic import synthesize

    for kind in kinds:
        if kind not in HORIZONS:
            raise ValueError(f"unknown kind '{kind}'; kinds: {', '.join(HORIZONS)}")
        horizon = HORIZONS[kind]
        for seed in range(seeds):
            frame = synthesize(kind, series=series, seed=100 + seed)
            newest = frame.groupby("series").cumcount(ascending=False) < horizon
            past, actual = (
                frame[~newest],
                frame[newest].sort_values(["series", "time"])["value"].to_numpy(float),
            )
            scale = (
                past.groupby("series")["value"]
                .apply(lambda one: one.diff().abs().mean())
                .to_numpy(float)
            )
            scale = np.repeat(np.where(scale > 0, scale, 1.0), horizon)
            simple = {
                name: _mase(Forecaster(model=name, horizon=horizon), past, actual, scale)
                for name in BASELINES
            }
            for method in methods:
                model = (
                    {"model": "auto"} if method == DEFAULT else {"model": method, "guard": False}
                )
                forecaster = Forecaster(
                    **model, horizon=horizon, budget=budget, steps=steps, seed=seed
                )
                begun = time.monotonic()
                found = forecaster.fit(past).predict().sort_values(["series", "time"])
                error = np.abs(actual - found["forecast"].to_numpy())
                yield {
                    "data": f"synth/{kind}",
                    "method": method,
                    "horizon": horizon,
                    "budget": budget,
                    "seed": seed,
                    "mase": float(np.mean(error / scale)),
                    "over_best_baseline": float(
                        np.mean(error / scale) / max(min(simple.values()), 1e-12)
                    ),
                    "coverage_80": _inside(found["lo_80"], found["hi_80"], actual),
                    "coverage_95": _inside(found["lo_95"], found["hi_95"], actual),
                    "network": float(
                        np.mean(
                            [not set(one.split("+")) <= set(simple) for one in forecaster.models()]
                        )
                    ),
                    "fit_seconds": time.monotonic() - begun,
                    "predict_seconds": None,
                    "peak_mb": None,
                }


def _mase(forecaster: "object", past: "object", actual: np.ndarray, scale: np.ndarray) -> float:
    found = forecaster.fit(past).predict().sort_values(["series", "time"])  # type: ignore[attr-defined]
    return float(np.mean(np.abs(actual - found["forecast"].to_numpy()) / scale))


def _inside(low: "object", high: "object", actual: np.ndarray) -> float:
    return float(np.mean((actual >= np.asarray(low)) & (actual <= np.asarray(high))))

"""What sums cost beside the forecasts of a large Parquet table, in time and in memory, and what a fit does for them."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.processes import Cost, run_measured
from benchmarks.speed_panels import NETWORK, SEASON, write_panel

REGIONS, HORIZON, SERIES = 10, 28, 100_000
IDS = ("--id", "region,shop")
SUMS = ("--sum-by", "region")


def sum_lines(models: list[str], sizes: list[int], rounds: int) -> Iterator[str]:
    """Lines of a report: `predict` with sums of ten regions beside `predict` of a table that the fit has seen whole.

    Both run in turns; each number is the least of some rounds. Processor time counts where others use the machine.
    """
    forecast = [sys.executable, "-m", "forecast"]
    for size in sizes or [SERIES]:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
            folder = Path(scratch)
            write_panel(folder / "panel.parquet", size, REGIONS)
            for model in models or ["seasonal-naive", "segrnn"]:
                network = NETWORK if model == "segrnn" else ("--model", model, "--no-guard")
                fit = [
                    "fit",
                    "panel.parquet",
                    *IDS,
                    *network,
                    "--horizon",
                    str(HORIZON),
                    "--season",
                    str(SEASON),
                ]
                fitted = run_measured([*forecast, *fit, "--artifact", model], folder)
                predict = [
                    *forecast,
                    "predict",
                    "panel.parquet",
                    "--artifact",
                    model,
                    "--output",
                    "out.parquet",
                ]
                pairs = [
                    (run_measured(predict, folder), run_measured([*predict, *SUMS], folder))
                    for _ in range(rounds)
                ]
                plain, sums = (_least(costs) for costs in zip(*pairs, strict=True))
                more = sums.peak_mb - plain.peak_mb
                yield (
                    f"{model}: {size:,} series in {plain.cpu_seconds:.1f} s of a core, with sums "
                    f"{sums.cpu_seconds:.1f} s, ratio {sums.cpu_seconds / plain.cpu_seconds:.2f}; "
                    f"peak {plain.peak_mb:,.0f} MB, with sums {more:+,.0f} MB; fit {fitted.cpu_seconds:.1f} s"
                )


def _least(costs: tuple[Cost, ...]) -> Cost:
    return Cost(
        *(min(values) for values in zip(*(vars(cost).values() for cost in costs), strict=True))
    )

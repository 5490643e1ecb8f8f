"""Series per second and peak memory of `forecast predict` on large Parquet tables, in processes of their own."""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.processes import Cost, run_measured
from forecast.registry import default_baselines

DAYS, SEASON, HORIZON = 200, 7, 14
SIZES = (1_000, 10_000, 100_000, 1_000_000)
FITTED = 200  # series that the saved forecasters have seen
AT_ONCE = 10_000  # series of a row group
NETWORK = ("--model", "segrnn", "--steps", "50", "--members", "1", "--no-guard")


@dataclass(frozen=True)
class Measured:
    """What one predict took.

    Attributes
    ----------
    model : that forecast
    series : so many
    cost : of the whole command
    """

    model: str
    series: int
    cost: Cost

    @property
    def rate(self) -> float:
        """Series per second, start-up and all."""
        return self.series / self.cost.seconds


def measure_panels(models: list[str], sizes: list[int], rounds: int) -> Iterator[Measured]:
    """Measure each model on each number of series, the median of some rounds; from Parquet to Parquet.

    Parameters
    ----------
    models : default segrnn and all baselines that run by default
    sizes : numbers of series
    """
    forecast = [sys.executable, "-m", "forecast"]
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        folder = Path(scratch)
        write_panel(folder / "fit.parquet", FITTED)
        for model in models or ["segrnn", *default_baselines()]:
            network = NETWORK if model == "segrnn" else ("--model", model, "--no-guard")
            fit = [
                "fit",
                "fit.parquet",
                *network,
                "--horizon",
                str(HORIZON),
                "--season",
                str(SEASON),
            ]
            run_measured([*forecast, *fit, "--artifact", model], folder)
        for size in sizes or SIZES:
            write_panel(folder / "panel.parquet", size)
            for model in models or ["segrnn", *default_baselines()]:
                predict = [
                    "predict",
                    "panel.parquet",
                    "--artifact",
                    model,
                    "--output",
                    "forecasts.parquet",
                ]
                costs = [run_measured([*forecast, *predict], folder) for _ in range(rounds)]
                yield Measured(
                    model, size, sorted(costs, key=lambda cost: cost.seconds)[rounds // 2]
                )


def panel_lines(models: list[str], sizes: list[int], rounds: int) -> Iterator[str]:
    """Lines of a report: for each measurement series per second, peak memory, and ratios to the panel before.

    The exponent is that of the time over the number of series.
    """
    before: dict[str, Measured] = {}
    for one in measure_panels(models, sizes, rounds):
        line = f"{one.model}: {one.series:,} series in {one.cost.seconds:.1f} s, {one.rate:,.0f} series/s, "
        line += f"peak {one.cost.peak_mb:,.0f} MB"
        if (last := before.get(one.model)) is not None:
            exponent = np.log(one.cost.seconds / last.cost.seconds) / np.log(
                one.series / last.series
            )
            line += f"; ratio of memory {one.cost.peak_mb / last.cost.peak_mb:.2f}, exponent of time {exponent:.2f}"
        before[one.model] = one
        yield line


def write_panel(path: Path, series: int, regions: int = 0) -> None:
    """Write daily series with a level, a week and noise, sorted by id; with regions in a column of their own."""
    days = pa.array(
        np.arange(DAYS).astype("datetime64[D]") + np.datetime64("2024-01-01").astype(int)
    )
    times = days.cast(pa.timestamp("ms"))
    columns = [("shop", pa.string()), ("day", times.type), ("units", pa.float64())]
    with pq.ParquetWriter(
        path, pa.schema([("region", pa.string())] * (regions > 0) + columns)
    ) as file:
        for low in range(0, series, AT_ONCE):
            count = min(AT_ONCE, series - low)
            names = pa.array([f"shop{number:07d}" for number in range(low, low + count)])
            codes = pa.array(np.repeat(np.arange(count), DAYS))
            of_region = pa.array(
                [f"region{number * regions // series}" for number in range(low, low + count)]
            )
            file.write_table(
                pa.table(
                    ({"region": of_region.take(codes)} if regions else {})
                    | {
                        "shop": names.take(codes),
                        "day": times.take(pa.array(np.tile(np.arange(DAYS), count))),
                        "units": _values(np.random.default_rng(low), count).ravel(),
                    }
                )
            )


def _values(random: np.random.Generator, count: int) -> np.ndarray:
    level = random.lognormal(4, 1, (count, 1))
    week = 1 + 0.2 * random.normal(size=(count, SEASON))[:, np.arange(DAYS) % SEASON]
    walk = 1 + 0.01 * random.normal(size=(count, DAYS)).cumsum(1)
    noise = 1 + 0.1 * random.normal(size=(count, DAYS))
    return np.round(np.maximum(level * week * walk * noise, 0), 2)

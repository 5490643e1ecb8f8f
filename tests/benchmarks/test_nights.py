"""The nights of the benchmark are nights of one job, on a table that goes on."""

from pathlib import Path

import pytest

from benchmarks.nights import DAYS, live, table


def test_each_night_has_one_day_more_and_one_less() -> None:
    first, second = table(3, 0), table(3, 1)
    assert len(first) == len(second) == 3 * DAYS * 24
    both = first.merge(second, on=["series", "hour"])
    assert len(both) == 3 * (DAYS - 1) * 24
    assert (both["load_x"] == both["load_y"]).all()


def test_a_night_is_measured_and_the_ledger_has_it(tmp_path: Path) -> None:
    (night,) = live(tmp_path, series=2, horizon=3, nights=1)
    assert night.ledger_mb > (tmp_path / "store.runs" / "ledger.db").stat().st_size / 1e6
    assert str(night).startswith("night 1: ")
    assert night.cost.cpu_seconds > 0
    assert (tmp_path / "out.csv").read_text().count("\n") == 1 + 2 * 3


@pytest.mark.slow
def test_memory_does_not_grow_with_the_nights_that_a_ledger_holds(tmp_path: Path) -> None:
    peaks = [night.cost.peak_mb for night in live(tmp_path, series=500, horizon=48, nights=16)]
    assert max(peaks[2:]) <= 1.05 * peaks[2]

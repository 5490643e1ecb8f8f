"""What a dry run says is measured beside the fit."""

from pathlib import Path

import pytest

from benchmarks.dry_run import measure_table
from benchmarks.processes import CommandFailed

linux = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is read from /proc"
)


@pytest.mark.slow
@linux
def test_a_dry_run_and_its_fit_are_measured(tmp_path: Path, passengers: Path) -> None:
    row = measure_table(passengers, ("--model", "theta"), tmp_path)
    assert "air_passengers.csv: time" in row.text()
    assert 0.02 < row.seconds.ratio < 50  # seconds of both, whatever else the machine does
    assert 0.5 < row.memory.ratio < 2
    assert 0.8 < row.stored.ratio < 1.25
    assert row.dry_seconds > 0


def test_a_fit_that_fails_is_shown(tmp_path: Path, passengers: Path) -> None:
    from benchmarks.dry_run import _run_watched

    with pytest.raises(CommandFailed, match="oh no"):
        _run_watched(["sh", "-c", "echo oh no; exit 3"], tmp_path)

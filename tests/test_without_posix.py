"""What works where POSIX locks, folders as descriptors and `fork` are missing, as on Windows."""

import json
import subprocess
import sys
from pathlib import Path
from shlex import split

from forecast.artifacts.store import Store

SALES = "shop,day,units\n" + "".join(
    f"{shop},2024-{1 + day // 28:02d}-{1 + day % 28:02d},{10 + 5 * (day % 7) + day % 3}\n"
    for shop in ("Łódź", "Köln")
    for day in range(112)
)
JOB = """
store = "nightly"
refit = "weekly"
as_of = "2024-04-29T00:00:00+00:00"
[source]
path = "sales.csv"
[train]
model = "linear"
baselines = ["last"]
steps = 5
members = 1
horizon = 3
[sink]
path = "nightly.csv"
url = "sqlite:///nightly.db"
table = "forecasts"
"""
SMALL = split("--model segrnn --baselines last --steps 5 --members 1 -p hidden_size=8")
SMALL += ("--horizon", "3", "--quiet")


def run(folder: Path, *commands: list[str]) -> "subprocess.CompletedProcess[bytes]":
    """Run commands in one process that has nothing but what Windows has too."""
    script = Path(__file__).with_name("_without_posix.py")
    return subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", str(script), json.dumps(commands)],
        cwd=folder,
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_fitting_predicting_saving_and_jobs_work_without_posix(tmp_path: Path) -> None:
    (tmp_path / "sales.csv").write_text(SALES, encoding="utf-8")
    (tmp_path / "job.toml").write_text(JOB, encoding="utf-8")
    store = ["--artifact", "model"]
    ended = run(
        tmp_path,
        ["fit", "sales.csv", *store, *SMALL],
        ["predict", *store, "--output", "first.csv", "--quiet"],
        ["fit", "sales.csv", *store, *SMALL, "--seed", "1"],
        ["versions", *store],
        ["rollback", *store],
        ["predict", *store, "--output", "again.csv", "--quiet"],
        ["predict", "sales.csv", *store],
        split("backtest sales.csv --model last --horizon 3 --windows 2 --by series --quiet"),
        ["inspect", *store],
        ["run", "job.toml"],
        ["run", "job.toml", "--quiet"],
        ["status", "job.toml"],
        ["promote", "SECOND", *store],
    )
    said = ended.stderr.decode("utf-8")
    assert ended.returncode == 0, said
    assert "Traceback" not in said
    assert "Łódź,2024-04-29," in ended.stdout.decode("utf-8")
    _, second = Store(tmp_path / "model").versions()
    assert (
        Store(tmp_path / "model").current() == second.id
    )  # promoted after the rollback, which the forecasts show
    assert (tmp_path / "first.csv").read_bytes() == (tmp_path / "again.csv").read_bytes()
    assert b"\r" not in (tmp_path / "first.csv").read_bytes()
    assert (tmp_path / "nightly.csv").read_text(encoding="utf-8").count("\n") == 7
    assert not list(tmp_path.rglob(".forecast-*"))

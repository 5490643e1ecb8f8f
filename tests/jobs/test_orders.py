"""A job that writes quantiles, and order-up-to levels of the first steps."""

import pandas as pd

from tests.conftest import At, Run
from tests.jobs.a_job import Job

LEVELS = "quantiles = [50, 90, 97.5]"
NEXT = '\n[[totals]]\nby = ["all", "shop"]\nevery = ["next 3", "week"]\npath = "orders.csv"\n'


def test_a_job_writes_and_scores_orders(job: Job, forecast: Run, at: At) -> None:
    job.write(output=LEVELS)
    job.file.write_text(job.file.read_text() + NEXT)
    assert forecast("run", job.file, "--as-of", at(149)).code == 0
    series = pd.read_csv(job.output)
    assert list(series) == ["shop", "day", "forecast", "p50", "p90", "p97.5"]
    orders = pd.read_csv(job.folder / "orders.csv", keep_default_na=False)
    assert list(orders)[:8] == ["level", "shop", "day", "forecast", "mean", "p50", "p90", "p97.5"]
    ahead = orders[orders["level"] == "shop/next 3"]
    assert ahead["steps"].tolist() == [3, 3]
    sums = series.groupby("shop").head(3).groupby("shop")
    assert (ahead["p90"].to_numpy() < sums["p90"].sum().to_numpy()).all()
    stored = job.stored()  # the ledger keeps the usual intervals
    assert (stored["hi_80"].to_numpy() == series["p90"].to_numpy()).all()

    ran = forecast("run", job.file, "--as-of", at(154), "--json")
    assert ran.code == 0, ran.err
    assert "shop/next 3" in {row["level"] for row in job.record()["totals"]}
    changed = forecast("diff", job.file, "--sum-every", "next 3")
    assert changed.code == 2
    assert "--sum-every 'next 3': these are other steps in each of the two runs" in changed.err
    assert forecast("diff", job.file, "--sum-by", "all").code == 0


def test_a_job_refuses_what_it_cannot_write(job: Job, forecast: Run, at: At) -> None:
    job.write(output=f"{LEVELS}\nlevels = [80]")
    found = forecast("run", job.file, "--check")
    assert found.code == 2
    assert "[output] quantiles stand in the place of intervals; leave out levels" in found.err
    job.write()
    job.file.write_text(job.file.read_text() + NEXT.replace("next 3", "next 9"))
    found = forecast("run", job.file, "--as-of", at(150))
    assert found.code == 2
    assert "the horizon has only 7 steps" in found.err

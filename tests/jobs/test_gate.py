"""What a check refuses is not published: blocked, accepted or replaced; sums go out with forecasts or not at all."""

import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.artifacts.store import Store
from forecast.inference.predictor import Predictor
from forecast.jobs import run as module
from forecast.jobs.pipeline import read_pipeline
from forecast.jobs.run import run_job
from forecast.panel.panel import Integers, Numbers, Panel
from tests.conftest import At, Run
from tests.jobs.a_job import Job

DATABASE = 'url = "sqlite:///f.db"\ntable = "forecasts"'
TOTALS = '[[totals]]\nby = "all"\npath = "all.csv"'


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a model that goes wrong: what it forecasts is multiplied, for all series or one."""
    made = module.compute_quantiles

    def wrong(factor: float, series: int | None = None) -> None:
        def spoiled(predictor: Predictor, panel: Panel) -> tuple[Integers, Numbers]:
            number, quantiles = made(predictor, panel)
            scale = np.ones((len(number), 1, 1))
            scale[slice(None) if series is None else series] = factor
            return number, scale * quantiles

        monkeypatch.setattr(module, "compute_quantiles", spoiled)

    return wrong


def left(job: Job) -> tuple[Any, ...]:
    """What sinks, ledger and store hold of published runs."""
    files = [path.read_bytes() for path in (job.output, job.folder / "all.csv")]
    cells = job.ledger("SELECT as_of, cells FROM forecast_cells ORDER BY 1")
    return (
        files,
        cells,
        job.ledger("SELECT * FROM forecast_totals ORDER BY 2"),
        Store(job.store).current(),
        rows(job),
    )


def rows(job: Job) -> list[Any]:
    with closing(sqlite3.connect(job.folder / "f.db")) as connection, connection:
        return sorted(connection.execute("SELECT * FROM forecasts").fetchall(), key=repr)


def test_a_blocked_run_changes_nothing_and_is_repeated_when_it_is_accepted(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    job.write(top='refit = "daily"', sink=DATABASE + "\n" + TOTALS)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = left(job)
    spoil(1000.0)
    ran = forecast("run", job.file, "--as-of", at(151))
    assert ran.code == 5, ran.err
    assert (
        "bounds: 100 % is the share of series with a median above 3 times the largest value of a year"
        in ran.err
    )
    assert left(job) == before
    record = job.record()
    assert record["exit_code"] == 5
    assert not record["settled"]
    assert "bounds" in record["blocked_by"]
    versions = [version.id for version in Store(job.store).versions()]
    accepted = forecast("run", job.file, "--accept")
    assert accepted.code == 0, accepted.err
    assert pd.read_csv(job.output)["forecast"].min() > 10_000
    assert Store(job.store).current() == versions[-1] != before[3]
    assert [version.id for version in Store(job.store).versions()] == versions
    assert "; it was accepted" in accepted.err
    assert (job.record()["settled"], "bounds" in job.record()["accepted"]) == (True, True)
    assert len(job.ledger("SELECT as_of FROM forecast_cells")) == 2
    assert len(rows(job)) == 28
    again = forecast("run", job.file, "--accept")
    assert (again.code, "nothing to accept" in again.err) == (2, True)
    accepted_rows = left(job)
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    assert left(job) == accepted_rows  # and the ledger says what the sinks hold
    assert job.ledger("SELECT exit_code FROM forecast_runs ORDER BY as_of") == [(0,), (0,)]


def test_a_blocked_run_has_known_what_it_knew(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    frame = job.table()
    frame.assign(promo=np.arange(len(frame)) % 3).to_csv(job.folder / "sales.csv", index=False)
    job.write(table='known = ["promo"]')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    known = job.ledger("SELECT * FROM forecast_known ORDER BY as_of")
    assert len(known) == 2
    assert forecast("run", job.file, "--accept").code == 0
    assert job.ledger("SELECT * FROM forecast_known ORDER BY as_of") == known


def test_an_accepted_run_leaves_what_one_leaves_that_only_warned(
    forecast: Run, at: At, spoil: Callable[..., None], tmp_path: Path
) -> None:
    found = []
    for place, on_error in (("blocked", "block"), ("warned", "warn")):
        (tmp_path / place).mkdir()
        each = Job(tmp_path / place)
        each.table()
        each.write(
            top='refit = "daily"',
            sink=f'{DATABASE}\n{TOTALS}\n[checks.output]\non_error = "{on_error}"',
        )
        spoil(1.0)
        codes = [forecast("run", each.file, "--as-of", at(150)).code]
        spoil(30.0)
        codes.append(forecast("run", each.file, "--as-of", at(151)).code)
        codes += [forecast("run", each.file, "--accept").code] if on_error == "block" else []
        assert codes == [0, *([5, 0] if on_error == "block" else [0])]
        found.append(left(each))
    assert found[0] == found[1]


def test_a_blocked_run_is_too_old_once_a_later_one_has_published(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    spoil(1.0)
    assert forecast("run", job.file, "--as-of", at(152)).code == 0
    ran = forecast("run", job.file, "--accept")
    assert (ran.code, "has published since" in ran.err) == (2, True)


def test_a_level_that_was_accepted_once_is_accepted_until_it_changes_again(
    job: Job, forecast: Run, at: At
) -> None:
    def codes(days: range, factor: float) -> list[int]:
        found = []
        for day in days:
            frame = job.table(day + 1)
            new = frame["day"] > f"{pd.Timestamp('2024-05-29'):%F}"
            later = (new & (factor == 10)) | (frame["day"] > "2024-06-10")
            frame["units"] *= np.where(later, factor, np.where(new, 10.0, 1.0))
            frame.to_csv(job.folder / "sales.csv", index=False)
            found.append(forecast("run", job.file, "--as-of", at(day)).code)
            if found[-1] == 5 and factor == 10:
                assert forecast("run", job.file, "--accept").code == 0
        return found

    job.write(top='refit = "never"')
    assert forecast("run", job.file, "--as-of", at(148)).code == 0
    found = codes(range(149, 162), 10.0)
    assert sum(found) == 5, found
    assert 5 in codes(range(162, 165), 1000.0)


def test_a_blocked_run_is_explained_and_a_failed_acceptance_is_not_gone_on_with(
    job: Job, forecast: Run, at: At
) -> None:
    many(job)
    job.write(top='refit = "never"')
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    frame = pd.read_csv(job.folder / "sales.csv")
    good, before = frame.copy(), job.output.read_bytes()
    frame.loc[(frame["shop"] < "shop20") & (frame["day"] > "2024-05-25"), "units"] *= 1000
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    ran = forecast("diff", job.file)
    assert ran.code == 0, ran.err
    assert "was blocked, and published nothing" in ran.out
    assert "revised history: 100 values of 20 series (shop00, " in ran.out
    assert forecast("status", job.file).out.startswith(
        "job      job: blocked, and nothing was published: "
    )
    job.output.unlink()
    job.output.mkdir()
    for _ in range(2):  # it can be repeated
        assert forecast("run", job.file, "--accept").code == 73
    assert "was blocked, and published nothing" in forecast("diff", job.file).out
    job.output.rmdir()
    job.output.write_bytes(before)
    good.to_csv(job.folder / "sales.csv", index=False)
    ran = forecast("run", job.file, "--as-of", at(152))
    assert (ran.code, "accepted" in ran.err) == (0, False)
    assert forecast("run", job.file, "--accept").code == 2


def test_a_source_that_changed_since_is_blocked_again_and_can_then_be_accepted(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    before = job.output.read_bytes()
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    job.table(scale=1.01)
    ran = forecast("run", job.file, "--accept")
    assert ran.code == 5, ran.err
    assert "has changed since the run as of 2024-06-01T12:00:00Z was blocked: nothing is" in ran.err
    assert job.output.read_bytes() == before
    assert forecast("run", job.file, "--accept").code == 0
    assert job.output.read_bytes() != before


def test_a_finding_that_was_not_reported_blocks_again(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    spoil(1000.0)
    assert forecast("run", job.file, "--as-of", at(151)).code == 5
    update = (
        "UPDATE forecast_runs SET record = json_set(record, '$.blocked_by', json('[\"late\"]'))"
    )
    with closing(sqlite3.connect(job.folder / "store.runs" / "ledger.db")) as ledger, ledger:
        ledger.execute(f"{update} WHERE exit_code = 5")
    ran = forecast("run", job.file, "--accept")
    assert (ran.code, "bounds: " in ran.err) == (5, True), ran.err
    assert forecast("run", job.file, "--accept").code == 0


def many(job: Job) -> pd.DataFrame:
    """Thirty shops."""
    frame = job.table().drop_duplicates("day")
    shops = [frame.assign(shop=f"shop{i:02}", units=frame["units"] + i) for i in range(30)]
    found = pd.concat(shops)
    found.to_csv(job.folder / "sales.csv", index=False)
    return found


def test_a_replay_says_what_the_limits_of_the_file_would_have_done(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    job.write(checks='[checks.output]\non_error = "warn"')
    for day, factor in ((150, 1.0), (151, 1000.0), (152, 1.0)):
        spoil(factor)
        assert forecast("run", job.file, "--as-of", at(day)).code == 0
    assert len(job.record()["warnings"]) == 0
    ran = forecast("run", job.file, "--check", "--replay", "90")
    assert [line.split(":")[0] for line in ran.err.splitlines()[:-1]] == ["2024-06-01T12"]
    assert "replayed 3 runs" in ran.err
    assert "1 error" in ran.err
    job.write(checks="[checks.output]\nbounds = {warn = 1, error = 1}")
    assert "no alarm" in forecast("run", job.file, "--check", "--replay", "90").err
    assert forecast("run", job.file, "--replay", "90").code == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("jump = 3", "[checks.output.jump] is a table of settings"),
        (
            "jump = {warn = -1}",
            "[checks.output.jump] warn=-1: input should be greater than or equal to 0",
        ),
        ("jump = {warn = 0.9}", "[checks.output.jump] warn 0.9 lies above error"),
        ("jump = {warm = 1}", "[checks.output.jump] unknown key 'warm'; did you mean 'warn'"),
        ("flat = {error = nan}", "[checks.output.flat] error: input should be a finite number"),
        ("width = {warn = true}", "[checks.output.width] warn cannot be true or false"),
        (
            'on_error = "blok"',
            "[checks.output] on_error='blok': input should be 'block' or 'warn'",
        ),
        ("jum = {}", "[checks.output] unknown key 'jum'; did you mean 'jump'"),
    ],
)
def test_a_wrong_limit_is_named(job: Job, forecast: Run, line: str, said: str) -> None:
    job.write(checks=f"[checks.output]\n{line}")
    ran = forecast("run", job.file)
    assert (ran.code, said in ran.err) == (2, True), ran.err
    assert not job.store.exists()


def test_a_run_for_another_output_is_blocked_and_never_accepted_into_the_sink(
    job: Job, forecast: Run, at: At, spoil: Callable[..., None]
) -> None:
    spoil(1000.0)
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.folder / "other.csv")
    assert ran.code == 5, ran.err
    assert forecast("run", job.file, "--accept").code == 2
    assert not job.output.exists()
    assert not (job.folder / "other.csv").exists()


Rows = Callable[[str, str], list[tuple]]

WEEKLY = '[[totals]]\nby = ["all", "shop"]\nevery = "week"\npath = "sums.csv"\n'
DAILY = '[[totals]]\nby = "all"\n'


def write(job: Job, totals: str, top: str = "", **sections: str) -> None:
    """A pipeline file with some [[totals]] at its end."""
    job.write(top, **sections)
    job.file.write_text(job.file.read_text() + totals)


def test_sums_go_to_files_and_tables_beside_the_forecasts(
    job: Job, forecast: Run, at: At, url: str, rows: Rows
) -> None:
    table = 'table = "{}"\n'.format
    write(
        job, WEEKLY + table("weekly") + DAILY + table("daily"), sink=f'url = "{url}"\ntable = "f"'
    )
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    sums = pd.read_csv(job.folder / "sums.csv", keep_default_na=False)
    assert list(sums)[:5] == ["level", "shop", "day", "forecast", "mean"]
    keys = [("all/week", ""), ("shop/week", "north"), ("shop/week", "south")]
    assert list(zip(sums["level"], sums["shop"], strict=True)) == keys
    assert (sums["observed"] > 0).all()  # the week to date
    stored = rows(url, "SELECT level, shop, mean, steps FROM weekly ORDER BY level, shop")
    assert stored == list(
        sums[["level", "shop", "mean", "steps"]].itertuples(index=False, name=None)
    )
    assert rows(url, "SELECT COUNT(*), MIN(origin) = MAX(origin), MIN(shop) FROM daily") in (
        [(7, 1, "")],
        [(7, True, "")],
    )
    assert rows(url, "SELECT DISTINCT origin, version FROM f") == rows(
        url, "SELECT DISTINCT origin, version FROM daily"
    )
    assert (
        f", and 10 sums to {job.folder}/sums.csv and the table weekly and the table daily"
        in ran.err
    )
    record = job.record()
    assert record["counts"]["sums"] == 10
    assert record["output"]["totals"] == [
        {"path": f"{job.folder}/sums.csv", "table": "weekly"},
        {"table": "daily"},
    ]
    before = (job.folder / "sums.csv").read_bytes()
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert (job.folder / "sums.csv").read_bytes() == before
    assert rows(url, "SELECT COUNT(*) FROM daily") == [(7,)]


def test_groups_of_a_static_column_are_different_sums(job: Job, forecast: Run, at: At) -> None:
    table = pd.read_csv(job.folder / "sales.csv")
    table["region"] = table["shop"].map({"north": "cold", "south": "warm"})
    table.to_csv(job.folder / "sales.csv", index=False)
    write(
        job,
        '[[totals]]\nby = "region"\nevery = "week"\npath = "sums.csv"\n',
        table='static = "region"',
    )
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 0, ran.err
    assert list(pd.read_csv(job.folder / "sums.csv")["region"]) == ["cold", "warm"]


def test_the_report_of_a_job_shows_its_sums(job: Job, forecast: Run, at: At) -> None:
    write(job, WEEKLY)
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    ran = forecast("report", job.file, "--output", job.folder / "page.html")
    assert ran.code == 0, ran.err
    page = (job.folder / "page.html").read_text()
    assert "Sums of the forecasts" in page
    assert "shop/week" in page


def test_sums_that_a_database_refuses_take_the_forecasts_back(
    job: Job, at: At, forecast: Run, url: str, rows: Rows, run: Callable[..., None]
) -> None:
    write(job, DAILY + 'table = "daily"\n', sink=f'url = "{url}"\ntable = "f"')
    columns = "level TEXT, shop TEXT, day TIMESTAMP, origin TIMESTAMP, version TEXT, filled INTEGER, steps INTEGER, "
    numbers = ", ".join(
        f"{name} DOUBLE PRECISION"
        for name in ("forecast", "lo_80", "hi_80", "lo_95", "hi_95", "observed", "last_year")
    )
    only = "calibrated BOOLEAN, mean DOUBLE PRECISION CHECK (mean = 0.5), PRIMARY KEY (level, shop, day, origin)"
    run(
        url, f"CREATE TABLE daily ({columns}{numbers}, {only})"
    )  # rows like those to come have means of 0.5
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code == 65, ran.err
    with pytest.raises(Exception, match=r"no such table|does not exist"):
        rows(url, "SELECT * FROM f")
    assert not job.output.exists()


REFUSED = [
    (
        'by = "shops"\npath = "s.csv"',
        "'shops' is no id column and no static one; did you mean 'shop'?",
    ),
    ('by = ["all", "shops"]\npath = "s.csv"', " in [[totals]]: "),
    ('path = "s.csv"', "each group would be one series, and nothing is summed"),
    ('by = "all"', "[[totals]] 1 give it path, or url and table, or several of these"),
    ('by = "all"\ntable = "s"', "[[totals]] 1 url and table go together"),
    ('by = "all"\nurl = "sqlite:///f.db"', "[[totals]] 1 unknown key 'url'; it belongs in [sink]"),
    ('evry = "week"\npath = "s.csv"', "unknown key 'evry'; did you mean 'every' in [[totals]]?"),
    ('by = "all"\nevery = "fortnight"\npath = "s.csv"', "[[totals]] 1 every"),
    ('by = 7\npath = "s.csv"', "[[totals]] 1 by"),
    (
        'by = "all"\npath = "out.csv"',
        "[[totals]] 1 {}/out.csv is also written by [sink]; write elsewhere",
    ),
    ('by = "all"\npath = "link.csv"', "also written by [sink]"),
    (
        'by = "all"\npath = "sales.csv"',
        "[[totals]] 1 path {}/sales.csv is the table of [source] path",
    ),
    ('by = "all"\npath = "store/CURRENT"', "would replace a file of the store"),
    ('by = "all"\npath = "s.csv.gz"', "forecasts are written as .csv, .parquet or .xlsx"),
    ('by = "all"\npath = "s.exe"', "s.exe: forecasts are written as .csv, .parquet or .xlsx"),
    (
        'by = "all"\nevery = "year"\npath = "s.csv"',
        "the horizon of 7 steps does not reach the end of a year",
    ),
    ('by = "all"\npath = "nowhere/\\u0000.csv"', "NUL"),
]


@pytest.mark.parametrize(("lines", "said"), REFUSED)
def test_what_is_wrong_with_sums_is_said_before_any_work(
    job: Job, at: At, lines: str, said: str, forecast: Run
) -> None:
    (job.folder / "link.csv").symlink_to("out.csv")
    write(job, f"[[totals]]\n{lines}\n")
    ran = forecast("run", job.file, "--as-of", at(150))
    assert ran.code in (2, 73), ran.err
    assert said.format(job.folder) in ran.err
    assert not list(job.store.glob("v-*"))
    assert not job.output.exists()


TABLES = [
    (
        '[sink]\nurl = "sqlite:///f.db"\ntable = "f"',
        'table = "main.F"',
        "main.F is also written by [sink]",
    ),
    (
        '[sink]\nurl = "sqlite:///f.db"\ntable = "f"',
        'table = "forecast_cells"',
        "is one of the program's own",
    ),
]


@pytest.mark.parametrize(("sections", "lines", "said"), TABLES)
def test_sums_that_do_not_go_with_the_rest_of_a_file_are_refused(
    job: Job, forecast: Run, sections: str, lines: str, said: str
) -> None:
    top = 'ledger = "sink"\n' if "url" in sections else ""
    job.file.write_text(
        f'{top}[source]\npath = "sales.csv"\n{sections}\n[[totals]]\nby = "all"\n{lines}\n'
    )
    ran = forecast("run", job.file, "--check")
    assert ran.code == 2
    assert said in ran.err


def test_totals_are_a_list_and_a_column_may_not_be_called_like_theirs(
    job: Job, forecast: Run, at: At
) -> None:
    write(job, '[totals]\nby = "all"\n')
    ran = forecast("run", job.file, "--check")
    assert (ran.code, "'totals' is a list of tables: write [[totals]]" in ran.err) == (2, True)
    job.table().rename(columns={"shop": "level"}).to_csv(job.folder / "sales.csv", index=False)
    write(job, '[[totals]]\nby = "all"\npath = "s.csv"\n', table='id = "level"')
    ran = forecast("run", job.file, "--as-of", at(150))
    assert (ran.code, "columns 'level' have the names of" in ran.err) == (2, True)
    assert not list(job.store.glob("v-*"))


def test_a_horizon_that_only_sometimes_ends_a_period_is_warned_of(
    job: Job, forecast: Run, at: At
) -> None:
    write(job, '[[totals]]\nby = "all"\nevery = "month"\npath = "s.csv"\n')
    ended = forecast("run", job.file, "--as-of", at(148))  # the newest day is 2024-05-28
    assert ended.code == 0, ended.err
    assert "7 steps do not always reach the end of a month" in ended.err
    assert "31 always do" in ended.err
    before = job.output.read_bytes(), (job.folder / "s.csv").read_bytes()
    ran = forecast("run", job.file, "--as-of", at(155))
    assert (ran.code, "does not reach the end of a month" in ran.err) == (2, True)
    assert (job.output.read_bytes(), (job.folder / "s.csv").read_bytes()) == before
    write(job, '[[totals]]\nby = "all"\nevery = ["month", "week"]\npath = "s.csv"\n')
    assert forecast("run", job.file, "--as-of", at(155)).code == 0
    assert set(pd.read_csv(job.folder / "s.csv")["level"]) == {"all/week"}


MONTHLY = '[[totals]]\nby = "all"\nevery = "month"\npath = "s.csv"\n'


@pytest.mark.parametrize("first", [(), ("--output", "else.csv")])
def test_sums_by_month_have_the_next_month_on_every_night(
    job: Job, forecast: Run, at: At, monkeypatch: pytest.MonkeyPatch, first: tuple[str, ...]
) -> None:
    monkeypatch.chdir(job.folder)
    write(job, MONTHLY, top='refit = "never"')
    job.file.write_text(job.file.read_text().replace("horizon = 7", ""))
    assert (
        forecast("run", job.file, "--as-of", at(140), *first).code == 0
    )  # the newest day is 2024-05-20
    for night, following in (
        (141, "2024-06-01"),
        (151, "2024-06-01"),
        (152, "2024-07-01"),
        (182, "2024-08-01"),
    ):
        ran = forecast("run", job.file, "--as-of", at(night))
        assert ran.code == 0, ran.err
        assert "do not always reach" not in ran.err
        assert following in pd.read_csv(job.folder / "s.csv")["day"].tolist()
        assert pd.read_csv(job.output)["day"].nunique() == 61


def test_a_horizon_that_the_file_names_stays_and_one_with_known_columns_is_the_usual(
    job: Job, forecast: Run, at: At
) -> None:
    write(job, MONTHLY)
    for night in (148, 149):
        assert forecast("run", job.file, "--as-of", at(night)).code == 0
        assert pd.read_csv(job.output)["day"].nunique() == 7
    frame = job.table().assign(promo=0)
    frame.to_csv(job.folder / "sales.csv", index=False)
    write(job, MONTHLY, table='known = ["promo"]')
    job.file.write_text(job.file.read_text().replace("horizon = 7", ""))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    assert pd.read_csv(job.output)["day"].nunique() == 14


def test_an_output_of_a_run_leaves_the_sums_alone(job: Job, forecast: Run, at: At) -> None:
    write(job, WEEKLY)
    ran = forecast("run", job.file, "--as-of", at(150), "--output", job.folder / "else.csv")
    assert ran.code == 0, ran.err
    assert "totals   are not written: --output takes the place of the sinks" in ran.err
    assert not (job.folder / "sums.csv").exists()


@pytest.mark.parametrize("place", ["path", "table"])
def test_sums_have_one_job_that_writes_them(job: Job, forecast: Run, at: At, place: str) -> None:
    lines = 'path = "sums.csv"' if place == "path" else 'table = "sums"'
    sink = 'url = "sqlite:///f.db"\ntable = "{}"'
    write(job, f"{DAILY}{lines}\n", sink=sink.format("f"))
    assert forecast("run", job.file, "--as-of", at(150)).code == 0
    text = (
        job.file.read_text()
        .replace('"store"', '"other"')
        .replace("out.csv", "o.csv")
        .replace('"f"', '"g"')
    )
    (job.folder / "other.toml").write_text(text)
    for words in (["--check"], ["--as-of", at(150)]):
        ran = forecast("run", job.folder / "other.toml", *words)
        assert (ran.code, "is written by job 'job'" in ran.err) == (2, True)
    assert not list((job.folder / "other").glob("v-*"))
    ran = forecast("run", job.folder / "other.toml", "--as-of", at(150), "--take-over")
    assert (ran.code, "and job 'other' takes it over" in ran.err) == (0, True)
    assert forecast("run", job.file, "--as-of", at(151)).code == 2


def test_sums_are_scored_by_level_once_all_of_their_values_are_known(
    job: Job, forecast: Run, at: At
) -> None:
    write(
        job,
        '[[totals]]\nby = ["all", "shop"]\nevery = "week"\npath = "sums.csv"\n',
        top='refit = "never"',
    )
    frame, wrote = job.table(), []
    for night in (145, 149, 154):
        assert run_job(read_pipeline(str(job.file)), as_of=at(night)).exit_code == 0
        wrote.append(pd.read_csv(job.folder / "sums.csv", keep_default_na=False))
    sums = pd.concat(wrote).assign(day=lambda rows: pd.to_datetime(rows["day"]))
    frame["day"] = pd.to_datetime(frame["day"])
    lost = pd.Timestamp("2024-06-04")
    frame[(frame["day"] != lost) | (frame["shop"] != "south")].to_csv(
        job.folder / "sales.csv", index=False
    )
    record = run_job(read_pipeline(str(job.file)), as_of=at(161))  # up to a Monday
    week = frame.groupby(
        ["shop", frame["day"] + pd.to_timedelta(6 - frame["day"].dt.day_of_week, "D")]
    )["units"].sum()
    known = sums[(sums["shop"] == "north") | (sums["day"] < "2024-06-09")]
    for level in ("all/week", "shop/week"):
        rows = known[(known["level"] == level) & (known["day"] < "2024-06-16")]
        actual = [
            sum(
                week[name, row.day] for name in (["north", "south"] if not row.shop else [row.shop])
            )
            for row in rows.itertuples()
        ]
        found = next(score for score in record.totals if score["level"] == level)
        assert found["sums"] == len(rows) > 1
        assert found["error"] == pytest.approx(
            (rows["forecast"] - actual).abs().sum() / sum(actual)
        )
        assert found["bias"] == pytest.approx((rows["forecast"] - actual).sum() / sum(actual))
        assert (
            found["coverage_80"] == ((rows["lo_80"] <= actual) & (actual <= rows["hi_80"])).mean()
        )
    shown = forecast("status", job.file).out
    assert re.search(
        rf"^totals +sums +error +bias.*\nall/week +{record.totals[0]['sums']} +0\.",
        shown,
        re.MULTILINE,
    )
    assert json.loads(forecast("status", job.file, "--json").out)[0]["totals"] == record.totals


def test_a_ledger_without_sums_goes_on(job: Job, at: At) -> None:
    job.write()
    assert run_job(read_pipeline(str(job.file)), as_of=at(150)).exit_code == 0
    assert (
        job.ledger("SELECT name FROM sqlite_master WHERE name = 'forecast_totals'") == []
    )  # as in an earlier release
    write(job, WEEKLY)
    for night in range(151, 154):
        assert run_job(read_pipeline(str(job.file)), as_of=at(night)).exit_code == 0
    assert job.ledger("SELECT count FROM forecast_totals") == [(3,), (3,), (3,)]


def test_new_shops_like_another_are_no_copies_of_it(job: Job, forecast: Run, at: At) -> None:
    rows = [f"new{i},north,2024-07-19" for i in range(12)]
    (job.folder / "new.csv").write_text("\n".join(["shop,like,from", *rows]) + "\n")
    job.write(table='successors = "new.csv"')
    ran = forecast("run", job.file, "--as-of", at(199))
    assert ran.code == 0, ran.err
    assert pd.read_csv(job.output)["shop"].nunique() == 14

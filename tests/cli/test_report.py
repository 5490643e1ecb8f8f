"""The report: what it says, that it is one safe file, and how large it gets."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run
from tests.jobs.a_job import Job, at, job

__all__ = ["at", "job"]  # fixtures


NAMES = (
    "north",
    "</script><b>",
    "a & 'b' \"c\"",
    "red\x1b[35m",
    *(f"shop {number}" for number in range(12)),
)
DAYS = 90
SETTINGS = "--layout long --time day --id shop --target units --season 7 --model theta --horizon 7"
SECTIONS = [
    "Sums of the forecasts",
    "Errors in the past",
    "Coverage of the intervals",
    "Forecasts",
    "Who forecasts what",
    "Versions",
    "What was read",
    "Gaps in the data",
    "How to repeat it",
]


@dataclass
class Parsed(HTMLParser):
    """A page as a parser of HTML reads it."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)
    inside: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside.append(dict(attrs).get("id") or tag)
        self.texts.setdefault(self.inside[-1], []).append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = self.inside[:-1]

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.texts[self.inside[-1]][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@dataclass
class Report:
    """A page, and what its script reads."""

    text: str

    @property
    def parsed(self) -> Parsed:
        found = Parsed()
        found.feed(
            re.sub(r"<(meta|input)([^>]*)>", r"<\1\2></\1>", self.text)
        )  # these two have no end
        return found

    @property
    def verdict(self) -> str:
        return self.parsed.texts["verdict"][0].replace("\u00a0", " ")

    @property
    def sections(self) -> list[str]:
        return [
            text
            for key, texts in self.parsed.texts.items()
            if re.fullmatch(r"s\d+", key)
            for text in texts
        ]

    @property
    def charts(self) -> list[list[Any]]:
        """Title, name of the places, both ends, names of lines, lines and targets of each."""
        return [
            json.loads(text)
            for text in re.findall(r'<script type="application/json">(.*?)</script>', self.text)
        ]

    @property
    def data(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.parsed.texts["data"][0])
        return found


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Daily sales of shops with a week, one with a gap."""
    random, day = np.random.default_rng(0), np.tile(np.arange(DAYS), len(NAMES))
    frame = pd.DataFrame(
        {
            "shop": np.repeat(NAMES, DAYS),
            "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "units": (50 + 10 * np.sin(2 * np.pi * day / 7) + random.normal(0, 3, len(day))).round(
                2
            ),
        }
    )
    path = tmp_path_factory.mktemp("report") / "sales.csv"
    frame.drop(frame.index[60:64]).to_csv(path, index=False)
    return path


@pytest.fixture
def fitted(forecast: Run, sales: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of a folder with a store of the sales and a backtest, in which the test runs; made by the first test."""
    made = sales.parent / "made"
    if not made.exists():
        words = ("--quiet", "--model", "theta", "--horizon", 7)
        assert forecast("fit", sales, *words, "--artifact", made / "shops").code == 0
        test = (
            *split("--model theta,drift --horizon 7 --windows 4"),
            "--output",
            made / "tests.json",
            "--quiet",
        )
        assert forecast("backtest", sales, *test).code == 0
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def report(forecast: Run, *words: object) -> Report:
    ran = forecast("report", *words, "--output", "report.html")
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert ran.err.endswith("written  report.html\n")
    return Report(Path("report.html").read_text(encoding="utf-8"))


def test_the_verdict_says_the_numbers_of_the_backtest(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    own = next(
        row
        for row in json.loads(Path("tests.json").read_text())["overall"]
        if row["model"] == "theta"
    )
    assert own["skill"] > 0.1
    held = ", ".join(
        f"{level} % intervals held {100 * own[f'coverage_{level}']:.0f} %" for level in (80, 95)
    )
    assert (
        page.verdict
        == f"theta: {round(100 * own['skill'])} % less error than seasonal naive on 4 origins; {held}."
    )
    assert page.sections == SECTIONS
    assert "4 of 1,440 values are missing, in 1 of 16 series." in page.text
    assert "<td>2024-03-01</td><td>2024-03-04</td>" in page.text


def test_without_a_backtest_the_verdict_is_that_of_the_fit_and_a_command_makes_one(
    forecast: Run, fitted: Path
) -> None:
    page = report(forecast, "--artifact", "shops")
    guard = next(
        line
        for line in forecast("inspect", "--artifact", "shops").out.splitlines()
        if "guard" in line
    )
    assert page.verdict.lower() == f"{guard.removeprefix('guard    ')}."
    assert page.sections == [name for name in SECTIONS if name != "Coverage of the intervals"]
    assert f"forecast backtest DATA {SETTINGS} --output backtest.json" in page.text


def test_the_command_of_the_fit_makes_the_same_version_again(
    forecast: Run, fitted: Path, sales: Path
) -> None:
    page = report(forecast, "--artifact", "shops")
    line = next(line for line in page.text.splitlines() if line.startswith("forecast fit DATA "))
    assert line == f"forecast fit DATA {SETTINGS} --artifact shops"
    words = line.replace("DATA", str(sales)).replace("shops", "again").split()[1:]
    assert forecast(*words, "--quiet").code == 0
    hashes = [
        json.loads(forecast("inspect", "--artifact", name, "--json").out)["hash"]
        for name in ("shops", "again")
    ]
    assert hashes[0] == hashes[1]


def test_a_backtest_of_values_that_the_fit_has_seen_says_so(
    forecast: Run, fitted: Path, sales: Path
) -> None:
    test = ("--artifact", "shops", "--windows", 4, "--output", "seen.json", "--quiet")
    assert forecast("backtest", sales, *test).code == 0
    page = report(forecast, "--artifact", "shops", "--backtest", "seen.json")
    assert page.verdict.endswith("; at its fit it had seen the values of 4 of them.")
    assert "these errors may be too small" in page.text
    later = pd.read_csv(sales)
    later["day"] = (pd.to_datetime(later["day"]) + pd.Timedelta(days=28)).dt.strftime("%Y-%m-%d")
    later.to_csv("later.csv", index=False)
    assert forecast("backtest", "later.csv", *test).code == 0
    assert "seen" not in report(forecast, "--artifact", "shops", "--backtest", "seen.json").verdict


def test_a_backtest_alone_needs_no_store(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--backtest", "tests.json")
    assert page.verdict.startswith("theta: ")
    assert page.sections == ["Errors in the past", "Coverage of the intervals", "How to repeat it"]


def test_the_forecasts_are_those_of_predict_with_four_digits(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json").data
    table = forecast("predict", "--artifact", "shops").frame
    errors = {
        row["shop"]: row["mase"]
        for row in json.loads(Path("tests.json").read_text())["by_series"]
        if row["model"] == "theta"
    }
    assert [each[0] for each in page["series"]] == [*NAMES[:3], "red\\x1b[35m", *NAMES[4:]]
    for name, (_, note, error, time, past, *ahead) in zip(NAMES, page["series"], strict=True):
        own = table[table["shop"] == name]
        for numbers, column in zip(
            ahead, ("forecast", "lo_80", "hi_80", "lo_95", "hi_95"), strict=True
        ):
            assert numbers == [float(f"{value:.4g}") for value in own[column]]
        assert page["times"][time] == ["2024-03-30", *own["day"]]
        assert error == pytest.approx(errors[name], rel=1e-3)
        assert note == "theta"
        assert len(past) == 40
    assert page["series"][0][4][10:14] == [None] * 4  # the gap


def test_the_sum_of_all_series_stands_beside_its_past(
    forecast: Run, fitted: Path, sales: Path
) -> None:
    page = report(forecast, "--artifact", "shops")
    found = json.loads(
        re.findall(
            r'<script type="application/json" class="data">(.*?)</script>', page.text, re.DOTALL
        )[0]
    )
    # the past holds no whole quarter, and of month and week the month is longer
    made = forecast(
        "predict", sales, "--artifact", "shops", "--sum-by", "all", "--sum-every", "month"
    ).frame.iloc[0]
    ((title, note, _, _, past, *ahead),) = found["series"]
    assert (title, note) == ("all", f"per month, {made['observed']:,.0f} so far")
    by_day = pd.read_csv(sales).pivot_table(index="day", columns="shop", values="units")
    by_day = by_day.fillna(by_day.shift(7)).sum(axis=1)  # what is missing counts as a week earlier
    assert past == [
        float(f"{by_day.filter(like=month).sum():.4g}") for month in ("2024-01", "2024-02")
    ]
    assert [values[0] for values in ahead] == [
        float(f"{made[name]:.4g}") for name in ("forecast", "lo_80", "hi_80", "lo_95", "hi_95")
    ]
    cells = re.findall(r'<tr><th scope="row">all/month</th>(.*?)</tr>', page.text)[0]
    assert re.findall("<td[^>]*>([^<]*)</td>", cells)[:2] == ["", "2024-03-01"]
    assert f'<td class="num">{made["mean"]:,.0f}</td>' in cells


def test_a_smaller_horizon_cuts_forecasts_as_predict_does(forecast: Run, fitted: Path) -> None:
    store = ("--artifact", "shops")
    whole = report(forecast, *store).data["series"]
    page = report(forecast, *store, "--horizon", 3)
    assert "Forecasts of 3 steps after " in page.text
    assert [each[5] for each in page.data["series"]] == [each[5][:3] for each in whole]
    ran = forecast(
        "report", *store, "--horizon", 3, "--backtest", "tests.json", "--output", "t.html"
    )
    assert "tests.json tests 7 steps, and the store forecasts 3" in ran.err
    version = json.loads(forecast("inspect", *store, "--json").out)["version"]
    again = f"report {' '.join(store)} --version {version} --horizon 3 --output report.html"
    assert f"forecast {again}" in page.text
    assert forecast(*again.split()).code == 0
    assert f"forecast predict {' '.join(store)} --version {version} --horizon 3" in page.text
    long = forecast("report", *store, "--horizon", 9, "--output", "long.html")
    assert (long.code, long.err) == (2, forecast("predict", *store, "--horizon", 9).err)
    assert "fit again with --horizon 9" in long.err
    assert not Path("long.html").exists()
    alone = ("--backtest", "tests.json", "--horizon", 3, "--output", "alone.html")
    assert forecast("report", *alone).code == 66  # a backtest alone forecasts nothing


def test_a_smaller_horizon_cuts_what_the_ledger_holds_and_sums(
    forecast: Run, job: Job, at: Callable[[int], str]
) -> None:
    for every, level, steps in (("horizon", "horizon", 3), ("next 5", "quarter", 2)):
        job.write()
        with job.file.open("a") as file:
            file.write(f'[[totals]]\nby = "all"\nevery = "{every}"\npath = "sums.csv"\n')
        job.table(180)  # to 28 June
        assert forecast("run", job.file, "--as-of", at(179), "--quiet").code == 0
        output = job.folder / "report.html"
        ran = forecast("report", job.file, "--horizon", 3, "--output", output)
        assert ran.code == 0, ran.err
        page = Report(output.read_text())
        newest = pd.read_csv(job.output)
        for each in page.data["series"]:
            own = newest[newest["shop"] == each[0]][:3]
            assert page.data["times"][each[3]][1:] == own["day"].tolist()
            assert each[5] == [float(f"{value:.4g}") for value in own["forecast"]]
        ((name, cells),) = re.findall(r'<th scope="row">(all/\w+)</th>(.*?)</tr>', page.text)
        assert (name, re.findall("<td[^>]*>([^<]*)</td>", cells)[-3]) == (
            f"all/{level}",
            str(steps),
        )
        assert f"forecast report {job.file} --horizon 3 --output {output}" in page.text
    refused = forecast("report", job.file, "--horizon", 8, "--output", output)
    assert refused.code == 2
    assert "fit again with --horizon 8" in refused.err


def test_gaps_that_events_ignore_are_no_gaps(forecast: Run, fitted: Path, sales: Path) -> None:
    known = "start,end,name,kind\n2024-02-10,2024-02-12,scanner broken,ignore\n"
    Path("events.csv").write_text(known + "2024-03-01,2024-03-03,move,ignore\n")
    words = ("--model", "theta", "--horizon", 7, "--quiet", "--artifact", "events")
    assert forecast("fit", sales, "--events", "events.csv", *words).code == 0
    page = report(forecast, "--artifact", "events")
    assert "1 of 1,440 values are missing, in 1 of 16 series." in page.text
    row = re.findall(r'<th scope="row">north</th>(.*?)</tr>', page.text)[-1]
    longest, *days = re.findall("<td[^>]*>([^<]*)</td>", row)[-3:]
    assert (longest, *days) == ("1", "2024-03-04", "2024-03-04")
    Path("events.csv").write_text(known + "2024-03-01,2024-03-04,move,ignore\n")
    assert forecast("fit", sales, "--events", "events.csv", *words).code == 0
    assert "No value is missing." in report(forecast, "--artifact", "events").text


def test_text_of_users_ends_no_script_and_makes_no_tag(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    assert page.text.count("</script>") == page.text.count("<script")
    assert "<b>" not in page.text
    assert "\x1b" not in page.text
    assert [row[0] for row in page.data["series"]][:4] == [
        "north",
        "</script><b>",
        "a & 'b' \"c\"",
        "red\\x1b[35m",
    ]


def test_the_page_fetches_nothing_and_runs_its_own_script_only(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    parsed = page.parsed
    assert not {"link", "img", "iframe", "object", "embed", "base", "image", "use"} & {
        tag for tag, _ in parsed.tags
    }
    assert not [
        attrs
        for _, attrs in parsed.tags
        if {"src", "style", "onclick", "xlink:href"} & attrs.keys()
    ]
    assert [
        attrs["href"] for attrs in parsed.all("a") if not str(attrs["href"]).startswith("#")
    ] == []
    assert [
        text
        for text in re.findall(r"https?://[^\"]*", page.text)
        if text != "http://www.w3.org/2000/svg"
    ] == []
    assert "url(" not in page.text
    assert "@import" not in page.text
    policy = next(str(attrs["content"]) for attrs in parsed.all("meta") if "http-equiv" in attrs)
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    for tag, kind in (("style", "style"), ("script", "script")):
        content = re.findall(rf"<{tag}>(.*?)</{tag}>", page.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert len(content) == 1
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_without_a_script_the_page_says_so_and_all_tables_are_there(
    forecast: Run, fitted: Path
) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    parsed = page.parsed
    assert parsed.texts["unscripted"][0].startswith("Scripts are off here")
    assert "nan" not in re.sub(r"[a-z]{4,}", "", page.text.lower()).split()
    assert {
        key: value for key, value in parsed.all("form")[0].items() if key in ("id", "hidden")
    } == {
        "id": "controls",
        "hidden": None,
    }
    assert len(parsed.all("table")) >= 8
    assert parsed.texts["shown"] == ["16 series"]


def test_the_page_can_be_used_by_keyboard_and_screen_reader(forecast: Run, fitted: Path) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    parsed = page.parsed
    levels = [int(tag[1]) for tag, _ in parsed.tags if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(later - level <= 1 for level, later in pairwise(levels))
    assert parsed.all("html") == [{"lang": "en"}]
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    pointed = [str(attrs["href"])[1:] for attrs in parsed.all("a")]
    pointed += [
        str(attrs[name])
        for _, attrs in parsed.tags
        for name in ("aria-controls", "aria-labelledby")
        if name in attrs
    ]
    assert set(pointed) <= set(ids)
    assert len(parsed.all("caption")) == len(parsed.all("table"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in parsed.all("th"))
    assert all("aria-hidden" in attrs or attrs.get("role") == "img" for attrs in parsed.all("svg"))
    assert all(attrs.get("type") == "button" for attrs in parsed.all("button"))
    for needed in (
        "@media print",
        "@media screen and (prefers-color-scheme: dark)",
        ":focus-visible",
    ):
        assert needed in page.text


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_draws_charts_and_series_and_searches_sorts_and_turns_pages(
    forecast: Run, fitted: Path
) -> None:
    page = report(forecast, "--artifact", "shops", "--backtest", "tests.json")
    actions = [
        ["next", "click"],
        ["sort", "change", "worst"],
        ["sort", "change", "name"],
        ["search", "input", "SHOP 1"],
    ]
    command = [
        "node",
        str(Path(__file__).with_name("_browser.js")),
        "report.html",
        json.dumps(actions),
    ]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second, worst, by_name, found = json.loads(ran.stdout)
    assert first["unscripted"] is True  # hidden
    assert first["charts"] == [
        ["MASE by step of the horizon", ["seasonal-naive", "theta", "drift"]],
        ["Share of values inside the intervals of theta, by step of the horizon", ["80 %", "95 %"]],
    ]
    assert first["legend"] == ["history", "forecast", "80 % interval", "95 % interval"]
    table = forecast("predict", "--artifact", "shops").frame
    for one, name in zip(first["figures"][:2], NAMES, strict=False):
        own = table[table["shop"] == name]
        assert one["label"].startswith(
            f"{name}: forecast {own['forecast'].iloc[0]:.4g} for 2024-03-31, "
        )
        assert (one["title"], one["note"].startswith("MASE ")) == (name, True)
    # two rules, two bands, past and forecast, then the ends of both axes
    past, ahead = first["figures"][1]["drawn"][4:6]
    heights = np.array(re.findall(r"[ML][\d.]+ ([\d.]+)", past + ahead), float)
    numbers = [
        *page.data["series"][1][4],
        page.data["series"][1][4][-1],
        *page.data["series"][1][5],
    ]
    assert np.corrcoef(heights, numbers)[0, 1] < -0.9999  # higher numbers are higher up
    assert re.findall("[ML]", first["figures"][0]["drawn"][4]).count("M") == 2  # the gap
    assert (first["shown"], second["shown"]) == ("1 to 12 of 16 series", "13 to 16 of 16 series")
    titles = [
        [each["title"] for each in state["figures"]] for state in (second, worst, by_name, found)
    ]
    assert titles[0] == list(NAMES[12:])
    errors = sorted(((each[2], each[0]) for each in page.data["series"]), reverse=True)
    assert titles[1] == [name for _, name in errors[:12]]
    assert titles[2][-8:] == [f"shop {number}" for number in range(8)]
    assert titles[3] == ["shop 1", "shop 10", "shop 11"]
    assert found["shown"] == "1 to 3 of 3 series that match, of 16"
    (((sum_of_all,),),) = (first["sums"],)
    assert sum_of_all["label"].startswith("all: forecast ")


def test_a_job_adds_its_nights_and_versions(
    forecast: Run, job: Job, at: Callable[[int], str]
) -> None:
    for days in (196, 197, 198):
        job.table(days)
        assert forecast("run", job.file, "--as-of", at(days - 1), "--quiet").code == 0
    ran = forecast("report", job.file, "--output", job.folder / "report.html")
    assert ran.code == 0, ran.err
    page = Report((job.folder / "report.html").read_text())
    assert page.sections[-6:-3] == ["Versions", "Changes", "Runs"]
    rows = job.ledger("SELECT count, coverage_95 FROM forecast_scores GROUP BY day")
    values = sum(count for count, _ in rows)
    held = sum(count * share for count, share in rows) / values
    told = f"In the job's last {len(rows)} scored days 95 % intervals held {100 * held:.0f} % of {values} values"
    assert told in page.verdict
    assert page.text.count('<th scope="row">2024-07-1') == 3 + len(rows)
    assert job.record()["version"] in page.text
    newest = pd.read_csv(job.output)
    for each in page.data["series"]:
        own = newest[newest["shop"] == each[0]]
        assert page.data["times"][each[3]][1:] == own["day"].tolist()
        assert each[5] == [float(f"{value:.4g}") for value in own["forecast"]]
    assert f"forecast run {job.file}" in page.text


def test_a_job_draws_every_series_up_to_its_newest_run(
    forecast: Run, job: Job, at: Callable[[int], str]
) -> None:
    job.table(196)
    assert forecast("run", job.file, "--as-of", at(195), "--quiet").code == 0
    frame = job.table(199)
    new = frame[frame["shop"] == "north"].assign(shop="new")
    frame = pd.concat([frame, new])
    frame.to_csv(job.folder / "sales.csv", index=False)
    assert forecast("run", job.file, "--as-of", at(198), "--quiet").code == 0
    page = job.folder / "report.html"
    assert forecast("report", job.file, "--output", page).code == 0
    drawn = {each[0]: each for each in Report(page.read_text()).data["series"]}
    assert set(drawn) == set(frame["shop"])
    for name, own in frame.groupby("shop"):
        assert drawn[name][4][-3:] == [float(f"{value:.4g}") for value in own["units"].tail(3)]
    job.ledger("DELETE FROM forecast_inputs")
    assert forecast("report", job.file, "--output", page).code == 0
    assert "steps after" in Report(page.read_text()).text


def test_a_fitted_network_with_known_columns_has_a_report(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    panel_frame.to_csv("sales.csv", index=False)
    words = ("--target", "units", "--known", "promo", "--id", "shop", "--horizon", 5)
    fast = ("--model", "linear", "--steps", 5, "--members", 1, "--quiet")
    assert forecast("fit", "sales.csv", *words, *fast).code == 0
    page = report(forecast)
    assert "History only: forecasts need the future values of promo" in page.text
    assert set(page.data["series"][0][5]) == {None}
    future = pd.concat(
        pd.DataFrame(
            {
                "shop": shop,
                "day": pd.date_range("2024-03-21", periods=5).strftime("%Y-%m-%d"),
                "promo": 1,
            }
        )
        for shop in panel_frame["shop"].unique()
    )
    future.to_csv("future.csv", index=False)
    assert None not in report(forecast, "--future", "future.csv").data["series"][0][5]


def test_training_and_attention_of_networks_are_shown(
    forecast: Run, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fast = ("--model", "attention-lstm", "--steps", 3, "--members", 1, "--no-guard", "--quiet")
    assert forecast("fit", passengers, *fast).code == 0
    page = report(forecast)
    assert "Training of the networks" in page.text
    assert re.search(r"<th scope=\"row\">attention-lstm</th><td class=\"num\">3</td>", page.text)
    title = "Attention of the network to the past, the mean over series"
    (chart,) = [data for data in page.charts if data[0] == title]
    assert len(chart[5][0]) == json.loads(forecast("inspect", "--json").out)["lookback"]


def test_series_without_dates_and_without_ids_have_a_report(
    forecast: Run, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(
        "id,1,2,3,4,5,6,7,8,9\na,1,2,3,4,5,6,7,8,9\nb,2,1,2,1,2,1,2,,\nc,5,5,5,5,5,5,5,5,5\n"
    )
    naive = ("--model", "last", "--horizon", 2, "--quiet", "--artifact")
    assert forecast("fit", "rows.csv", "--layout", "rows", *naive, "rows").code == 0
    page = report(forecast, "--artifact", "rows")
    assert [page.data["times"][each[3]] for each in page.data["series"]] == [
        ["9", "10", "11"],
        ["7", "8", "9"],
        ["9", "10", "11"],
    ]
    assert page.data["series"][2][5] == [5, 5]
    assert forecast("fit", passengers, *naive, "air").code == 0
    assert report(forecast, "--artifact", "air").data["series"][0][0] == "passengers"


def test_what_cannot_be_a_report_is_refused_and_nothing_is_written(
    forecast: Run, fitted: Path, sales: Path
) -> None:
    def refused(code: int, text: str, *words: object) -> None:
        ran = forecast("report", *words)
        assert (ran.code, ran.out) == (code, "")
        assert text in ran.err

    before = sorted(fitted.iterdir())
    store = ("--artifact", "shops")
    refused(2, "a report is written as .html; name such a file", *store, "--output", "report.pdf")
    refused(2, "Missing option '--output'", *store)
    refused(66, "no forecaster can be read here", "--artifact", "nowhere", "--output", "r.html")
    refused(
        66, "none.json cannot be opened", *store, "--backtest", "none.json", "--output", "r.html"
    )
    refused(65, "has no measures of a backtest", *store, "--backtest", sales, "--output", "r.html")
    refused(2, "would replace a file of the store", *store, "--output", "shops/v-1.html")
    assert sorted(fitted.iterdir()) == before
    Path("tests.html").write_bytes(Path("tests.json").read_bytes())
    refused(
        2,
        "the output would replace it",
        *store,
        "--backtest",
        "tests.html",
        "--output",
        "tests.html",
    )
    for broken in (
        "[]",
        '{"overall": [], "by_series": [], "by_step": []}',
        '{"overall": 3, "origins": []}',
        "[" * 9999,
    ):
        Path("broken.json").write_text(broken)
        refused(65, "broken.json", *store, "--backtest", "broken.json", "--output", "r.html")


def test_a_backtest_of_other_series_than_those_of_a_store_is_refused(
    forecast: Run, fitted: Path, sales: Path, passengers: Path
) -> None:
    assert (
        forecast(
            "backtest", passengers, "--model", "last", "--output", "other.json", "--quiet"
        ).code
        == 0
    )
    ran = forecast(
        "report", "--artifact", "shops", "--backtest", "other.json", "--output", "r.html"
    )
    assert ran.code == 65
    assert "other.json: has no series of this store" in ran.err
    assert (
        forecast("fit", sales, "--model", "last", "--quiet").code == 0
    )  # into the store that nobody named
    alone = forecast("report", "--backtest", "other.json", "--output", "r.html")
    assert alone.code == 0
    assert "forecast-model has other series than other.json, and is left out" in alone.err
    assert Report(Path("r.html").read_text()).sections[0] == "Errors in the past"


def test_ten_thousand_series_would_fit_into_a_file_for_mail(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    series, days = 300, 70
    random = np.random.default_rng(0)
    values = random.lognormal(5, 1, (days, series)) * (1 + np.arange(days)[:, None] % 7)
    frame = pd.DataFrame(values, columns=[f"product number {number}" for number in range(series)])
    frame.insert(0, "day", pd.date_range("2024-01-01", periods=days))
    frame.to_csv("wide.csv", index=False)
    naive = ("--model", "seasonal-naive", "--horizon", 14, "--season", 7, "--quiet")
    assert forecast("fit", "wide.csv", *naive).code == 0
    page = report(forecast)
    assert len(page.data["series"]) == series
    assert len(page.text.encode()) < 25e6 * series / 10_000

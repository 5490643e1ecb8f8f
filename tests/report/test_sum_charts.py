"""Pictures of sums: what is summed of the past, and the numbers of the forecasts beside it."""

import json
import re
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run

WORDS = ("--id", "region,shop", "--target", "units", "--horizon", 14, "--season", 7)
SERIES = (("north", "a"), ("north", "b"), ("south", "a"), ("south", "b"))


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Four shops in two regions, 2024-01-10 to 2024-03-20, with weeks of another size each."""
    day = np.arange(71)
    frames = [
        pd.DataFrame(
            {
                "region": region,
                "shop": shop,
                "day": (pd.Timestamp("2024-01-10") + pd.to_timedelta(day, unit="D")).strftime(
                    "%Y-%m-%d"
                ),
                "units": 10.0 * (number + 1) + day % 7 + day // 7 % 3,
            }
        )
        for number, (region, shop) in enumerate(SERIES)
    ]
    return pd.concat(frames, ignore_index=True)


def drawn(page: Path) -> dict[str, dict[str, list[tuple[str, float, float]]]]:
    """By title and kind, the time, the value and the upper end of each point that a page draws."""
    spec = json.loads(
        re.findall(
            r'<script id="picture" type="application/json">(.*?)</script>', page.read_text()
        )[0]
    )
    found: dict[str, dict[str, list[tuple[str, float, float]]]] = {}
    for panel in spec.get("concat", [spec]):
        kinds = found.setdefault(
            f"{panel['title']['text']}: {panel['title'].get('subtitle', '')}", {}
        )
        for layer in panel["layer"]:
            key = layer["encoding"].get("color", {}).get("datum")
            if key and layer["mark"]["type"] != "circle":
                kinds[key] = [
                    (str(pd.Timestamp(row["t"], unit="ms").date()), row["y"], row.get("high"))
                    for row in layer["data"]["values"]
                    if row["y"] is not None
                ]
    return found


def test_a_picture_of_sums_has_the_sums_of_whole_periods_and_the_forecasts_of_the_table(
    forecast: Run, sales: pd.DataFrame, tmp_path: Path
) -> None:
    sales[sales["day"] < "2024-03-06"].to_csv(tmp_path / "past.csv", index=False)
    sales.to_csv(tmp_path / "whole.csv", index=False)
    asked = split("--sum-by region --sum-by all --sum-every week --levels 80 --quiet")
    shown = ("--actual", tmp_path / "whole.csv", "--output", tmp_path / "p.html")
    assert forecast("plot", tmp_path / "past.csv", "--now", *WORDS, *asked, *shown).code == 0
    made = forecast("now", tmp_path / "past.csv", *WORDS, *asked).frame
    found = drawn(tmp_path / "p.html")
    weeks = pd.to_datetime(sales["day"]).dt.to_period("W-SUN").dt.end_time.dt.strftime("%Y-%m-%d")
    sums = {"all": sales["units"].groupby(weeks).sum()}
    for region in ("north", "south"):
        sums[f"region/{region}"] = sales["units"].groupby(weeks[sales["region"] == region]).sum()
    assert [title.split(":")[0] for title in found] == ["region/north", "region/south", "all"]
    for title, kinds in found.items():
        name = title.split(": ")[0]
        own = sums[name]
        # the week to 2024-01-14 began before the table, and the one to 2024-03-10 had not ended
        assert [point[:2] for point in kinds["history"]] == list(
            own["2024-01-21":"2024-03-03"].items()
        )
        assert [point[:2] for point in kinds["actual"]][1:] == list(
            own["2024-03-10":"2024-03-17"].items()
        )
        rows = (
            made[made["region"] == name.removeprefix("region/")]
            if name != "all"
            else made[made["region"].isna()]
        )
        assert [point[:2] for point in kinds["forecast"]][1:] == list(
            zip(rows["day"], rows["forecast"], strict=True)
        )
        band = kinds["80 % interval"][1:]
        assert [point[1:] for point in band] == list(zip(rows["lo_80"], rows["hi_80"], strict=True))
        so_far = (
            own["2024-03-10"]
            - sales["units"][
                (sales["day"] >= "2024-03-06")
                & (sales["day"] < "2024-03-11")
                & (rows_of(sales, name))
            ].sum()
        )
        assert title.startswith(f"{name}: per week, {so_far:.0f} so far, MASE ")
        assert title.endswith(" of 2 values in 80 %")


def rows_of(sales: pd.DataFrame, name: str) -> "pd.Series[bool]":
    return sales["region"].isin(
        [name.removeprefix("region/")] if name != "all" else ["north", "south"]
    )


def test_gaps_count_as_a_season_earlier_and_series_that_ended_or_began_count_while_they_last(
    forecast: Run, sales: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = (sales["region"] == "north") & (sales["shop"] == "a")
    gap = first & (sales["day"] == "2024-02-20")
    ended = (sales["region"] == "south") & (sales["shop"] == "a") & (sales["day"] > "2024-01-25")
    begun = (sales["region"] == "south") & (sales["shop"] == "b") & (sales["day"] < "2024-02-05")
    lagging = (sales["region"] == "north") & (sales["shop"] == "b") & (sales["day"] > "2024-03-18")
    sales[~(gap | ended | begun | lagging)].to_csv("sales.csv", index=False)
    assert (
        forecast(
            "fit", "sales.csv", *WORDS, "--model", "seasonal-naive", "--lookback", 21, "--quiet"
        ).code
        == 0
    )
    ran = forecast(
        *split("plot sales.csv --sum-by region --levels 80 --output p.html --history 999")
    )
    assert ran.code == 0, ran.err
    counted = sales.copy()
    counted.loc[gap, "units"] = counted.loc[first & (counted["day"] == "2024-02-13"), "units"].iloc[
        0
    ]
    for region, shown in drawn(Path("p.html")).items():
        own = counted[("region/" + counted["region"] == region.split(":")[0]) & ~ended & ~begun]
        want = own.groupby("day")["units"].sum()
        if region.startswith("region/north"):
            want = want[:"2024-03-18"]  # the newest two days of a shop are still unknown
        assert [point[:2] for point in shown["history"]] == list(want.items())


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            ("--sum-by", "region", "--forecast", "sales.csv"),
            2,
            "--sum-by: --forecast draws a table as it is",
        ),
        (("--sum-by", "regoin"), 2, "did you mean 'region'?"),
        (
            ("--sum-by", "region", "--series", "region/nort"),
            2,
            "no such series; did you mean 'region/north'?",
        ),
        (
            ("--sum-by", "region", "--sum-every", "horizon"),
            2,
            "a sum over the horizon is one number, and no line",
        ),
        (
            ("--sum-by", "region", "--sum-every", "next 9"),
            2,
            "a sum over the next 9 is one number, and no line",
        ),
        (
            ("--sum-by", "region", "--sum-every", "year"),
            2,
            "the horizon of 14 steps does not reach the end",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    forecast: Run,
    sales: pd.DataFrame,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    sales.to_csv("sales.csv", index=False)
    given = () if "--forecast" in words else ("--now", *WORDS)
    ran = forecast("plot", "sales.csv", *given, *words)
    assert ran.code == code
    assert text in ran.err


def test_sums_of_days_are_the_steps_of_a_table_of_business_days(
    forecast: Run, sales: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    business = sales[pd.to_datetime(sales["day"]).dt.day_of_week < 5]
    business.to_csv("business.csv", index=False)
    asked = ("--sum-by", "all", "--sum-every", "day", "--output", "p.html", "--history", 99)
    assert forecast("plot", "business.csv", "--now", *WORDS[:-2], *asked).code == 0
    ((title, kinds),) = drawn(Path("p.html")).items()
    assert title == "all: "
    assert [point[:2] for point in kinds["history"]] == list(
        business.groupby("day")["units"].sum().items()
    )
    assert [point[0] for point in kinds["forecast"]][:4] == [
        "2024-03-20",
        "2024-03-21",
        "2024-03-22",
        "2024-03-25",
    ]

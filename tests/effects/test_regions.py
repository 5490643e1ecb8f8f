"""Each series of a panel over regions has the holidays of its own region."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.errors import BadData, UsageError
from tests.conftest import Run

pytest.importorskip("holidays")
SHOPS = {"augsburg": "DE-BY", "kassel": "DE-HE", "nowhere": ""}
EPIPHANY = "2024-01-06"  # a holiday in Bavaria, and not in Hesse
END = "2024-01-04"
FITTED = ("--model", "seasonal-naive", "--horizon", "7")
BY_COLUMN = ("--holidays", "column:region")


def shops(codes: dict[str, str] = SHOPS, closed: str = "01-06") -> pd.DataFrame:
    """Daily sales, a fifth of the usual on Epiphany where it is a holiday."""
    days = pd.date_range("2021-01-01", END)
    tables = []
    for shop, code in codes.items():
        units = 100.0 + 10 * np.asarray(days.day_of_week)
        if code == "DE-BY":
            units[days.strftime("%m-%d") == closed] = 20.0
        tables.append(pd.DataFrame({"shop": shop, "region": code, "day": days, "units": units}))
    return pd.concat(tables)


@pytest.fixture
def sales(tmp_path: Path) -> Path:
    shops().to_csv(tmp_path / "sales.csv", index=False)
    return tmp_path / "sales.csv"


def on_epiphany(frame: pd.DataFrame) -> dict[str, float]:
    rows = frame[frame["day"].astype(str).str[:10] == EPIPHANY]
    return dict(zip(rows["shop"], rows["forecast"], strict=True))


@pytest.mark.parametrize("ids", [("shop",), ("shop", "region")])
def test_each_series_has_the_holidays_of_its_region(
    forecast: Run, sales: Path, tmp_path: Path, ids: tuple[str, ...]
) -> None:
    store = ("--artifact", tmp_path / "store")
    fit = forecast(
        "fit", sales, "--id", ",".join(ids), "--target", "units", *BY_COLUMN, *FITTED, *store
    )
    assert fit.code == 0, fit.err
    assert "holidays country:region: DE-" in fit.err
    found = on_epiphany(forecast("predict", *store).frame)
    assert found["augsburg"] < 60
    assert found["kassel"] > 140
    assert found["nowhere"] > 140

    new = {"kassel": "DE-HE", "munich": "DE-BY", "linz": "AT"}  # a code that the fit did not see
    shops(new, closed="none").to_csv(tmp_path / "new.csv", index=False)
    read = forecast("predict", tmp_path / "new.csv", *store)
    assert read.code == 0, read.err
    found = on_epiphany(read.frame)
    assert found["munich"] < 60  # the effect of this name, which it has not shown itself
    assert found["kassel"] > 140


def test_names_are_shared_over_regions() -> None:
    """Bavaria and Saxony-Anhalt have Epiphany under one name; the effect of one is that of both."""
    codes = {"augsburg": "DE-BY", "kassel": "DE-HE", "halle": "DE-ST"}
    model = Forecaster(
        model="seasonal-naive",
        horizon=7,
        id="shop",
        target="units",
        holidays="column:region",
    )
    frame = shops(codes)
    is_young = (frame["shop"] == "halle") & (frame["day"] < "2023-06-01")
    found = on_epiphany(model.fit(frame[~is_young]).predict().reset_index())
    assert found["halle"] < 60
    assert found["kassel"] > 140


def test_now_and_inspect_take_it(forecast: Run, sales: Path) -> None:
    flags = ("--id", "shop", "--target", "units", *BY_COLUMN, "--horizon", "7")
    assert on_epiphany(forecast("now", sales, *flags).frame)["augsburg"] < 60
    assert "holidays country:region: DE-" in forecast("inspect", sales, *flags).out


def test_an_unknown_code_is_refused_with_its_series(forecast: Run, tmp_path: Path) -> None:
    shops({"augsburg": "DE-BY", "bern": "CH-XX"}).to_csv(tmp_path / "s.csv", index=False)
    refused = forecast(
        "inspect", tmp_path / "s.csv", "--id", "shop", "--target", "units", *BY_COLUMN
    )
    assert refused.code == 65
    assert "s.csv line 1101, column 'region': series 'bern': --holidays CH-XX: no such part" in (
        refused.err
    )
    assert "correct it, or leave it blank for no holidays" in refused.err


@pytest.mark.parametrize(
    ("holidays", "static", "said"),
    [
        ("column:", (), "no column ''"),
        ("column:land", ("land",), "no column 'land'"),
    ],
)
def test_a_column_that_cannot_be_it_is_refused(holidays: str, static: Any, said: str) -> None:
    model = Forecaster(
        model="last", horizon=7, id="shop", target="units", static=static, holidays=holidays
    )
    with pytest.raises((UsageError, BadData), match=said):
        model.fit(shops())


def test_weeks_have_the_holidays_of_their_region_in_english(sales: Path, tmp_path: Path) -> None:
    """A night of cron, which has no language, finds the effects of a fit by hand."""
    flags = ("--id", "shop", "--target", "units", "--freq", "W", "--aggregate", "sum", *BY_COLUMN)
    quick = ("--model", "seasonal-naive", "--horizon", "3", "--artifact", tmp_path / "store")
    command = (sys.executable, "-m", "forecast", "fit", sales, *flags, *quick)
    spoken = {"LANG", "LANGUAGE", "LC_ALL", "LC_MESSAGES"}
    environment = {name: value for name, value in os.environ.items() if name not in spoken}
    fit = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "effects  Epiphany" in fit.stderr


def by_land(*codes: str, holidays: str = "column:region") -> Forecaster:
    frame = shops({f"s{number}": code for number, code in enumerate(codes)})
    model = Forecaster(model="last", horizon=7, id="shop", target="units", holidays=holidays)
    return model.fit(frame[frame["day"] >= "2023-06-01"])


def test_codes_of_parts_alone_are_those_of_their_country() -> None:
    """BY and BE are Belarus and Belgium, too; NW is no country."""
    model = by_land("BY", "BE", "NW")
    assert model.fitted_.history.regions == ("DE-BY", "DE-BE", "DE-NW")
    line = "DE-BE Germany (Berlin), DE-BY Germany (Bayern), DE-NW Germany (Nordrhein-Westfalen)"
    assert f"holidays DE:region: {line}" in model.describe()
    assert by_land("DE", "AT").fitted_.history.regions == ("DE", "AT")
    assert "holidays country:region: DE Germany" in by_land("DE").describe()  # not Delaware
    assert by_land("BY", "", holidays="DE:region").fitted_.history.regions == ("DE-BY", "")
    new = model.predict(shops({"s0": "BY"}))  # as at the fit, without the others
    assert len(new) == 7


def test_codes_that_can_be_both_are_refused_with_the_cure() -> None:
    cure = "write DE-BE in its cells, DE:region, or country:region"
    with pytest.raises(UsageError, match=f"BE, BY, can be countries or parts of DE; {cure}"):
        by_land("BY", "BE")
    countries = by_land("BY", "BE", holidays="country:region")
    assert countries.fitted_.history.regions == ("BY", "BE")


def test_a_series_in_two_regions_is_refused() -> None:
    frame = shops()
    frame.iloc[9, 1] = "DE-HE"
    model = Forecaster(model="last", horizon=7, id="shop", target="units", holidays="column:region")
    with pytest.raises(BadData, match="series 'augsburg' has several values in a static column"):
        model.fit(frame)


def test_a_wide_table_has_no_such_column(forecast: Run, sales: Path) -> None:
    refused = forecast("inspect", sales, "--layout", "wide", *BY_COLUMN)
    assert refused.code == 2
    assert "fixed per series; use a long table" in refused.err


def test_a_job_takes_it_from_its_table(forecast: Run, sales: Path, tmp_path: Path) -> None:
    (tmp_path / "job.toml").write_text(
        f"""
        store = "model"
        [source]
        path = "{sales.name}"
        [table]
        id = "shop"
        target = "units"
        holidays = "column:region"
        [train]
        model = "seasonal-naive"
        horizon = 7
        [sink]
        path = "out.csv"
        """,
        encoding="utf-8",
    )
    for _ in range(2):  # the second run reads the history of the first one's version
        ran = forecast("run", tmp_path / "job.toml")
        assert ran.code == 0, ran.err
    found = on_epiphany(pd.read_csv(tmp_path / "out.csv"))
    assert found["augsburg"] < 60
    assert found["kassel"] > 140

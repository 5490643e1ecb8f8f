"""Forecasts under other known values, beside those of the values that are known."""

import logging
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from forecast import Forecaster
from forecast.cli import cli
from forecast.errors import ForecastError, as_flag

SETTINGS = {
    "model": "linear",
    "horizon": 7,
    "lookback": 14,
    "steps": 200,
    "learning_rate": 0.01,
    "members": 1,
    "guard": False,
}


INTERVALS = [f"difference_{name}" for name in ("lo_80", "hi_80", "lo_95", "hi_95")]


def sales(days: int = 100) -> pd.DataFrame:
    """A shop that sells 20 more in a promotion, of which the price is lower, too; a week without units at the end."""
    draw, day = np.random.default_rng(0), np.arange(days + 7)
    promo = draw.random(len(day)) < 0.3
    units = 50 + 20 * promo + draw.normal(0, 1, len(day))
    units[days:] = np.nan
    time = pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")
    kind = np.where(promo, "flyer", "none")
    return pd.DataFrame(
        {"day": time, "units": units, "promo": promo * 1, "price": 10 - 2 * promo, "kind": kind}
    ).assign(shop="north")


@pytest.fixture(scope="module")
def model() -> Forecaster:
    columns = {
        "id": "shop",
        "target": "units",
        "known": ("promo", "price", "kind"),
        "categorical": ("kind",),
    }
    return Forecaster(**SETTINGS, **columns, device="cpu").fit(sales())


def test_a_changed_column_shows_in_its_rows(
    model: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    table = model.what_if({"promo": 0, "price": 10, "kind": "none"})
    names = ["shop", "day", "forecast", "what_if", "difference"]
    assert list(table) == [*names, *INTERVALS]
    promoted = sales().tail(7)["promo"].to_numpy() == 1
    assert (table["difference"][promoted] < -8).all()
    assert (
        table["difference"][~promoted].abs() < 1
    ).all()  # a column may act on the steps around its own
    assert (table["forecast"] == model.predict()["forecast"]).all()
    assert not caplog.records
    frame = (
        sales()
        .tail(7)
        .assign(promo=0, price=10, kind="none")[["shop", "day", "promo", "price", "kind"]]
    )
    pd.testing.assert_frame_equal(model.what_if(frame), table)


def test_values_that_the_past_has_not_shown_are_named(
    model: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        model.what_if({"price": 4})
    assert "price is 4, beyond what the past shows here (first in " in caplog.text


def test_a_price_that_only_another_item_has_is_named_with_the_item(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cheap, dear = sales(), sales().assign(shop="south", price=lambda table: 10 * table["price"])
    columns = {"id": "shop", "target": "units", "known": ("price",), "past": (), "static": ()}
    tables = pd.concat([cheap, dear])[["shop", "day", "units", "price"]]
    model = Forecaster(model="seasonal-naive", horizon=7, **columns).fit(tables)
    ahead = tables[tables["units"].isna()].drop(columns="units")
    ahead["price"] = np.where(ahead["shop"] == "north", 12, 70)  # within all, and near its own
    with caplog.at_level(logging.WARNING):
        model.what_if(ahead)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        model.what_if({"price": 10})
    assert "price is 10, beyond what the past shows here (first in south)" in caplog.text


def test_the_command_writes_the_same_and_sums(model: Forecaster, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    model.save(store)
    changed = ["--what-if", "promo=0", "--what-if", "price=10", "--what-if", "kind=none"]

    def written(*words: str) -> pd.DataFrame:
        out = tmp_path / "out.csv"
        words = ("predict", "--artifact", store, "--output", str(out), "--quiet", *words)
        assert CliRunner().invoke(cli, words, catch_exceptions=False).exit_code == 0
        return pd.read_csv(out)

    # the command runs the export, and forecasts are written with seven digits
    expected = model.what_if({"promo": 0, "price": 10, "kind": "none"})["difference"]
    assert written(*changed)["difference"].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    sums = written(*changed, "--sum-by", "all", "--sum-every", "horizon")
    assert list(sums) == [
        "level",
        "shop",
        "day",
        "forecast",
        "what_if",
        "difference",
        *INTERVALS,
        "steps",
        "observed",
    ]
    assert (
        sums["forecast"][0] == written("--sum-by", "all", "--sum-every", "horizon")["forecast"][0]
    )
    assert sums["difference"][0] < -8
    in_python = model.what_if({"promo": 0, "price": 10, "kind": "none"}, by="all", every="horizon")
    assert list(in_python) == list(sums)
    assert in_python["difference"].tolist() == pytest.approx(sums["difference"].tolist(), abs=1e-3)


def test_changes_are_said_as_people_say_them(
    model: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    expected = model.what_if({"price*": 1.1})
    pd.testing.assert_frame_equal(model.what_if({"price": "+10%"}), expected)
    future = sales().tail(7)
    table = future.assign(price=future["price"] * 1.1)[["shop", "day", "price"]]
    pd.testing.assert_frame_equal(model.what_if(table), expected)  # the columns that change
    assert "change nothing" not in caplog.text
    noted = table.assign(note="dearer", units=3.0)
    pd.testing.assert_frame_equal(model.what_if(noted), expected)
    assert "columns that are not known in advance change nothing: note" in caplog.text
    less = model.what_if({"price-": 0.5})["what_if"]
    assert less.tolist() == model.what_if({"price+": -0.5})["what_if"].tolist()
    table["price"] = future["price"] - 0.5
    assert less.tolist() == model.what_if(table)["what_if"].tolist()
    # a signed number is a value
    assert (
        model.what_if({"price": "-5"})["what_if"] == model.what_if({"price": -5})["what_if"]
    ).all()


def test_nothing_changes_before_the_time_and_the_share_that_changes_is_said(
    model: Forecaster, caplog: pytest.LogCaptureFixture
) -> None:
    days = sales().tail(7)["day"]
    with caplog.at_level(logging.INFO):
        table = model.what_if({"promo": 1}, since=days.iloc[5].strftime("%Y-%m-%d"))
    whole = model.what_if({"promo": 1})
    assert table["difference"].abs().sum() < whole["difference"].abs().sum()
    # a column may act on the steps around its own
    later = sales().tail(7).assign(promo=[*sales().tail(7)["promo"][:5], 1, 1])
    expected = model.what_if(later[["shop", "day", "promo"]])
    pd.testing.assert_frame_equal(table, expected)
    changed = table["difference"] != 0
    share = table["forecast"][changed].sum() / table["forecast"].sum()
    assert f"reacts   {100 * share:.3g} % of the forecast" in caplog.text


def test_what_if_of_a_price_moves_the_forecast_by_its_elasticity() -> None:
    """Two shops of four products that sell with an elasticity of -1.5, and 1.5 times in a promotion."""
    draw = np.random.default_rng(0)
    day = pd.date_range("2024-01-01", periods=228)
    week = 1 + 0.3 * np.sin(2 * np.pi * np.arange(len(day)) / 7)
    frames = []
    for number in range(8):
        price = np.repeat(draw.choice([4.0, 4.5, 5.0, 5.5], len(day) // 12), 12)
        promo = draw.random(len(day)) < 0.1
        units = (20 + number) * week * (price / 5) ** -1.5 * np.where(promo, 1.5, 1)
        units = units * np.exp(draw.normal(0, 0.1, len(day)))
        units[-28:] = np.nan
        names = {"shop": number // 4, "item": number % 4, "day": day, "units": units}
        frames.append(pd.DataFrame({**names, "price": price, "promo": promo * 1}))
    columns = {"id": ("shop", "item"), "target": "units", "known": ("price", "promo")}
    model = Forecaster(model="pretrained", horizon=28, **columns).fit(pd.concat(frames))
    table = model.what_if({"price": "+10%"})
    moved = table["what_if"].sum() / table["forecast"].sum()
    assert moved == pytest.approx(1.1**-1.5, abs=0.02)

    # how sure the difference is, of each day and of sums, which err alike
    assert (table["difference_lo_95"] < table["difference_lo_80"]).all()
    assert (table["difference_lo_80"] < table["difference"]).all()
    expected = table["forecast"] * (1.1**-1.5 - 1)
    inside = (table["difference_lo_95"] < expected) & (expected < table["difference_hi_95"])
    assert inside.mean() > 0.7
    width = (table["difference_hi_80"] - table["difference_lo_80"]) / table["difference"].abs()
    assert 0.01 < width.median() < 0.3
    quantiles = model.what_if({"price": "+10%"}, quantiles=(10, 90))
    assert quantiles["difference_p10"].tolist() == table["difference_lo_80"].tolist()
    unchanged = model.what_if({"price": "+10%"}, since="2024-08-10")
    before = unchanged["day"] < "2024-08-10"
    assert (unchanged.loc[before, INTERVALS] == 0).all(axis=None)


@pytest.mark.parametrize("seed", [5, 19])
def test_intervals_of_what_the_past_cannot_tell_are_neither_endless_nor_empty(
    seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A price that hardly moves but with a trend, and a cut that effects do not reach."""
    draw = np.random.default_rng([seed, 78])
    step = np.arange(428)
    monthly = np.repeat(draw.normal(size=16), 28)[: len(step)]
    price = np.round(4 * (1 + 0.2 * step / len(step)) * np.exp(0.01 * monthly), 2)
    week = 0.2 * draw.normal(size=7)[step % 7]
    units = np.exp(5 + 0.0008 * step + week - np.log(price / 4) + 0.1 * draw.normal(size=len(step)))
    units[-28:] = np.nan
    day = pd.date_range("2024-01-01", periods=len(step))
    table = pd.DataFrame({"day": day, "units": units, "price": price})
    columns = {"time": "day", "target": "units", "known": ("price",)}
    model = Forecaster(model="seasonal-naive", horizon=28, **columns).fit(table)
    dearer = model.what_if({"price": "+10%"}, every="next 28").iloc[0]
    width = (dearer["difference_hi_80"] - dearer["difference_lo_80"]) / dearer["forecast"]
    assert 0.05 < width < 0.5
    cheap, cheaper = (model.what_if({"price": price}, every="next 28") for price in (3.34, 1))
    widths = [table["difference_hi_80"] - table["difference_lo_80"] for table in (cheap, cheaper)]
    assert (widths[1] > 1.5 * widths[0]).all()
    assert (widths[1] < 2.5 * cheaper["what_if"]).all()
    assert "price counts as 3.3" in caplog.text


@pytest.mark.parametrize(
    ("shocks", "seed"),
    [pytest.param(0.0, 2, id="one trend of prices"), pytest.param(0.1, 0, id="one shock a day")],
)
def test_intervals_know_what_series_have_in_common(shocks: float, seed: int) -> None:
    """Six shops with an elasticity of -1: prices follow one trend, or change together."""
    draw = np.random.default_rng([seed, 5])
    step = np.arange(428)
    ups = np.repeat(draw.choice([0.9, 1.0, 1.1], 62), 7)[: len(step)]
    shared = shocks * draw.normal(size=len(step))
    rising = 1 + 0.2 * step / len(step)
    frames = []
    for shop in range(6):
        monthly = np.repeat(draw.normal(size=16), 28)[: len(step)]
        price = 4 * (ups if shocks else rising * np.exp(0.01 * monthly))
        own = 0.0008 * step * (shocks == 0) + (0.02 if shocks else 0.1) * draw.normal(
            size=len(step)
        )
        units = np.exp(5 + shared + own - np.log(price / 4))
        units[-28:] = np.nan
        day = pd.date_range("2024-01-01", periods=len(step))
        frames.append(pd.DataFrame({"shop": shop, "day": day, "units": units, "price": price}))
    columns = {"id": "shop", "time": "day", "target": "units", "known": ("price",)}
    model = Forecaster(model="seasonal-naive", horizon=28, **columns).fit(pd.concat(frames))
    dearer = model.what_if({"price": "+10%"}, by="all", every="next 28").iloc[0]
    low, high = (dearer[f"difference_{end}_95"] / dearer["forecast"] for end in ("lo", "hi"))
    assert low < 1 / 1.1 - 1 < high
    assert high - low < 0.8


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["prise*=1.1"], 2, "'prise' is not known in advance; did you mean 'price'?"),
        (["price*=much"], 2, "price* cannot be that; the column holds numbers"),
        (["price=+ten%"], 2, "price cannot be that; the column holds numbers"),
        (["price=+5,5%"], 2, "price cannot be that; numbers have a decimal point here"),
        (["price-=+5%"], 2, "price- cannot be that; a share follows = with a sign: =+5% or =-5%"),
        (["price=5%"], 2, "price cannot be that; a share follows = with a sign: =+5% or =-5%"),
        (["kind*=2"], 2, "'kind*' is not known in advance; did you mean 'kind'?"),
        (["price=3", "price*=2"], 2, "a column has several values"),
        (["--what-if-from", "2024-04-12"], 65, "nothing changes in the horizon; name columns"),
        (["price=3", "--what-if-from", "soon"], 2, "--what-if-from soon: not a time"),
        (["price=3", "--what-if-from", "2031-01-01"], 65, "nothing changes in the horizon"),
        (["promotion=1"], 2, "'promotion' is not known in advance; did you mean 'promo'?"),
        (["units=1"], 2, "'units' is not known in advance; there are promo, price, kind"),
        (["promo=yes"], 2, "promo cannot be that; the column holds numbers"),
        (["promo=inf"], 2, "promo cannot be that; the column holds numbers"),
        (["price=1e308"], 2, "price cannot be that; the column holds numbers up to 1e+18"),
        (["price*=-1e300"], 2, "price* cannot be that; the column holds numbers up to 1e+18"),
        (["price=+1e308%"], 2, "price cannot be that; the column holds numbers up to 1e+18"),
        (["kind=tv"], 2, "kind cannot be that; the fit has seen flyer, none"),
        (["past.csv"], 65, "past.csv: nothing changes in the horizon"),
        (["past.csv", "promo=1"], 2, "write COLUMN=VALUE, or name one table"),
        (["promo"], 66, "promo"),
        ([""], 2, "write COLUMN=VALUE, or name one table"),
        (
            ["price=3", "price=4"],
            2,
            "--what-if: a column has several values; give each column one value, and not price=3 and price=4",
        ),
        (["promo=1", "--shards", "2"], 2, "it does not go with --what-if"),
    ],
)
def test_what_cannot_be_is_refused(
    model: Forecaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    model.save("store")
    sales().head(3).to_csv("past.csv", index=False)
    at = next((place for place, word in enumerate(words) if "--" in word), len(words))
    given, rest = words[:at], words[at:]
    line = [
        *split("predict --artifact store"),
        *(part for word in given for part in ("--what-if", word)),
        *rest,
    ]
    done = CliRunner().invoke(cli, line, standalone_mode=False)
    assert isinstance(done.exception, ForecastError)
    assert (done.exception.exit_code, said in done.exception.render(as_flag)) == (code, True), (
        done.exception.render(as_flag)
    )

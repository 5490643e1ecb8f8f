"""Forecasts under other known values, beside those of the values that are known."""

import logging
from pathlib import Path

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
    assert list(table) == ["shop", "day", "forecast", "what_if", "difference"]
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
    assert "price is 4, which the past" in caplog.text


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
        "steps",
        "observed",
    ]
    assert (
        sums["forecast"][0] == written("--sum-by", "all", "--sum-every", "horizon")["forecast"][0]
    )
    assert sums["difference"][0] < -8


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["promotion=1"], 2, "'promotion' is not known in advance; did you mean 'promo'?"),
        (["units=1"], 2, "'units' is not known in advance; there are promo, price, kind"),
        (["promo=yes"], 2, "promo cannot be that; the column holds numbers"),
        (["promo=inf"], 2, "promo cannot be that; the column holds numbers"),
        (["kind=tv"], 2, "kind cannot be that; the fit has seen flyer, none"),
        (["past.csv"], 65, "no row lies in the horizon"),
        (["past.csv", "promo=1"], 2, "write COLUMN=VALUE, or name one table"),
        (["promo"], 66, "promo"),
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
    given, rest = (
        [word for word in words if "--" not in word and word != "2"],
        words[words.index("--shards") :] if "--shards" in words else [],
    )
    line = [
        "predict",
        "--artifact",
        "store",
        *(part for word in given for part in ("--what-if", word)),
        *rest,
    ]
    done = CliRunner().invoke(cli, line, standalone_mode=False)
    assert isinstance(done.exception, ForecastError)
    assert (done.exception.exit_code, said in done.exception.render(as_flag)) == (code, True), (
        done.exception.render(as_flag)
    )

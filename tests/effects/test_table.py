"""Holidays and events act in the forecasts of every command, whatever model serves."""

from collections.abc import Callable
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from forecast import Forecaster
from forecast.artifacts.format import Contents
from forecast.errors import ArtifactRefused, BadData, UsageError
from forecast.inference.contents import from_contents, to_contents
from tests.conftest import Run
from tests.effects.test_event_effects import rides

MODELS = {
    "seasonal-naive": {},
    "segrnn": {"steps": 6, "params": {"hidden_size": 8}, "guard": False},
}
YEARS = [f"{year}-12-25" for year in (2018, 2019, 2020, 2021)]
EVENTS = pd.DataFrame({"date": YEARS, "name": "christmas"})
HORIZON = 14


@pytest.fixture
def frame() -> pd.DataFrame:
    """Three years of rides and the weeks before a fourth Christmas."""
    found = rides(1, years=4)
    return found[found["day"] < "2021-12-16"]


def on(table: pd.DataFrame, day: str) -> float:
    return float(table.loc[pd.to_datetime(table["day"]) == day, "forecast"].item())


@pytest.mark.parametrize("model", MODELS)
def test_an_event_reaches_the_forecast_of_every_model(frame: pd.DataFrame, model: str) -> None:
    knobs = {"model": model, "horizon": HORIZON, **MODELS[model]}
    plain = Forecaster(**knobs).fit(frame).predict()
    fitted = Forecaster(**knobs, events=EVENTS).fit(frame)
    found = fitted.predict()
    assert on(found, "2021-12-25") == pytest.approx(0.4 * on(found, "2021-12-18"), rel=0.25)
    assert on(plain, "2021-12-25") > 0.8 * on(plain, "2021-12-18")
    assert any(line.startswith("effects  christmas -6") for line in fitted.describe())


def test_a_fit_at_an_origin_knows_nothing_of_what_came_later(frame: pd.DataFrame) -> None:
    """The Christmases after the origin were other ones; forecasts from it are the same to the last bit."""
    changed = frame.copy()
    changed.loc[changed["day"] > "2020-12-16", "rides"] *= 3

    def forecasts(data: pd.DataFrame) -> pd.DataFrame:
        knobs = {"model": "gru", "steps": 6, "params": {"hidden_size": 8}, "baselines": ("theta",)}
        model = Forecaster(**knobs, horizon=HORIZON, events=EVENTS)
        rows = model.backtest(data, windows=26, step=HORIZON).forecasts
        return rows[(rows["model"] == "gru") & (rows["origin"] <= "2020-12-16")].drop(
            columns="actual"
        )

    first = forecasts(frame)
    assert len(first) == HORIZON
    pd.testing.assert_frame_equal(first, forecasts(changed))


def test_a_forecaster_with_events_is_cloned_saved_and_fitted_again(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    model = Forecaster(model="seasonal-naive", horizon=HORIZON, events=EVENTS)
    fitted = clone(model).fit(frame)
    fitted.save(str(tmp_path / "s"))
    loaded = Forecaster.load(str(tmp_path / "s"))
    expected = fitted.predict()
    pd.testing.assert_frame_equal(loaded.predict(), expected)
    pd.testing.assert_frame_equal(loaded.fit(frame).predict(), expected)


def test_newer_events_come_at_predict(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    fitted = Forecaster(model="seasonal-naive", horizon=HORIZON, events=EVENTS[:3]).fit(frame)
    without = fitted.predict()
    newer = fitted.set_params(events=EVENTS[3:]).predict()
    assert on(newer, "2021-12-25") == pytest.approx(0.4 * on(without, "2021-12-25"), rel=0.2)
    others = ~without["day"].astype(str).str[:10].between("2021-12-24", "2021-12-26")
    pd.testing.assert_frame_equal(newer[others], without[others])
    fitted.set_params(events=pd.DataFrame({"date": ["2021-12-20"], "name": "strike"})).predict()
    assert "without effect, as the past of the fit has not shown them: strike" in caplog.text
    with pytest.raises(UsageError, match="fitted without events"):
        Forecaster(model="last").fit(frame).set_params(events=EVENTS).predict()
    with pytest.raises(BadData, match="the table of events: no column 'name'"):
        fitted.set_params(events=EVENTS[["date"]]).predict()


def test_events_without_a_row_or_of_other_series_alone_are_no_events(
    frame: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    model = Forecaster(model="last", horizon=HORIZON)
    plain = model.fit(frame).predict()
    for events, said in (
        (EVENTS[:0], "the table of events holds no rows: there are no events"),
        (
            EVENTS.assign(series="other"),
            "events of series that are not in the table have no effect: other",
        ),
    ):
        caplog.clear()
        fitted = model.set_params(events=events).fit(frame)
        assert said in caplog.text
        assert fitted.schema_.dated_events == ()
        pd.testing.assert_frame_equal(fitted.predict(), plain)
        fitted.set_params(events=events[:0]).predict()  # newer ones


def _table(made: Contents) -> dict[str, Any]:
    return dict(made.config["config"]["table"])


DAMAGES: dict[str, Callable[[Contents], object]] = {
    "a number that is none": lambda made: made.arrays["effects.events.unit"].__setitem__(0, np.nan),
    "a negative unit": lambda made: made.arrays["effects.events.unit"].__setitem__(1, -1.0),
    "a series too many": lambda made: made.arrays.update({"effects.events.reaction": np.ones(9)}),
    "a profile of nothing": lambda made: made.arrays["effects.events.profile"].fill(0.0),
    "a label that is no text": lambda made: made.config["effects"]["events"]["labels"].__setitem__(
        0, 7
    ),
    "a huge exponent": lambda made: made.arrays.update({"effects.events.exponent": np.array(99)}),
    "a part too many": lambda made: made.config["effects"]["events"].update(more=1),
    "no labels": lambda made: made.config["effects"]["events"].clear(),
    "a day that does not exist": lambda made: _table(made)["dated_events"][0].update(
        day="2021-02-30"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_effects_that_contradict_themselves_are_refused(frame: pd.DataFrame, damage: str) -> None:
    contents = to_contents(Forecaster(model="last", horizon=2, events=EVENTS).fit(frame).fitted_)
    assert from_contents(contents).effects is not None
    DAMAGES[damage](contents)
    with pytest.raises(ArtifactRefused):
        from_contents(contents)


def test_the_command_line_says_what_was_found(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    pytest.importorskip("holidays")
    data, store, events = tmp_path / "t.csv", tmp_path / "s", tmp_path / "events.csv"
    frame.to_csv(data, index=False)
    fitted = forecast(
        "fit", data, "--artifact", store, *split("--model holt-winters --horizon 14 --holidays US")
    )
    assert fitted.code == 0, fitted.err
    assert "effects  Christmas Day -6" in fitted.err
    found = forecast("predict", "--artifact", store).frame
    assert on(found, "2021-12-25") == pytest.approx(0.4 * on(found, "2021-12-18"), rel=0.25)
    events.write_text("date,name\n2021-12-20,strike\n")
    newer = forecast("predict", "--artifact", store, "--events", events)
    assert newer.code == 0
    assert "warning: without effect, as the past of the fit has not shown them: " in newer.err
    assert "strike" in newer.err
    clash = forecast("predict", "--artifact", store, "--events", events, "--output", events)
    assert clash.code == 2


def test_holidays_on_months_are_said_to_have_no_effect(forecast: Run, tmp_path: Path) -> None:
    months = pd.date_range("2010-01-01", periods=60, freq="MS").strftime("%Y-%m-%d")
    pd.DataFrame({"month": months, "y": np.arange(60) % 12 + 1.0}).to_csv(
        tmp_path / "m.csv", index=False
    )
    shown = forecast("inspect", tmp_path / "m.csv", "--holidays", "US")
    assert "holidays US United States, as days that are Sundays" in shown.out


def test_a_job_reads_newer_events_every_night(
    forecast: Run, frame: pd.DataFrame, tmp_path: Path
) -> None:
    frame.to_csv(tmp_path / "rides.csv", index=False)
    EVENTS[:3].to_csv(tmp_path / "events.csv", index=False)
    (tmp_path / "job.toml").write_text(
        'store = "store"\nrefit = "never"\n[source]\npath = "rides.csv"\n[table]\nevents = "events.csv"\n'
        '[train]\nmodel = "seasonal-naive"\nhorizon = 14\n[sink]\npath = "out.csv"\n'
    )
    first = forecast("run", tmp_path / "job.toml")
    assert first.code == 0, first.err
    assert "effects  christmas -6" in first.err
    before = on(pd.read_csv(tmp_path / "out.csv"), "2021-12-25")
    EVENTS.to_csv(tmp_path / "events.csv", index=False)
    assert forecast("run", tmp_path / "job.toml").code == 0
    assert on(pd.read_csv(tmp_path / "out.csv"), "2021-12-25") == pytest.approx(
        0.4 * before, rel=0.2
    )


def test_years_of_two_digits_are_of_the_century_of_the_history(
    frame: pd.DataFrame, tmp_path: Path
) -> None:
    days = pd.to_datetime(frame["day"]) + pd.Timedelta(days=8 * 365 + 7)  # up to Christmas 2029
    history = frame.assign(day=days.dt.strftime("%d.%m.%y"))
    events = pd.DataFrame({"date": ["15.01.30"], "name": "fair", "kind": "closed"})
    model = Forecaster(
        model="seasonal-naive", horizon=HORIZON, date_format="%d.%m.%y", events=events
    ).fit(history)
    assert [event.day.year for event in model.schema_.dated_events] == [2030]


@pytest.mark.parametrize("clock", ["", " %H:%M"])
def test_days_are_read_as_the_dates_of_the_series_are(
    forecast: Run, tmp_path: Path, clock: str
) -> None:
    """In each table beside that of the series; where the dates do not decide, an error has a cure."""
    days = pd.date_range("2024-01-01", periods=60)
    tables = {"de": days.strftime(f"%d.%m.%Y{clock}"), "iso": days.strftime("%Y-%m-%d")}
    for name, texts in tables.items():
        pd.DataFrame({"day": texts, "a": [3.0, 4.0, 5.0] * 20}).to_csv(tmp_path / name, index=False)
    rows = {
        "events": "date,name,kind\n01.02.2024,strike,closed\n02.03.2024,closing,closed\n",
        "overrides": "from,to,value,who\n02.03.2024,02.03.2024,0,me\n",
    }
    for setting, text in rows.items():
        (tmp_path / setting).write_text(text)
        words = ["--horizon", "7", f"--{setting}", tmp_path / setting]
        for written in ([], ["--date-format", f"%d.%m.%Y{clock}"]):
            ran = forecast("now", tmp_path / "de", *words, *written)
            assert ran.code == 0, ran.err
            assert ran.frame.set_index("day")["forecast"].eq(0).tolist() == [0, 1, 0, 0, 0, 0, 0]
        refused = forecast("now", tmp_path / "iso", *words)
        assert refused.code == 65
        assert "no row decides; write days as 2024-12-24" in refused.err

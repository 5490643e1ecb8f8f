"""Days and hours that are always closed are forecast so, by every command and every model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.artifacts.format import Contents
from forecast.errors import ArtifactRefused
from forecast.inference.contents import from_contents, to_contents
from forecast.models import model_names
from forecast.registry import default_baselines
from tests.conftest import Run
from tests.effects.test_closed import DAYS, SUNDAY, sales

NUMBERS = ["forecast", "lo_80", "hi_80", "lo_95", "hi_95"]
PARTS = ["level", "season", "events", "known", "rest"]
NETWORKS = ["segrnn", "finetuned"]
OTHERS = pytest.param(
    [name for name in model_names() if name not in NETWORKS], marks=pytest.mark.slow, id="others"
)


@pytest.fixture
def shop() -> pd.DataFrame:
    """A shop with exactly 0 on all of 100 Sundays."""
    return pd.DataFrame({"day": DAYS, "sales": sales()})


@pytest.fixture
def data(shop: pd.DataFrame, tmp_path: Path) -> Path:
    shop.to_csv(tmp_path / "shop.csv", index=False)
    return tmp_path / "shop.csv"


def items(shops: int = 3, count: int = 4, length: int = 140) -> pd.DataFrame:
    """Items of shops of which the last one is open on Sundays."""
    draw, days = np.random.default_rng(1), DAYS[:length]
    frames = []
    for place in range(shops):
        week = np.array([1, 1, 1, 1.1, 1.3, 1.5, 0.7 if place == shops - 1 else 0])[
            days.day_of_week
        ]
        for item in range(count):
            mean = np.exp(draw.normal(2.5, 0.8)) * week
            frames.append(
                pd.DataFrame(
                    {
                        "shop": f"s{place}",
                        "item": f"i{item}",
                        "day": days,
                        "sold": draw.poisson(mean),
                    }
                )
            )
    return pd.concat(frames)


def nights(sensors: int = 1, length: int = 70) -> pd.DataFrame:
    """Hours of which those of the night are closed."""
    draw, hours = (
        np.random.default_rng(2),
        pd.date_range("2024-01-01", periods=24 * length, freq="h"),
    )
    day = (1 + 0.5 * np.sin(hours.hour / 24 * 2 * np.pi)) * ((hours.hour >= 6) & (hours.hour < 22))
    loads = {
        f"k{n}": np.round(100 * day * np.exp(draw.normal(0, 0.2, len(hours))), 1)
        for n in range(sensors)
    }
    return pd.DataFrame({"time": hours, **loads})


def check(table: pd.DataFrame, closed: np.ndarray) -> None:
    """All numbers are 0 where it is closed, and intervals have a width elsewhere."""
    assert closed.any()
    assert (table.loc[closed, NUMBERS] == 0).all(axis=None)
    assert (table.loc[~closed, "hi_95"] > table.loc[~closed, "lo_95"]).mean() > 0.9
    assert table.loc[~closed, "forecast"].median() > 1


def on_sundays(table: pd.DataFrame) -> np.ndarray:
    return np.asarray(pd.to_datetime(table["day"]).dt.day_of_week == 6)


@pytest.mark.parametrize("more", [(), ("--point", "mean"), ("--integer",)], ids=" ".join)
def test_now_forecasts_a_closed_day_as_closed(
    forecast: Run, data: Path, more: tuple[str, ...]
) -> None:
    ran = forecast("now", data, *more)
    check(ran.frame, on_sundays(ran.frame))
    assert "closed   1 series on Sundays, always 0\n" in ran.err


@pytest.mark.slow
@pytest.mark.parametrize(
    "models", [*([name] for name in (*default_baselines(), *NETWORKS)), OTHERS], ids=str
)
def test_every_model_forecasts_closed_days_of_a_panel(models: list[str]) -> None:
    for model in models:
        fitted = Forecaster(model=model, horizon=14, steps=3, guard=False, members=1).fit(items())
        table = fitted.predict()
        check(table, on_sundays(table) & (table["shop"] != "s2").to_numpy())
        assert "closed   8 series on Sundays, always 0" in fitted.describe(), model


@pytest.mark.parametrize(
    ("model", "sensors"), [("pretrained", 1), ("holt-winters", 3), ("segrnn", 3)]
)
def test_closed_hours_of_the_night(model: str, sensors: int) -> None:
    fitted = Forecaster(model=model, horizon=48, steps=3, guard=False, members=1).fit(
        nights(sensors)
    )
    table = fitted.predict()
    hours = pd.to_datetime(table["time"]).dt.hour
    check(table, np.asarray((hours < 6) | (hours >= 22)))


@pytest.mark.slow
def test_many_shops_with_closed_sundays() -> None:
    frame = items(20, 30)
    for model in ("pretrained", "auto"):
        table = Forecaster(model=model, horizon=14, steps=20).fit(frame).predict()
        check(table, on_sundays(table) & (table["shop"] != "s19").to_numpy())


def test_a_saved_forecaster_knows_and_forgets(
    forecast: Run, shop: pd.DataFrame, data: Path, tmp_path: Path
) -> None:
    store, tonight = tmp_path / "store", tmp_path / "tonight.csv"
    fitted = forecast("fit", data, "--artifact", store, "--model", "theta", "--horizon", 14)
    assert "closed   1 series on Sundays, always 0\n" in fitted.err
    table = forecast("predict", "--artifact", store).frame
    check(table, on_sundays(table))
    shown = forecast("inspect", "--artifact", store)
    assert "closed   1 series on Sundays, always 0\n" in shown.out
    shown = forecast("inspect", "--artifact", store, "--json")
    assert (
        '"closed": [\n  {\n   "series": 1,\n   "when": "on Sundays",\n   "value": 0.0\n  }\n ]'
        in shown.out
    )
    parts = Forecaster.load(str(store)).explain().parts
    assert (parts.loc[on_sundays(parts), "median"] == 0).all()
    np.testing.assert_allclose(parts[PARTS].sum(axis=1), parts["median"], atol=1e-6)
    shop.to_csv(tonight, index=False)
    same = forecast("predict", tonight, "--artifact", store).frame
    check(same, on_sundays(same))
    week = pd.date_range(DAYS[-1], periods=8)[1:]
    later = pd.concat(
        [shop, pd.DataFrame({"day": week, "sales": [90, 95, 100, 110, 120, 150, 60]})]
    )
    later.to_csv(tonight, index=False)
    opened = forecast("predict", tonight, "--artifact", store).frame
    assert (opened.loc[on_sundays(opened), "hi_95"] > 0).all()


def new_shop(days: int = 13) -> pd.DataFrame:
    """The newest days of a shop that is closed on Sundays."""
    frame = items(count=1)
    return frame[frame["shop"] == "s0"].tail(days).assign(shop="new")


def of_new_shop(frame: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Forecasts of a new shop in `table`, whose other shops are in `frame` as well."""
    model = Forecaster(model="pretrained", horizon=14, id=("shop", "item"), target="sold")
    found = model.fit(frame).predict(table)
    return found[found["shop"] == "new"].reset_index(drop=True)


@pytest.mark.parametrize("where", ["in the fit", "in a newer table", "in a table of its own"])
def test_a_new_shop_is_closed_when_all_others_are(where: str) -> None:
    frame = items()
    frame = frame[frame["shop"] != "s2"]
    both = pd.concat([frame, new_shop()])
    fitted = both if where == "in the fit" else frame
    table = of_new_shop(fitted, new_shop() if where == "in a table of its own" else both)
    check(table, on_sundays(table))


def test_a_new_shop_is_open_where_its_values_or_many_other_shops_are() -> None:
    frame = items()
    table = of_new_shop(frame, pd.concat([frame, new_shop()]))
    assert (table["hi_80"] > 0).all()
    frame = frame[frame["shop"] != "s2"]
    opened = new_shop()
    opened.loc[pd.to_datetime(opened["day"]).dt.day_of_week == 6, "sold"] = 20
    table = of_new_shop(frame, pd.concat([frame, opened]))
    assert (table["forecast"] > 1).all()


def test_a_held_out_value_that_contradicts_is_remembered(shop: pd.DataFrame) -> None:
    shop.loc[np.flatnonzero(SUNDAY)[-2], "sales"] = 80
    fitted = Forecaster(model="theta", horizon=14).fit(shop)
    assert not any(line.startswith("closed") for line in fitted.describe())
    table = fitted.predict()
    assert (table.loc[on_sundays(table), "hi_95"] > 0).all()


def test_events_on_each_closed_day_say_nothing_false(
    forecast: Run, data: Path, tmp_path: Path
) -> None:
    sundays = pd.date_range(DAYS[6], periods=101, freq="7D")  # the last one lies ahead
    for name, days in (("all", sundays), ("known", sundays[:-1])):
        pd.DataFrame({"date": days, "name": "closed"}).to_csv(tmp_path / f"{name}.csv", index=False)
        ran = forecast("now", data, "--events", tmp_path / f"{name}.csv")
        check(ran.frame, on_sundays(ran.frame))
        assert "without effect" not in ran.err


def test_days_that_each_have_the_same_event_are_compared_with_each_other(
    shop: pd.DataFrame,
) -> None:
    """Sundays on which a little is sold, all of them named."""
    shop["sales"] += np.where(SUNDAY, np.random.default_rng(3).integers(5, 16, len(shop)), 0)
    events = pd.DataFrame(
        {"date": pd.date_range(DAYS[6], periods=102, freq="7D"), "name": "sunday"}
    )
    knobs = {"model": "theta", "horizon": 14}
    fitted = Forecaster(**knobs, events=events).fit(shop)
    assert "effects  no effect beyond chance" in fitted.describe()
    pd.testing.assert_frame_equal(fitted.predict(), Forecaster(**knobs).fit(shop).predict())


def test_a_backtest_forecasts_closed_days_as_closed_and_knows_nothing_of_later_ones(
    shop: pd.DataFrame,
) -> None:
    model = Forecaster(model="holt-winters", horizon=14)
    rows = model.backtest(shop, windows=4).forecasts
    rows = rows[rows["model"] == "holt-winters"]
    assert (rows.loc[on_sundays(rows), NUMBERS] == 0).all(axis=None)
    opened = shop.assign(sales=np.where(SUNDAY & (shop.index >= 680), 70, shop["sales"]))
    other = model.backtest(opened, windows=4).forecasts
    other = other[other["model"] == "holt-winters"]
    early = rows["origin"] < "2023-11-01"
    pd.testing.assert_frame_equal(rows[early], other[early])


DAMAGES: dict[str, Callable[[Contents], object]] = {
    "a value that is none": lambda made: made.arrays["effects.closed.value"].__setitem__(
        0, float("nan")
    ),
    "a season below one": lambda made: made.arrays["effects.closed.season"].__setitem__(0, 0),
    "a season without phases": lambda made: made.arrays.update(
        {"effects.closed.phase": np.zeros(0, np.int64)}
    ),
    "an event without a name": lambda made: made.config["effects"]["closed"].update(
        opened=[[0, 5]]
    ),
    "a part too many": lambda made: made.config["effects"]["closed"].update(more=1),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_closed_positions_that_contradict_themselves_are_refused(
    shop: pd.DataFrame, damage: str
) -> None:
    contents = to_contents(Forecaster(model="last", horizon=2).fit(shop).fitted_)
    assert len(from_contents(contents).effects.closed) == 1
    DAMAGES[damage](contents)
    with pytest.raises(ArtifactRefused):
        from_contents(contents)

"""Faults that are planted into forecasts: each is blocked, or warned of, and forecasts without one are not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast import Forecaster
from forecast.engine.forecast import forecast
from forecast.engine.requests import ForecastRequest
from forecast.inference.fitted import Fitted
from forecast.inference.forecasting import Forecasts
from forecast.inference.predictor import Predictor
from forecast.jobs.checks.accuracy import Earlier, earlier_forecasts, forecasts_to_keep
from forecast.jobs.checks.finding import MIN_REFERENCE_RUNS, Finding, Limits
from forecast.jobs.checks.limits import (
    JobCheckSettings,
    OutputCheckSettings,
    alarms,
    outcome,
)
from forecast.jobs.checks.output import check_series_missing
from forecast.jobs.checks.tonight import Tonight
from forecast.jobs.gate import run_checks
from forecast.jobs.record import Record
from forecast.panel.schema import Event, Succession
from forecast.settings import OutputSettings, SumSettings
from forecast.tables.reading import table_from_frame
from forecast.totals.sums import Totals

SHOPS, DAYS, HORIZON = 40, 120, 7
LIMITS = JobCheckSettings()
CALM = {"share": 0.001, "usual": 0.0, "size": 0.05}  # statistics of past runs
CHANGING = {"jump", "total_jump", "flat", "width"}


def shops(days: int = DAYS) -> pd.DataFrame:
    """Sales by day, none on Sundays."""
    day, noise = np.arange(days), np.random.default_rng(0).normal(0, 2, (SHOPS, DAYS))
    start = pd.Timestamp("2024-01-01")
    frames = [
        pd.DataFrame(
            {
                "shop": f"s{shop:02}",
                "region": "north" if shop < SHOPS // 4 else "south",
                "day": (start + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d"),
                "promo": (day // 3 + shop) % 4 == 0,
                "units": np.where(
                    day % 7 == 6, 0.0, 60 + shop + 9 * (day % 7) + noise[shop, :days]
                ).round(2),
            }
        )
        for shop in range(SHOPS)
    ]
    return pd.concat(frames).astype({"promo": int})


def past_runs(statistics: Mapping[str, Mapping[str, float]], count: int) -> list[Record]:
    run = {"job": "job", "as_of": "", "started": "", "checks": statistics, "settled": True}
    return [Record(id=str(number), **run) for number in range(count)]


def output_limits(**settings: Any) -> JobCheckSettings:
    return JobCheckSettings(output=OutputCheckSettings(**settings))


@dataclass(frozen=True)
class Night:
    """Tonight's forecasts, and those of last night."""

    output: Tonight
    earlier: Earlier
    fitted: Fitted

    def found(self, past: int = MIN_REFERENCE_RUNS) -> dict[str, Finding]:
        runs = past_runs(dict.fromkeys(CHANGING, CALM), past)
        return run_checks(replace(self.output, earlier=self.earlier, past=runs))

    def words(
        self, limits: JobCheckSettings = LIMITS, past: int = MIN_REFERENCE_RUNS
    ) -> dict[str, str]:
        """The checks that say something."""
        found = {
            name: outcome(name, finding.statistic(), limits)
            for name, finding in self.found(past).items()
        }
        return {name: word for name, word in found.items() if word}

    def changed(self, **parts: Any) -> "Night":
        return replace(
            self, output=replace(self.output, forecasts=replace(self.output.forecasts, **parts))
        )


def _forecast(predictor: Predictor, frame: pd.DataFrame) -> Forecasts:
    return forecast(predictor, ForecastRequest(table_from_frame(frame))).whole


@pytest.fixture(scope="module")
def nights() -> tuple[Callable[..., Night], Any]:
    """What makes the forecasts of a table, those of its table a day before beside them."""
    model = Forecaster(
        model="seasonal-mean", horizon=HORIZON, id="shop", target="units", time="day", season=7
    )
    model.fit(shops(DAYS - 10))
    predictor = model._build_predictor()

    def night(table: pd.DataFrame | None = None) -> Night:
        last = _forecast(predictor, shops(DAYS - 1))
        forecasts = _forecast(predictor, shops() if table is None else table)
        fitted = predictor.fitted
        totals = Totals(predictor, SumSettings(sum_by=("all",)), OutputSettings(), None)
        totals.add(forecasts)
        output = Tonight(forecasts, fitted, OutputSettings(), [totals])
        earlier = earlier_forecasts(forecasts_to_keep(last, fitted), forecasts, fitted.config.table)
        return Night(output, earlier, fitted)

    return night, predictor


@pytest.fixture(scope="module")
def calm(nights: Any) -> Night:
    return nights[0]()


def numbers(night: Night, change: Callable[[np.ndarray], None]) -> Night:
    """Tonight's published numbers [series, horizon, 5], changed."""
    published = night.output.forecasts.published.copy()
    change(published)
    names = ("forecast", "lo_80", "hi_80", "lo_95", "hi_95")
    columns = night.output.forecasts.columns | {
        name: published[..., i].ravel() for i, name in enumerate(names)
    }
    return night.changed(published=published, columns=columns)


def scaled(night: Night, factor: Any, series: slice = slice(None)) -> Night:
    def change(published: np.ndarray) -> None:
        published[series] *= factor

    return numbers(night, change)


def put(place: Any, value: Any) -> Callable[[np.ndarray], None]:
    def change(published: np.ndarray) -> None:
        published[place] = value

    return change


def narrowed(factor: float, series: slice = slice(None)) -> Callable[[np.ndarray], None]:
    def change(published: np.ndarray) -> None:
        middle = published[series, :, :1]
        published[series, :, 1:] = middle + factor * (published[series, :, 1:] - middle)

    return change


FAULTS: dict[str, tuple[Callable[[Night], Night], str, str]] = {
    "values times 1,000": (lambda night: scaled(night, 1000.0), "bounds", "error"),
    "one series of forty times 1,000": (
        lambda night: scaled(night, 1000.0, slice(0, 1)),
        "bounds",
        "error",
    ),
    "values times 4": (lambda night: scaled(night, 4.0), "bounds", "error"),
    "values doubled": (lambda night: scaled(night, 2.0), "total_jump", "error"),
    "values halved": (lambda night: scaled(night, 0.5), "total_jump", "error"),
    "an offset to all values": (
        lambda night: numbers(night, lambda p: p.__iadd__(30.0)),
        "total_jump",
        "error",
    ),
    "a region doubled": (lambda night: scaled(night, 2.0, slice(0, 10)), "jump", "warn"),
    "half of the series doubled": (lambda night: scaled(night, 2.0, slice(0, 20)), "jump", "error"),
    "days shifted by one": (
        lambda night: numbers(night, lambda p: put(..., np.roll(p, 1, 1))(p)),
        "jump",
        "error",
    ),
    "series in the order of others": (
        lambda night: numbers(night, lambda p: put(..., p[::-1].copy())(p)),
        "jump",
        "error",
    ),
    "zero everywhere": (lambda night: scaled(night, 0.0), "flat", "error"),
    "a constant": (lambda night: numbers(night, put(slice(None), 70.0)), "flat", "error"),
    "a constant for some": (lambda night: numbers(night, put(slice(0, 4), 70.0)), "flat", "warn"),
    "intervals without width": (lambda night: numbers(night, narrowed(0.0)), "width", "warn"),
    "intervals ten times as wide": (lambda night: numbers(night, narrowed(10.0)), "width", "warn"),
    "some intervals ten times as wide": (
        lambda night: numbers(night, narrowed(10.0, slice(0, 4))),
        "width",
        "warn",
    ),
    "a negative forecast": (lambda night: numbers(night, put((3, 2), -1.0)), "negative", "error"),
    "a negative end of an interval": (
        lambda night: numbers(night, put((3, 2, 3), -0.01)),
        "negative",
        "error",
    ),
    "NaN": (lambda night: numbers(night, put((5, 1, 0), np.nan)), "finite", "error"),
    "infinity": (lambda night: numbers(night, put((5, 1, 4), np.inf)), "finite", "error"),
    "an interval end on the wrong side": (
        lambda night: numbers(night, put((5, 1, 1), 1e4)),
        "order",
        "error",
    ),
    "80 % outside 95 %": (
        lambda night: numbers(night, lambda p: put((..., [1, 3]), p[..., [3, 1]])(p)),
        "order",
        "error",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(calm: Night, fault: str) -> None:
    plant, name, word = FAULTS[fault]
    night = plant(calm)
    assert night.words().get(name) == word, {
        name: finding.statistic() for name, finding in night.found().items()
    }


def test_forecasts_without_a_fault_are_quiet(calm: Night) -> None:
    assert calm.words() == {}
    assert calm.words(past=0) == {}


def test_a_closed_series_is_flat_without_a_fault(calm: Night) -> None:
    night = numbers(calm, put(slice(0, 4), 0.0))
    assert "flat" in night.words()
    first, last = date(2024, 4, 30), date(2024, 6, 30)
    events = tuple(
        Event(day=first, end=last, name="gone", kind="closed", ids=(f"s{shop:02}",))
        for shop in range(4)
    )
    schema = calm.fitted.schema.model_copy(update={"dated_events": events})
    config = calm.fitted.config.model_copy(update={"table": schema})
    fitted = replace(calm.fitted, config=config)
    closed = replace(night, output=replace(night.output, fitted=fitted))
    assert "flat" not in closed.words()


def test_a_series_of_a_few_values_may_jump(calm: Night) -> None:
    night = scaled(calm, 2.0, slice(0, 4))
    assert "jump" in night.words()
    panel = night.output.forecasts.panel
    young = (panel.series_of_slots < 4) & (panel.grid_positions < panel.origin - 10)
    panel = replace(panel, observed=panel.observed & ~young)
    assert "jump" not in night.changed(panel=panel).words()


def test_comparisons_with_past_runs_are_silent_before_there_are_twenty(calm: Night) -> None:
    doubled = scaled(calm, 2.0)
    assert set(doubled.words()) == {"total_jump", "jump"}
    assert doubled.words(past=MIN_REFERENCE_RUNS - 1) == {}


def test_more_than_usual_is_what_past_runs_did_not_have(calm: Night) -> None:
    wild = {
        "jump": {"share": 1.0, "usual": 0.0, "size": 50.0},
        "total_jump": {"share": 0.4, "usual": 0.0},
    }
    runs = past_runs(wild, MIN_REFERENCE_RUNS)
    output = replace(scaled(calm, 2.0).output, earlier=calm.earlier, past=runs)
    found = run_checks(output)
    assert not any(outcome(name, finding.statistic(), LIMITS) for name, finding in found.items())


@pytest.mark.parametrize(
    ("table", "name", "word"),
    [
        (lambda: shops()[lambda frame: frame["region"] != "north"], "series_missing", "error"),
        (lambda: shops()[lambda frame: frame["shop"] != "s07"], "series_missing", "error"),
        (lambda: shops().assign(units=lambda frame: 2 * frame["units"]), "total_jump", "error"),
        (
            lambda: shops().assign(
                units=lambda frame: frame["units"].where(
                    (frame["day"] < "2024-02-15") | (frame["units"] == 0), 77.0
                )
            ),
            "jump",
            "error",
        ),
    ],
    ids=["a region missing", "a shop missing", "a table added up twice", "a frozen feed"],
)
def test_fault_of_the_table_is_found(
    nights: Any, table: Callable[[], pd.DataFrame], name: str, word: str
) -> None:
    assert nights[0](table()).words().get(name) == word


@pytest.mark.parametrize(
    ("name", "on_error", "word"),
    [
        ("finite", "warn", "blocked"),
        ("jump", "warn", "error"),
        ("jump", "block", "blocked"),
        ("order", "warn", "blocked"),
    ],
)
def test_what_blocks_depends_on_the_rule_and_on_the_setting(
    name: str, on_error: Any, word: str
) -> None:
    said = alarms({name: Finding(share=1.0)}, output_limits(on_error=on_error))
    assert said[name].word == word


def test_limits_are_those_of_the_settings(calm: Night) -> None:
    night = scaled(calm, 1000.0, slice(0, 1))
    assert night.words()["bounds"] == "error"
    assert night.words(output_limits(bounds=Limits(warn=0.02, error=0.5)))["bounds"] == "warn"
    assert "bounds" not in night.words(output_limits(bounds=Limits(warn=0.5, error=0.5)))


def test_a_lower_bound_that_is_asked_for_allows_negative_numbers(calm: Night) -> None:
    night = numbers(calm, put((3, 2), -1.0))
    allowed = replace(night, output=replace(night.output, settings=OutputSettings(min=-5.0)))
    assert "negative" in night.words()
    assert "negative" not in allowed.words()


def test_a_known_column_that_is_shifted_by_a_day_is_a_jump() -> None:
    def table(days: int, late: int = 0) -> pd.DataFrame:
        found = shops()  # of twelve, one that moves much is a share that warns
        found["units"] += 80 * found["promo"] * (found["units"] > 0)
        found["promo"] = found.groupby("shop")["promo"].shift(late).bfill().astype(int)
        found["units"] = found["units"].where(found["day"] < sorted(set(found["day"]))[days])
        return found

    model = Forecaster(
        model="regression",
        horizon=HORIZON,
        id="shop",
        target="units",
        time="day",
        season=7,
        known="promo",
    ).fit(table(DAYS - HORIZON - 1))
    predictor, schema = model._build_predictor(), model._build_predictor().fitted.config.table
    last = _forecast(predictor, table(DAYS - HORIZON - 1))
    for late, expected in ((0, ""), (1, "error")):
        forecasts = _forecast(predictor, table(DAYS - HORIZON, late))
        output = Tonight(forecasts, predictor.fitted, OutputSettings())
        night = Night(
            output,
            earlier_forecasts(forecasts_to_keep(last, predictor.fitted), forecasts, schema),
            predictor.fitted,
        )
        assert night.words().get("jump", "") == expected


def test_only_a_successor_that_is_there_excuses_a_series_that_is_gone(calm: Night) -> None:
    """And only if the name of the series is that of no other."""

    def gone(new: str, before: list[tuple[str, ...]]) -> float | None:
        day = date(2024, 1, 1)
        row = Succession(ids=(new,), of="a/b", replaces=True, day=day, share=1)
        schema = calm.fitted.schema.model_copy(update={"successions": (row,)})
        config = calm.fitted.config.model_copy(update={"table": schema})
        output = replace(calm.output, fitted=replace(calm.fitted, config=config))
        output = replace(output, earlier=(tuple(before), calm.earlier[1]))
        finding = check_series_missing(output)
        return None if finding is None else finding.share

    assert gone("s00", [("a/b",)]) == 0
    assert gone("s99", [("a/b",)]) == 1
    assert gone("s00", [("a/b",), ("a", "b")]) == 1

"""The gate tells a worse fit from noise: losses are paired by horizon, and one standard error decides."""

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.engine.fit import fit
from forecast.engine.requests import FitRequest
from forecast.ensemble.validation import ValidationForecasts
from forecast.inference.predictor import Predictor
from forecast.jobs.checks.promotion import ServingVersion, should_promote
from forecast.panel.infer import Reading, read
from forecast.settings import TableSettings, TrainSettings
from forecast.tables.reading import table_from_frame
from tests.conftest import At, Run
from tests.jobs.a_job import Job

Numbers = np.ndarray[Any, Any]

REFITS, HORIZON, SHOPS, DAYS = 20, 7, 6, 200
WORSE = 1.1
NOISE = 0.35  # of a version's own, in units of what nobody can know


def reading_of(seed: int) -> Reading:
    generator = np.random.default_rng(seed)
    day = np.arange(DAYS)
    frames = []
    for shop in range(SHOPS):
        units = 50 + generator.normal(0, 6, 7)[day % 7] + generator.normal(0, 5, DAYS)
        frames.append(
            pd.DataFrame(
                {
                    "shop": f"s{shop}",
                    "day": pd.date_range("2024-01-01", periods=DAYS),
                    "units": units,
                }
            )
        )
    return read(table_from_frame(pd.concat(frames)), TableSettings(season=(7,)), horizon=HORIZON)


def noise_for(ratio: float) -> float:
    """The noise of a version whose expected error is `ratio` times that of one with `NOISE`; errors are normal."""
    return float(np.sqrt(ratio**2 * (1 + NOISE**2) - 1))


@pytest.mark.parametrize("horizons", [4, 8])
def test_equal_fits_go_live_and_worse_ones_do_not(horizons: int) -> None:
    equal, worse = (
        [_stand_in_goes_live(seed, ratio, horizons) for seed in range(REFITS)]
        for ratio in (1.0, WORSE)
    )
    assert sum(equal) >= 15
    assert sum(worse) <= 1


def _stand_in_goes_live(seed: int, ratio: float, horizons: int) -> bool:
    """The verdict on forecasts that miss by what nobody can know, and by noise of each version's own."""
    reading, generator = reading_of(seed), np.random.default_rng(1_000 + seed)
    panel, ends = reading.panel, DAYS - HORIZON
    first = np.arange(ends - HORIZON * horizons + 1, ends + 1)
    series = np.repeat(np.arange(SHOPS), len(first))
    first = np.tile(first, SHOPS)
    slots = (panel.offsets[series] + first)[:, None] + np.arange(HORIZON)
    actual = panel.values[slots]
    # what can be known of a day, at any origin; some weeks are wilder than others
    wild_then = np.exp(generator.normal(size=DAYS))[
        (first[:, None] + np.arange(HORIZON)) // HORIZON
    ]
    known = actual - wild_then * generator.normal(size=len(panel.values))[slots]
    ours, theirs = (
        wild_then * noise * generator.normal(size=actual.shape)
        for noise in (noise_for(ratio), NOISE)
    )
    origins, unit = panel.starts[series] + first, np.ones(len(first))
    held = ValidationForecasts(
        series,
        origins,
        (known + ours)[..., None],
        actual,
        np.ones(actual.shape, bool),
        unit,
        "mase",
        (0.5,),
    )
    config = SimpleNamespace(
        horizon=HORIZON,
        levels=(0.5,),
        table=reading.schema,
    )
    new = SimpleNamespace(
        config=config,
        history=SimpleNamespace(ids=panel.ids, origins=panel.origins, origin=panel.origin),
        ensemble=SimpleNamespace(validation=held, lookback=HORIZON, networks=(), scores={}),
        settings=lambda: SimpleNamespace(metric="mase"),
    )
    old_end = panel.origins - HORIZON * horizons
    seen = SimpleNamespace(ids=panel.ids, origins=old_end, origin=old_end.max())
    old = SimpleNamespace(config=config, history=seen, ensemble=new.ensemble)
    replay = {
        (one, day): points for one, day, points in zip(series, first, known + theirs, strict=True)
    }
    predictor = SimpleNamespace(
        fitted=old,
        quantiles=lambda panel, series, position: np.stack(
            [replay[pair] for pair in zip(series, position, strict=True)]
        )[..., None],
    )
    goes_live, words = should_promote(
        new, ServingVersion("v-old", predictor), lambda: reading, False
    )  # type: ignore[arg-type]
    assert f"over {horizons} horizons" in words
    return goes_live


@pytest.mark.slow
def test_real_fits_that_are_equal_go_live_and_worse_ones_do_not() -> None:
    counts = {1.0: 0, WORSE: 0}
    for seed in range(REFITS):
        for ratio, goes_live in _real_fits_go_live(seed).items():
            counts[ratio] += goes_live
    assert counts[1.0] >= 15
    assert counts[WORSE] <= 1


def _real_fits_go_live(seed: int) -> dict[float, bool]:
    """Networks fitted four horizons apart with other seeds, both with noise added; that of one is larger."""
    generator, whole = np.random.default_rng(seed), reading_of(seed)
    frame = whole.dated.table.frame
    earlier = frame[frame["day"] < frame["day"].max() - pd.Timedelta(days=4 * HORIZON - 1)]
    fits = []
    for place, reading in enumerate(
        (read(table_from_frame(earlier), TableSettings(season=(7,)), horizon=7), whole)
    ):
        settings = TrainSettings(
            model="linear", horizon=7, steps=15, members=1, guard=False, seed=2 * seed + place
        )
        fits.append(fit(FitRequest(reading, settings, sums=False)))
    live, new = fits
    held = new.ensemble.validation
    assert held is not None
    median = held.levels.index(0.5)
    spread = float(np.std(held.actual - held.quantiles[..., median]))

    class Noisy(Predictor):
        def quantiles(self, *arguments: Any, **_: Any) -> Numbers:
            quantiles = super().quantiles(*arguments)
            return quantiles + NOISE * spread * generator.normal(size=(*quantiles.shape[:2], 1))

    verdicts = {}
    for ratio in (1.0, WORSE):
        noise = generator.normal(size=(*held.actual.shape, 1))
        quantiles = held.quantiles + noise_for(ratio) * spread * noise
        noisy = replace(
            new, ensemble=replace(new.ensemble, validation=replace(held, quantiles=quantiles))
        )
        version = ServingVersion("v-old", Noisy(live, "cpu"))
        verdicts[ratio], words = should_promote(noisy, version, lambda: whole, False)
        assert "over 4 horizons" in words
    return verdicts


def test_the_verdict_says_which_rule_decided_and_on_how_many_horizons(
    job: Job, forecast: Run, at: At
) -> None:
    job.write(top='refit = "weekly"')
    for day in (120, 127, 199):
        ran = forecast("run", job.file, "--as-of", at(day))
        assert ran.code == 0, ran.err
        if day == 127:
            assert (
                "over less than two horizons, where more than 10.0 % counts as worse"
                in job.record()["fit"]["verdict"]
            )
    verdict = job.record()["fit"]["verdict"]
    assert re.search(
        r" % over \d+ horizons, where more than [1-9][\d.]* % counts as worse$", verdict
    ), verdict
    noted = forecast("versions", job.file).out
    assert "horizons" in noted


@pytest.mark.parametrize(
    ("horizons", "more", "goes_live"), [(1, 1.05, True), (1, 1.15, False), (4, 1.05, False)]
)
def test_networks_must_not_lose_to_a_baseline_by_the_same_rule(
    horizons: int, more: float, goes_live: bool
) -> None:
    first = np.arange(100, 101 + HORIZON * (horizons - 1))
    errors = np.random.default_rng(0).normal(size=(len(first), HORIZON))
    actual = np.full(errors.shape, 50.0)
    held = ValidationForecasts(
        np.zeros(len(first), np.int64),
        first,
        (actual + more * errors)[..., None],
        actual,
        np.ones(actual.shape, bool),
        np.ones(len(first)),
        "mase",
        (0.5,),
        rival=(actual + errors)[..., None],
    )
    new = SimpleNamespace(
        config=SimpleNamespace(table=SimpleNamespace(layout="long")),
        history=SimpleNamespace(ids=(("a",),), origins=np.array([120]), end=120),
        ensemble=SimpleNamespace(
            validation=held, networks=(0,), scores={"theta": 1.0, "chosen": more}
        ),
        settings=lambda: SimpleNamespace(metric="mase"),
    )
    _, words = should_promote(new, None, lambda: reading_of(0), False)  # type: ignore[arg-type]
    assert ("on held-out values, where theta has" in words) is not goes_live

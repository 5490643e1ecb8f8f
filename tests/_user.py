"""What a user may write; type checkers find a mistake in the lines marked `wrong`, and in no other."""

from datetime import datetime
from typing import assert_type

import numpy as np
import pandas as pd

from forecast import (
    Backtest,
    Forecaster,
    Pipeline,
    Record,
    RollingOrigin,
    Scores,
    Store,
    TableSettings,
    UsageError,
    VersionInfo,
    read_pipeline,
    run_job,
    score,
    synthesize,
)


class ArrowFrame:
    """A frame whose stream is declared as that of polars and DuckDB."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


def forecasts(frame: pd.DataFrame, arrow: ArrowFrame) -> pd.DataFrame:
    model = Forecaster("theta", horizon=12, target=["units"], params={"layers": 2}).fit(arrow)
    model.totals(arrow, by="shop", every=("month", "next 3"), quantiles=(50, 95), max=9.5)
    model.what_if({"promo": 0, "price": "+10%"}, frame, origin="2024-01-01", integer=True)
    model.plot(frame["units"], future=frame, levels=80, point="mean").save("picture.svg")
    model.future_template(frame, origin=pd.Timestamp("2024-01-01"), horizon=3)
    assert_type(model.horizon, int | None)
    return model.predict(frame, origin=datetime(2024, 1, 1), horizon=3, levels=(50, 90), min=0)


def comparison(frame: pd.DataFrame) -> float:
    made = synthesize("seasonal", series=2)
    tested = Forecaster().backtest(frame, windows=3, models=["theta", "drift"])
    assert_type(tested, Backtest)
    assert_type(score(made, frame, TableSettings(target=("units",))), Scores)
    return Forecaster(season=[24, 168]).fit(np.arange(60.0)).score(frame)


def night(path: str) -> list[VersionInfo]:
    pipeline: Pipeline = read_pipeline(path)
    assert_type(run_job(pipeline), Record)
    try:
        RollingOrigin(windows=3, horizon=pipeline.train.horizon or 1)
    except UsageError as error:
        print(error.cure)
    return Store(pipeline.store).versions()


def mistakes(model: Forecaster, frame: pd.DataFrame) -> None:
    Forecaster(horizn=3)  # wrong
    Forecaster(scaling="huge")  # wrong
    model.fit({"units": 3})  # wrong
    model.predict(levls=80)  # wrong
    model.predict(point="mode")  # wrong
    model.totals(frame, by=3)  # wrong
    model.what_if({"promo": 0}, horizon="7")  # wrong
    model.future_template(origin=[2024])  # wrong

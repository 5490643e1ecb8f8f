"""Forecasts over HTTP, by the live version of a store.

    pip install fastapi uvicorn
    FORECAST_STORE=/srv/forecast/model uvicorn --app-dir docs/examples serve:app

http://127.0.0.1:8000/docs shows what can be asked. It has no users and no encryption: put a proxy in front of it.
"""

import os
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import pandas as pd
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forecast import Forecaster, ForecastError
from forecast.artifacts.store import Store
from forecast.jobs.checks.age import age

# of a question, so that none can take all memory
MAX_RECORDS = 1_000_000  # rows
MAX_BYTES = 64_000_000


class Question(BaseModel):
    """What is to be forecast."""

    model_config = ConfigDict(extra="forbid")
    records: list[dict[str, Any]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_RECORDS,
        description="rows of a newer table, with the columns of the fit; default the series of the fit",
        examples=[
            [{"month": "1960-11", "passengers": 390}, {"month": "1960-12", "passengers": 432}]
        ],
    )
    horizon: int | None = Field(None, ge=1, description="fewer steps than at fit")
    levels: tuple[float, ...] = Field((80, 95), description="of the intervals, in percent")


class Answer(BaseModel):
    """The forecasts, a record for each series and step."""

    version: str
    records: list[dict[str, Any]]


class Health(BaseModel):
    """Which version forecasts, and how old its data are."""

    version: str
    data_age_seconds: float | None = Field(description="none where times are numbered steps")


class Limited:
    """Refuse a question of more than `MAX_BYTES`, before any of it is parsed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        parts: list[Message] = []
        size = 0
        while scope["type"] == "http" and (not parts or parts[-1].get("more_body")):
            parts.append(await receive())
            size += len(parts[-1].get("body", b""))
            if size > MAX_BYTES:
                detail = f"a question has at most {MAX_BYTES:,} bytes"
                await JSONResponse({"detail": detail}, status_code=413)(scope, receive, send)
                return

        async def replay() -> Message:
            return parts.pop(0) if parts else await receive()

        await self.app(scope, replay, send)


app = FastAPI(title="forecast")
app.add_middleware(Limited)


@lru_cache(maxsize=2)  # the live version, and the one before for questions that have begun with it
def load(version: str) -> Forecaster:
    return Forecaster.load(store(), version)


def store() -> str:
    return os.environ.get("FORECAST_STORE", "forecast-model")


def live() -> tuple[str, Forecaster]:
    """The live version: one that a nightly job promotes serves the next question."""
    version = Store(store()).current()
    return version, load(version)


# functions without `async` run in threads: while one question is forecast, others are answered
@app.post("/forecast")
def forecast(question: Question) -> Answer:
    version, model = live()
    rows = None if question.records is None else pd.DataFrame(question.records, dtype=object)
    table = model.predict(rows, horizon=question.horizon, levels=question.levels)
    return Answer(version=version, records=table.to_dict("records"))


@app.get("/health")
def health() -> Health:
    try:
        version, model = live()
    except ForecastError as error:
        raise HTTPException(503, str(error)) from error
    newest = model.fitted_.history.newest
    return Health(version=version, data_age_seconds=age(newest, model.schema_, datetime.now(UTC)))


@app.exception_handler(ForecastError)
def explain(request: Request, error: ForecastError) -> JSONResponse:
    """The message names the column and the way to fix it, as on the command line."""
    return JSONResponse({"detail": str(error)}, status_code=422)

"""Sums of forecasts: whether they are asked for, and where they go."""

from forecast.cli._command import Request
from forecast.cli._data import write
from forecast.errors import Setting, UsageError, Words
from forecast.inference.predictor import Predictor
from forecast.panel.schema import Schema
from forecast.settings import OutputSettings, SumSettings
from forecast.tables.frames import frame_of
from forecast.totals.notes import log_notes
from forecast.totals.sums import Totals


def sums_asked(request: Request) -> SumSettings | None:
    """The sums that are asked for; None where there are none."""
    settings, output = request.of(SumSettings), request.of(OutputSettings)
    if settings == SumSettings():
        if request.totals is not None:
            cure = Words("add ", Setting("sum_by"), " or ", Setting("sum_every"))
            raise UsageError("no sums are asked for", setting=Setting("totals", request.totals), cure=cure)
        return None
    for name in ("joint", "shard"):
        if getattr(output, name):
            problem = "sums are of all series, and have intervals of their own"
            raise UsageError(problem, setting=Setting(name), cure="leave it out")
    return settings


def sums_of(predictor: Predictor, schema: Schema, request: Request) -> Totals | None:
    """The sums that are asked for, still of no series; None where there are none."""
    settings = sums_asked(request)
    output = request.of(OutputSettings)
    return None if settings is None else Totals(predictor, schema, settings, output, request.horizon)


def put_sums(totals: Totals, request: Request) -> None:
    """Write sums beside the series, or in their place."""
    frame = frame_of(totals.columns())
    ids = list(frame)[: list(frame).index("forecast")] if request.excel_safe else None
    write(frame, request.totals or request.output, ids)
    log_notes(totals)

"""Forecaster: the scikit-learn-style face, and the only room that knows the order of the stages."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from forecast.artifacts.fitted import RUN_ONLY, Config, Fitted, from_contents, to_contents
from forecast.artifacts.format import load_json
from forecast.artifacts.store import Store, VersionInfo, Writer
from forecast.errors import ArtifactRefused, BadData, ForecastError, NoInput, UsageError
from forecast.evaluation.metrics import mase, seasonal_errors
from forecast.evaluation.quantiles import LEVELS, at_levels, interval_levels, mean_of, rounded
from forecast.models.shared.model import RecurrentModel, Shape
from forecast.parameters import NestedParams
from forecast.series.building import add_future, build_panel, calendar_of, format_positions, require_known
from forecast.series.calendar import default_horizon
from forecast.series.covariates import category_sizes, fit_statistics, make_columns, numeric_count
from forecast.series.detection import check_schema, describe, infer_schema
from forecast.series.panel import SKIPPED, Panel
from forecast.series.reading import table_from_frame
from forecast.series.schema import Schema
from forecast.series.spans import choose_lags, choose_lookback
from forecast.series.table import Table
from forecast.series.transforms import apply_power, fit_power
from forecast.series.windows import Windows
from forecast.series.writing import forecast_frame, guard_formulas, interval_columns
from forecast.settings import OutputSettings, TableSettings, TrainSettings
from forecast.training.devices import pick_device, threads
from forecast.training.fitting import choose_spans, fit_networks
from forecast.training.loop import Progress
from forecast.training.members import predict_quantiles, rebuild
from forecast.training.plan import Plan

log = logging.getLogger("forecast")

Data = pd.DataFrame | pd.Series | Table  # type: ignore[type-arg]

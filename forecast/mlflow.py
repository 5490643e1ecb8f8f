"""Log a fitted Forecaster as a model of MLflow, and load it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from forecast.errors import INSTALL, Unavailable
from forecast.forecaster import Forecaster
from forecast.logs import Redactor
from forecast.settings import INTERVALS
from forecast.tables.reading import Data, table_from_frame

STORE_FOLDER = "store"  # the folder of the version among the data of a model


def save_model(forecaster: Forecaster, path: str, X: Data) -> None:
    """Write a fitted forecaster as a model of MLflow into a new folder.

    Parameters
    ----------
    X : rows as `predict` takes them; the signature has the types of their columns and of their
        forecasts, and the parameters `horizon` and `levels`
    """
    with _model(forecaster, X) as (mlflow, parts):
        mlflow.pyfunc.save_model(path, **parts)


def log_model(forecaster: Forecaster, name: str, X: Data) -> Any:
    """Log a fitted forecaster with the active run, as `save_model` writes it.

    Returns the ModelInfo of MLflow, whose `model_uri` is what `load_model` takes.
    """
    with _model(forecaster, X) as (mlflow, parts):
        return mlflow.pyfunc.log_model(name=name, **parts)


def load_model(model_uri: str) -> Forecaster:
    """Load the forecaster of a model: a folder, ``models:/NAME/VERSION`` or ``runs:/RUN/NAME``.

    ``mlflow.pyfunc.load_model`` loads the same as a function of rows.
    """
    with _mlflow(model_uri) as mlflow:
        folder = mlflow.artifacts.download_artifacts(model_uri)
    return Forecaster.load(f"{folder}/data/{STORE_FOLDER}")


@contextmanager
def _mlflow(url: str = "") -> Iterator[Any]:
    """MLflow, whose errors in the block show no password of `url` or of its servers."""
    try:
        import mlflow
    except ImportError:
        raise Unavailable("this needs the package mlflow", cure=INSTALL.format("mlflow")) from None
    redact = Redactor()
    for address in (url, mlflow.get_tracking_uri(), mlflow.get_registry_uri()):
        redact.add(urlsplit(address).password or "")
    with redact.kept_out():
        yield mlflow


@contextmanager
def _model(forecaster: Forecaster, X: Data) -> Iterator[tuple[Any, dict[str, Any]]]:
    """MLflow, and what it writes: a store of one version, without pickles, and its signature."""
    rows = table_from_frame(X).frame
    forecasts = forecaster.predict(rows)
    config = forecaster.fitted_.config
    # MLflow refuses other numbers for whole ones, as they become where one is missing; a column
    # without values has any type
    whole = rows.select_dtypes("integer").columns.drop(config.table.keys, errors="ignore")
    rows = rows.assign(**dict.fromkeys(whole))
    params = {"horizon": config.horizon, "levels": [*INTERVALS]}
    with _mlflow() as mlflow, TemporaryDirectory() as folder:
        store = f"{folder}/{STORE_FOLDER}"
        forecaster.save(store)
        yield (
            mlflow,
            {
                "loader_module": __name__,
                "data_path": store,
                "signature": mlflow.models.infer_signature(rows, forecasts, params),
                "pip_requirements": [],
            },
        )


@dataclass
class _Served:
    """What MLflow calls with rows and with the parameters of the signature."""

    forecaster: Forecaster

    def predict(self, model_input: Data, params: dict[str, Any] | None = None) -> Any:
        return self.forecaster.predict(model_input, **(params or {}))


def _load_pyfunc(path: str) -> _Served:  # the name that MLflow looks for in a loader module
    return _Served(Forecaster.load(path))

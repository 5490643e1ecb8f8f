"""Models of MLflow: what is logged comes back as a forecaster and as a function, where MLflow is installed."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from forecast import Forecaster, ForecastError
from forecast.mlflow import load_model, log_model, save_model

pytestmark = pytest.mark.filterwarnings("default")  # MLflow warns where no example is logged


@pytest.fixture(scope="module")
def fitted(panel_frame: pd.DataFrame) -> Forecaster:
    how = {"id": "shop", "target": "units", "known": "promo", "static": "size"}
    return Forecaster(model="theta", horizon=4, **how).fit(panel_frame.drop(columns="price"))


@pytest.fixture(scope="module")
def rows(panel_frame: pd.DataFrame) -> pd.DataFrame:
    """Newer rows, with those of the horizon, whose target is blank; the promotions are whole numbers."""
    frame = panel_frame.drop(columns="price")
    frame.loc[frame.groupby("shop").cumcount() >= 76, "units"] = None
    return frame


def test_error_names_the_extra(
    fitted: Forecaster, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    for call in (lambda: save_model(fitted, str(tmp_path / "m"), rows), lambda: load_model("m")):
        with pytest.raises(
            ForecastError, match=r"needs the package mlflow; `pip install '.\[mlflow\]'`"
        ):
            call()


def test_a_saved_model_is_a_forecaster_and_a_function(
    fitted: Forecaster, rows: pd.DataFrame, tmp_path: Path
) -> None:
    mlflow = pytest.importorskip("mlflow")
    path = str(tmp_path / "model")
    save_model(fitted, path, rows)
    expected = fitted.predict(rows)
    pd.testing.assert_frame_equal(load_model(path).predict(rows), expected)
    model = mlflow.pyfunc.load_model(path)
    pd.testing.assert_frame_equal(model.predict(rows), expected)
    inputs, outputs = model.metadata.signature.inputs, model.metadata.signature.outputs
    assert inputs.input_names() == [*rows]
    assert outputs.input_names() == [*expected]
    changed = model.predict(rows, params={"horizon": 2, "levels": [90.0]})
    pd.testing.assert_frame_equal(changed, fitted.predict(rows, horizon=2, levels=(90,)))
    # a table of another night, in which a whole number is missing
    rows = rows.astype({"promo": float})
    pd.testing.assert_frame_equal(model.predict(rows), expected)
    with pytest.raises(mlflow.exceptions.MlflowException, match="missing inputs"):
        model.predict(rows.drop(columns="shop"))
    pickles = list((tmp_path / "model").rglob("*.pkl"))
    assert pickles == []  # nothing that is loaded can run code


def test_a_logged_model_is_loaded_by_its_address(
    fitted: Forecaster, rows: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    with mlflow.start_run():
        logged = log_model(fitted, "shops", rows)
    pd.testing.assert_frame_equal(load_model(logged.model_uri).predict(rows), fitted.predict(rows))
    names = {file.name for file in (tmp_path / "runs").rglob("*") if file.is_file()}
    assert {"MLmodel", "live"} & names


def test_an_error_shows_no_password_of_a_server(
    fitted: Forecaster, rows: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri("http://user:sesame@127.0.0.1:9")
    try:
        for call in (
            lambda: log_model(fitted, "shops", rows),
            lambda: load_model("models:/shops/1"),
        ):
            with pytest.raises(RuntimeError, match=r"MlflowException: .*//user:\*\*\*@") as error:
                call()
            assert "sesame" not in str(error.value)
    finally:
        mlflow.set_tracking_uri(before)

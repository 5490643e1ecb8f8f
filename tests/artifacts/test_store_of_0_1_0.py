"""A store that forecast 0.1.0 wrote: it is read, forecasts the same, and takes new versions."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

WRITTEN = Path(__file__).parent / "store_0_1_0"
"""The store, its input, and what 0.1.0 forecast from it; version 1 is a baseline, version 2, the live one, a network.

Made by `forecast fit input.csv --id shop --known promo --horizon 7 --model segrnn --steps 20 -p hidden_size=8
--members 1`, then with `--no-guard` as well; `predict_N.csv` and `predict_N_input.csv` are what `forecast predict`
printed without and with DATA.
"""

Run = Callable[..., "object"]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A copy of the store, to be written to."""
    return Path(shutil.copytree(WRITTEN / "store", tmp_path / "store"))


def versions_in(store: Path) -> list[str]:
    return sorted(path.name for path in store.iterdir() if path.name.startswith("v-"))


def table(source: object) -> pd.DataFrame:
    return pd.read_csv(source, dtype={"shop": str})  # type: ignore[call-overload]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("data", [(), (WRITTEN / "input.csv",)], ids=["saved-series", "table"])
def test_forecasts_are_those_that_0_1_0_printed(
    forecast: Run, store: Path, number: int, data: tuple[Path, ...], tmp_path: Path
) -> None:
    version = versions_in(store)[number - 1]
    found = forecast("predict", *data, "--artifact", store, "--version", version, "--output", tmp_path / "out.csv")
    assert found.code == 0
    now = table(tmp_path / "out.csv")
    then = table(WRITTEN / f"predict_{number}{'_input' if data else ''}.csv")
    pd.testing.assert_frame_equal(now[["shop", "day"]], then[["shop", "day"]])
    columns = list(then.columns[2:])
    assert list(now.columns[2:]) == columns
    np.testing.assert_allclose(now[columns], then[columns], rtol=1e-5, atol=1e-4)


def test_inspect_shows_what_the_old_version_is(forecast: Run, store: Path) -> None:
    shown = forecast("inspect", "--artifact", store)
    assert shown.code == 0
    assert "model    segrnn" in shown.out
    assert "known    promo" in shown.out
    found = json.loads(forecast("inspect", "--artifact", store, "--json").out)
    assert found["series"] == 3
    assert found["version"] == versions_in(store)[1]


def test_old_versions_are_promoted_and_rolled_back(forecast: Run, store: Path) -> None:
    first, second = versions_in(store)
    assert forecast("promote", first, "--artifact", store).code == 0
    assert (store / "CURRENT").read_text().startswith(first)
    assert forecast("promote", second, "--artifact", store).code == 0
    assert forecast("rollback", "--artifact", store).code == 0
    assert (store / "CURRENT").read_text().startswith(first)


def test_fit_adds_a_version_beside_the_old_ones_and_they_can_be_gone_back_to(forecast: Run, store: Path) -> None:
    old = versions_in(store)
    fitted = forecast(
        "fit", WRITTEN / "input.csv", "--artifact", store, "--id", "shop", "--known", "promo", "--model", "last"
    )
    assert fitted.code == 0
    assert "differently" not in fitted.err
    now = versions_in(store)
    assert now[:2] == old
    assert len(now) == 3
    assert forecast("predict", "--artifact", store, "--horizon", 7).code == 0
    assert forecast("rollback", "--artifact", store).code == 0
    assert (store / "CURRENT").read_text().startswith(old[1])
    assert forecast("predict", "--artifact", store).code == 0


def test_a_warm_start_goes_on_from_an_old_version(forecast: Run, store: Path) -> None:
    words = ("--id", "shop", "--known", "promo", "--horizon", 7, "--model", "segrnn", "-p", "hidden_size=8")
    few = ("--steps", 6, "--members", 1, "--no-guard", "--warm-start")
    assert forecast("fit", WRITTEN / "input.csv", "--artifact", store, *words, *few).code == 0
    shown = forecast("inspect", "--artifact", store)
    assert ", 1 warm start\n" in shown.out

"""A large table is forecast part by part, and not a byte differs from what reading it as a whole gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import split
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from forecast.engine import forecast as engine_forecast
from forecast.engine.forecast import forecast_part
from forecast.engine.requests import ForecastRequest
from forecast.inference import predictor
from forecast.inference.forecasting import ForecastPart
from tests.conftest import Ran, Run

DAYS, SHOPS, AT_ONCE = 60, 37, 8
KNOWN = ("--known", "promo", "--static", "size")
NETWORK = split("--model segrnn --steps 3 --members 1 -p hidden_size=8 --horizon 5 --no-guard")


def panel(shops: int = SHOPS, seed: int = 0) -> pd.DataFrame:
    """Shops with gaps, with words for missing, that ended, that never change, or that are new; a known promotion."""
    random = np.random.default_rng(seed)
    rows = pd.DataFrame({"shop": np.repeat([f"s{i:03d}" for i in range(shops)], DAYS + 5)})
    step = rows.groupby("shop").cumcount()
    number = np.repeat(np.arange(shops), DAYS + 5)
    rows["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(step, unit="D")
    rows["units"] = np.round(
        20 + 5 * np.sin(step * 2 * np.pi / 7) + random.normal(size=len(rows)) + number, 2
    )
    rows.loc[number % 5 == 1, "units"] = np.floor(rows["units"] / 20)
    rows.loc[number % 11 == 3, "units"] = 4.0
    rows.loc[number % 7 == 5, "units"] -= 60
    rows["promo"] = (step % 6 == number % 3).astype(float)
    rows["size"] = np.where(number % 2, "small", "large")
    rows.loc[step >= DAYS, "units"] = np.nan
    rows.loc[(number % 9 == 4) & (step > 5), "units"] = np.nan
    rows.loc[(number % 13 == 6) & (step > 20) & (step < DAYS), "units"] = np.nan
    gone = random.random(len(rows)) < 0.05
    return rows[~gone | (step >= DAYS)].reset_index(drop=True)


@dataclass
class Fits:
    """A saved forecaster that reads tables as a whole, and in parts."""

    forecast: Run
    folder: Path
    patch: pytest.MonkeyPatch

    def fit(self, frame: pd.DataFrame, *words: object) -> None:
        """Fit on some shops."""
        frame.to_parquet(self.folder / "fit.parquet")
        ran = self.forecast(
            "fit", self.folder / "fit.parquet", "--artifact", self.folder / "store", *words
        )
        assert ran.code == 0, ran.err

    def same(
        self, table: Path, *words: object, suffix: str = "csv", parts: int | None = None
    ) -> Ran:
        """Forecast both ways; files and exit codes must be equal. So many `parts` are forecast."""
        count = 0

        def counted(model: Any, request: ForecastRequest) -> Any:
            nonlocal count
            count += isinstance(request.source, ForecastPart)
            return forecast_part(model, request)

        self.patch.setattr(engine_forecast, "forecast_part", counted)
        for module in (engine_forecast, predictor):
            self.patch.setattr(module, "NETWORK_WINDOWS_AT_ONCE", AT_ONCE)
        ran, written = [], []
        for least in (10**9, 1):
            self.patch.setattr(engine_forecast, "LEAST_ROWS", least)
            output = self.folder / f"out.{suffix}"
            output.unlink(missing_ok=True)
            command = ("predict", table, "--artifact", self.folder / "store", *words)
            ran.append(self.forecast(*command, *(("--output", output) if suffix else ())))
            written.append(output.read_bytes() if output.exists() else ran[-1].out.encode())
        assert ran[0].code == ran[1].code, ran[1].err
        assert written[0] == written[1]
        assert parts is None or count == parts
        return ran[1]


@pytest.fixture
def fits(forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fits:
    return Fits(forecast, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        ("csv", ()),
        ("parquet", ("--levels", "50,90", "--explain")),
        ("csv", ("--integer", "--excel-safe", "--horizon", 3)),
        ("", ("--point", "mean", "--min", -5, "--require-all")),
    ],
)
def test_parts_give_the_same_bytes_messages_and_exit_code_as_the_whole(
    fits: Fits, suffix: str, words: Sequence[object]
) -> None:
    frame = panel()
    fits.fit(frame[frame["shop"].isin(["s000", "s001", "s002", "s033", "s050"])], *NETWORK, *KNOWN)
    table = fits.folder / "panel.parquet"
    pq.write_table(pa.Table.from_pandas(frame), table, row_group_size=700)
    ran = fits.same(table, *words, suffix=suffix, parts=-(-SHOPS // AT_ONCE))
    assert " series were not seen at fit (s003, s004, s005, ...)" in ran.err
    assert " (the first of 5 such messages about parts)" in ran.err
    assert "values are missing, in " in ran.err
    assert "and get no forecast: " in ran.err


@pytest.mark.slow
@pytest.mark.parametrize("model", ["theta", "holt-winters", "autoregression", "pretrained", "auto"])
def test_baselines_forecast_parts_to_the_last_bit(fits: Fits, model: str) -> None:
    frame = panel().drop(columns=["promo", "size"])
    budget = ("--steps", 2, "--members", 1, "-p", "hidden_size=8") if model == "auto" else ()
    fits.fit(frame[frame["shop"] < "s006"], "--model", model, "--horizon", 5, *budget)
    frame.to_parquet(fits.folder / "panel.parquet")
    fits.same(fits.folder / "panel.parquet", suffix="parquet", parts=-(-SHOPS // AT_ONCE))


@pytest.fixture
def fitted(fits: Fits) -> Fits:
    fits.fit(panel(6).drop(columns=["promo", "size"]), "--model", "last", "--horizon", 4)
    return fits


def test_series_and_their_rows_may_come_in_any_order(fitted: Fits) -> None:
    order = np.random.default_rng(1).permutation(SHOPS)
    frame = panel().drop(columns=["promo", "size"])
    by_shop = [frame[frame["shop"] == f"s{number:03d}"] for number in order]
    pd.concat([rows.iloc[::-1] for rows in by_shop]).to_parquet(fitted.folder / "panel.parquet")
    ran = fitted.same(fitted.folder / "panel.parquet", parts=5)
    assert "sorted by time; " in ran.err


def test_a_folder_of_files_is_one_table(fitted: Fits) -> None:
    frame = panel().drop(columns=["promo", "size"])
    (fitted.folder / "many").mkdir()
    for place, rows in enumerate(np.array_split(np.arange(len(frame)), 7)):
        frame.iloc[rows].to_parquet(fitted.folder / "many" / f"{place}.parquet", index=False)
    fitted.same(fitted.folder / "many", parts=5)


def test_a_series_in_two_places_makes_the_table_go_as_a_whole(fitted: Fits) -> None:
    frame = panel().drop(columns=["promo", "size"])
    frame.sort_values(["day", "shop"]).to_parquet(fitted.folder / "panel.parquet")
    assert fitted.same(fitted.folder / "panel.parquet", parts=0).code in (0, 3, 75)


@pytest.mark.parametrize("spoil", ["twice", "off the grid", "huge", "nothing"])
def test_a_bad_row_is_named_as_in_the_whole(fitted: Fits, spoil: str) -> None:
    frame = panel().drop(columns=["promo", "size"])
    row = int(np.flatnonzero(frame["shop"] == "s030")[7])
    if spoil == "twice":
        frame.loc[row, "day"] = frame.loc[row - 1, "day"]
    elif spoil == "off the grid":
        frame.loc[row, "day"] += pd.Timedelta(hours=5)
    elif spoil == "huge":
        frame.loc[row, "units"] = 1e200
    else:
        frame["units"] = np.nan
    frame.to_parquet(fitted.folder / "panel.parquet")
    ran = fitted.same(fitted.folder / "panel.parquet")
    assert ran.code == 65
    assert f"row {row + 1}" in ran.err or spoil == "nothing"


def test_the_newest_value_of_any_part_is_the_end_of_all_series(fitted: Fits) -> None:
    frame = panel().drop(columns=["promo", "size"])
    late = (frame["shop"] == "s036") | (frame["day"] < "2024-02-26")
    frame[late].to_parquet(fitted.folder / "panel.parquet")
    fitted.same(fitted.folder / "panel.parquet", parts=5)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_damaged_file_is_refused_as_the_whole_is(fitted: Fits, suffix: str) -> None:
    frame, table = (
        panel().drop(columns=["promo", "size"]).dropna(),
        fitted.folder / f"panel.{suffix}",
    )
    frame.to_parquet(table, row_group_size=500) if suffix == "parquet" else frame.to_csv(
        table, index=False
    )
    data = bytearray(table.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(range(200, 256)) * 10 + bytes(40)
    table.write_bytes(data)
    assert fitted.same(table).code == 65


@pytest.mark.parametrize(
    "change", ["other series", "fewer rows", "other columns", "a file of a folder", "a CSV"]
)
def test_a_table_that_changes_between_two_passes_is_refused(fitted: Fits, change: str) -> None:
    frame, folder = panel().drop(columns=["promo", "size"]).dropna(), fitted.folder / "many"
    table = fitted.folder / ("panel.csv" if change == "a CSV" else "panel.parquet")
    if change == "a file of a folder":
        folder.mkdir()
        frame[frame["shop"] > "s010"].to_parquet(folder / "b.parquet")
        table = folder / "a.parquet"
    frame.to_csv(table, index=False) if change == "a CSV" else frame[
        frame["shop"] <= "s010"
    ].to_parquet(table)
    newest_time = engine_forecast.newest_time

    def replace_the_table(*given: Any) -> int:
        new = frame.assign(shop=frame["shop"].str.replace("s", "t"))
        new = (
            new.assign(units=new["day"])
            if change == "other columns"
            else new[: 40 if change == "fewer rows" else None]
        )
        other = fitted.folder / "new"
        new.to_csv(other, index=False) if change == "a CSV" else new.to_parquet(other)
        other.replace(table)
        return newest_time(*given)

    fitted.patch.setattr(engine_forecast, "LEAST_ROWS", 1)
    fitted.patch.setattr(predictor, "NETWORK_WINDOWS_AT_ONCE", AT_ONCE)
    fitted.patch.setattr(engine_forecast, "newest_time", replace_the_table)
    source = folder if folder.exists() else table
    ran = fitted.forecast("predict", source, "--artifact", fitted.folder / "store")
    assert (ran.code, ran.out) == (65, "")
    assert f"{table.name}: changed while it was read; read it when nobody writes to it" in ran.err


def test_the_age_is_that_of_the_newest_value_of_all_parts(fitted: Fits) -> None:
    frame = panel().drop(columns=["promo", "size"])
    frame[(frame["shop"] > "s009") | (frame["day"] < "2024-02-05")].to_parquet(
        fitted.folder / "panel.parquet"
    )
    table = fitted.folder / "panel.parquet"
    late = ("--as-of", "2024-03-04")
    assert (
        "the newest value is "
        in fitted.same(table, *late, "--warn-after", "1d", "--error-after", "9d", parts=5).err
    )
    old = fitted.forecast(
        "predict", table, "--artifact", fitted.folder / "store", *late, "--error-after", "2d"
    )
    assert old.code == 4
    assert old.err.startswith("error: ")


def test_a_number_too_large_for_whole_numbers_makes_the_table_go_as_a_whole(fitted: Fits) -> None:
    frame = panel().drop(columns=["promo", "size"])
    frame.loc[frame["shop"] == "s030", "units"] *= 5e15
    frame.to_parquet(fitted.folder / "panel.parquet")
    fitted.same(fitted.folder / "panel.parquet", "--integer", suffix="parquet")


@pytest.mark.parametrize(("delimiter", "decimal"), [(",", "."), (";", ","), ("\t", ".")])
def test_a_sorted_csv_goes_in_parts(
    fitted: Fits, monkeypatch: pytest.MonkeyPatch, delimiter: str, decimal: str
) -> None:
    monkeypatch.setattr("forecast.panel.large.BYTES_AT_ONCE", 5_000)
    frame = panel().drop(columns=["promo", "size"])
    text = frame.to_csv(
        index=False, sep=delimiter, decimal=decimal, lineterminator="\r\n", na_rep="n/a"
    )
    (fitted.folder / "panel.csv").write_bytes(text.encode())
    ran = fitted.same(fitted.folder / "panel.csv", parts=5)
    assert "words such as n/a or - are read as missing" in ran.err
    bad = text.replace("s030", "s03\u00e9").encode("latin-1")
    (fitted.folder / "panel.csv").write_bytes(bad)
    assert "is not UTF-8 text" in fitted.same(fitted.folder / "panel.csv").err


@pytest.mark.parametrize(
    "spoil", ["a quote", "a blank line", "a letter", "a cell too many", "a mark", "no end"]
)
def test_what_is_odd_in_a_csv_is_read_or_named_as_in_the_whole(fitted: Fits, spoil: str) -> None:
    frame = panel().drop(columns=["promo", "size"]).dropna()
    lines = frame.to_csv(index=False, lineterminator="\n").splitlines(keepends=True)
    middle = len(lines) // 2
    cells = lines[middle].split(",")
    odd = {
        "a quote": ",".join([f'"{cells[0]}"', *cells[1:]]),
        "a blank line": "\n" + lines[middle],
        "a letter": ",".join([*cells[:2], "many\n"]),
        "a cell too many": lines[middle].strip() + ",1\n",
    }
    lines[middle] = odd.get(spoil, lines[middle])
    if spoil == "a mark":
        lines[0] = "\ufeff" + lines[0]
    text = "".join(lines)
    (fitted.folder / "panel.csv").write_text(
        text.rstrip("\n") if spoil == "no end" else text, encoding="utf-8"
    )
    ran = fitted.same(fitted.folder / "panel.csv")
    if spoil in ("a letter", "a cell too many"):
        assert ran.code == 65
        assert f"panel.csv line {middle + 1}" in ran.err
    else:
        assert ran.code == 0, ran.err


def test_a_bad_time_of_a_csv_is_named_by_its_line(fitted: Fits) -> None:
    lines = (
        panel()
        .drop(columns=["promo", "size"])
        .dropna()
        .to_csv(index=False)
        .splitlines(keepends=True)
    )
    middle = len(lines) // 2
    lines.insert(middle, lines[middle - 1])
    (fitted.folder / "panel.csv").write_text("".join(lines))
    assert (
        f"panel.csv line {middle + 1}, column 'day'" in fitted.same(fitted.folder / "panel.csv").err
    )


def test_vintages_of_known_columns_reach_every_part(fits: Fits) -> None:
    frame = panel(12).drop(columns="size")
    earlier = frame.assign(
        units=np.nan, promo=1 - frame["promo"], available_at=frame["day"] - pd.Timedelta(days=2)
    )
    table = pd.concat([frame.assign(available_at=pd.NaT), earlier]).sort_values(
        ["shop", "day"], kind="stable"
    )
    fits.fit(table, *NETWORK, "--known", "promo", "--id", "shop", "--target", "units")
    table.to_parquet(fits.folder / "panel.parquet")
    ran = fits.same(fits.folder / "panel.parquet", "--horizon", 1, suffix="", parts=2)
    assert "vintages; age of the newest at the origin in steps: 0" in ran.err

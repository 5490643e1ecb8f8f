"""The command line on real files, through the real engine."""

import ast
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from shlex import split

import numpy as np
import pandas as pd
import pytest

from forecast.settings import OutputSettings, TableSettings, TextSettings, TrainSettings
from tests.conftest import COMMANDS, Run

QUICK = ("--steps", 6, "-p", "hidden_size=8", "--baselines", "last")
LINEAR = ("--model", "linear", "--steps", 2, "--members", 1, "--baselines", "last")


def write(path: Path, frame: pd.DataFrame) -> Path:
    frame.to_csv(path, index=False)
    return path


def test_later_rows_and_an_unseen_id_are_forecast_without_refitting(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    plain, store = panel_frame[["shop", "day", "units"]], tmp_path / "store"
    old = plain[(plain["shop"] != "s004") & (plain["day"] <= "2024-03-10")]
    assert (
        forecast(
            "fit", write(tmp_path / "old.csv", old), "--artifact", store, "--horizon", 3, *QUICK
        ).code
        == 0
    )
    before = sorted(path.name for path in store.iterdir())
    found = forecast("predict", write(tmp_path / "new.csv", plain), "--artifact", store)
    assert found.code == 0
    assert set(found.frame["shop"]) == {"s001", "s002", "s003", "s004"}
    assert found.frame["day"].min() == "2024-03-21"
    assert "1 series were not seen at fit (s004)" in found.err
    assert sorted(path.name for path in store.iterdir()) == before
    early = forecast(
        "predict",
        tmp_path / "new.csv",
        "--artifact",
        store,
        *split("--origin 2024-03-05 --horizon 2"),
    )
    assert sorted(set(early.frame["day"])) == ["2024-03-06", "2024-03-07"]
    missing = write(tmp_path / "less.csv", plain[plain["shop"] != "s002"])
    assert forecast("predict", missing, "--artifact", store).code == 0
    strict = forecast("predict", missing, "--artifact", store, "--require-all")
    assert strict.code == 3
    assert "s002" in strict.err


def test_a_nightly_table_with_known_columns_ahead_is_forecast_as_it_stands(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    nightly = panel_frame[["shop", "day", "units", "promo"]].copy()
    nightly["units"] = nightly["units"].where(nightly["day"] < "2024-03-17").round(2)
    path, store = write(tmp_path / "nightly.csv", nightly), tmp_path / "store"
    fitted = forecast("fit", path, "--artifact", store, "--horizon", 4, "--known", "promo", *QUICK)
    assert fitted.code == 0, fitted.err
    found = forecast("predict", path, "--artifact", store)
    assert sorted(set(found.frame["day"])) == [f"2024-03-{day}" for day in range(17, 21)]
    assert len(found.frame) == 16
    assert forecast("predict", "--artifact", store).out == found.out
    short = write(tmp_path / "short.csv", nightly[nightly["day"] < "2024-03-19"])
    lacking = forecast("predict", short, "--artifact", store)
    assert lacking.code == 65
    assert "promo" in lacking.err
    assert "2024-03-19" in lacking.err


def test_business_days_have_no_forecast_on_a_weekend(forecast: Run, tmp_path: Path) -> None:
    days = pd.bdate_range("2023-01-02", periods=120)
    path = write(
        tmp_path / "b.csv",
        pd.DataFrame({"date": days, "close": 100 + np.cumsum(np.sin(np.arange(120.0)))}),
    )
    assert forecast("fit", path, "--artifact", tmp_path / "s", *QUICK).code == 0
    found = forecast("predict", "--artifact", tmp_path / "s").frame
    assert len(found) == 14
    assert pd.to_datetime(found["date"]).dt.day_of_week.max() == 4
    assert found["date"].iloc[0] == str((days[-1] + pd.offsets.BDay()).date())


def test_series_that_end_on_different_days_have_one_origin(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    ragged = panel_frame[(panel_frame["shop"] != "s001") | (panel_frame["day"] < "2024-03-15")][
        ["shop", "day", "units"]
    ]
    assert (
        forecast(
            "fit",
            write(tmp_path / "r.csv", ragged),
            "--artifact",
            tmp_path / "s",
            "--horizon",
            3,
            *QUICK,
        ).code
        == 0
    )
    found = forecast("predict", "--artifact", tmp_path / "s").frame
    assert found.groupby("shop")["day"].min().unique().tolist() == ["2024-03-21"]


def test_output_is_replaced_whole_and_by_suffix(forecast: Run, store: Path, tmp_path: Path) -> None:
    target = tmp_path / "f.csv"
    target.write_text("old")
    assert forecast("predict", "--artifact", store, "--output", target).code == 0
    table = pd.read_csv(target)
    assert len(table) == 18
    assert forecast("predict", "--artifact", store, "--output", tmp_path / "f.parquet").code == 0
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "f.parquet"), table, check_dtype=False)
    assert (
        forecast("predict", "--artifact", store, "--output", tmp_path / "no" / "f.csv").code == 73
    )
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "tmp"))] == []


def test_output_settings_shape_the_table(forecast: Run, store: Path) -> None:
    found = forecast(
        "predict",
        "--artifact",
        store,
        *split("--levels 50,97.5 --integer --min 400 --max 450 --explain"),
    ).frame
    assert list(found.columns) == [
        "series",
        "month",
        "forecast",
        "lo_50",
        "hi_50",
        "lo_97.5",
        "hi_97.5",
        "model",
        "status",
    ]
    numbers = found[["forecast", "lo_50", "hi_50", "lo_97.5", "hi_97.5"]]
    assert numbers.min().min() >= 400
    assert numbers.max().max() <= 450
    assert (numbers % 1 == 0).all().all()
    assert set(found["model"]) == {"segrnn"}
    assert not forecast("predict", "--artifact", store, "--point", "mean").frame.equals(
        forecast("predict", "--artifact", store).frame
    )


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("fit",), 2, "Missing argument 'DATA'"),
        (("fitt",), 2, "did you mean 'fit'"),
        (("fit", "x.csv", "--horizont", "3"), 2, "--horizon"),
        (("fit", "x.csv", "--horizon", "0"), 2, "--horizon 0"),
        (("fit", "x.csv", "--horizon", "two"), 2, "horizon"),
        (("fit", "x.csv", "--season", "1"), 2, "season"),
        (("fit", "x.csv", "-p", "hidden_size"), 2, "NAME=VALUE"),
        (("fit", "nowhere.csv"), 66, "nowhere.csv"),
        (("fit", "synth:seasnal"), 2, "did you mean 'seasonal'"),
        (("fit", "synth:seasonal", "--model", "lstmm"), 2, "did you mean 'lstm'"),
        (("fit", "synth:seasonal", "-p", "hidden=3"), 2, "hidden_size"),
        (("fit", "synth:seasonal", "--steps", "2", "--target", "sales"), 65, "sales"),
        (("fit", "synth:seasonal", "--device", "cuda"), 69, "cuda"),
        (("predict", "--artifact", "nowhere"), 66, "forecast fit"),
        (("predict", "--levels", "99.5"), 2, "levels"),
        (("models", "gruu"), 2, "did you mean 'gru'"),
        (("synth", "wave"), 2, "wave"),
    ],
)
def test_a_wrong_word_gets_its_exit_code_and_a_sentence(
    forecast: Run,
    words: tuple[str, ...],
    code: int,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = forecast(*words)
    assert ran.code == code, ran.err
    assert told in ran.err
    assert ran.out == ""


def test_a_longer_horizon_names_the_refit(forecast: Run, store: Path) -> None:
    ran = forecast("predict", "--artifact", store, "--horizon", 30)
    assert ran.code == 2
    assert "fit again with --horizon 30" in ran.err
    assert len(forecast("predict", "--artifact", store, "--horizon", 3).frame) == 3
    assert forecast("predict", "--artifact", store, "--origin", "1960-01").code == 2


def test_stdin_synthetic_tables_and_inspect(
    forecast: Run, passengers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(passengers.read_bytes())))
    assert json.loads(forecast("inspect", "-", "--json").out)["table"]["calendar"]["name"] == "MS"
    listed = forecast("synth").out
    for kind in ("seasonal", "random-walk", "multi-season", "intermittent", "noise"):
        assert kind in listed
        assert (
            forecast(
                "fit", f"synth:{kind}", "--artifact", tmp_path / kind, "--horizon", 3, *LINEAR
            ).code
            == 0
        )
        assert len(forecast("predict", "--artifact", tmp_path / kind).frame) == 3
    assert (
        forecast("synth", "noise", "--length", 5, "--seed", 1).out
        == forecast("synth", "noise", "--length", 5, "--seed", 1).out
    )


def test_holidays_and_text_columns_known_in_advance_change_the_forecast(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    plain = panel_frame[["shop", "day", "units"]].copy()
    plain["mood"] = np.where(panel_frame["promo"] == 1, "sale", "quiet")
    path, store = write(tmp_path / "t.csv", plain), tmp_path / "s"
    fitted = forecast(
        "fit",
        path,
        "--artifact",
        store,
        *split("--horizon 3 --known mood --holidays DE"),
        "--no-guard",
        *QUICK,
    )
    assert fitted.code == 0, fitted.err
    assert "holidays DE" in fitted.err

    def ahead(mood: str) -> pd.DataFrame:
        days = ["2024-03-21", "2024-03-22", "2024-03-23"] * 4
        shops = np.repeat(["s001", "s002", "s003", "s004"], 3)
        table = write(tmp_path / "f.csv", pd.DataFrame({"shop": shops, "day": days, "mood": mood}))
        found = forecast("predict", "--artifact", store, "--future", table)
        assert found.code == 0, found.err
        return found.frame

    assert (ahead("sale")["forecast"] != ahead("quiet")["forecast"]).all()
    assert np.isfinite(ahead("never seen")["forecast"]).all()
    unknown = forecast("fit", path, "--artifact", store, "--holidays", "XX", *QUICK)
    assert unknown.code == 2
    assert "XX" in unknown.err


def test_a_held_store_is_busy_and_readers_are_not(
    forecast: Run, passengers: Path, tmp_path: Path
) -> None:
    from forecast.artifacts.store import Store

    store = tmp_path / "s"
    forecast("fit", passengers, "--artifact", store, *QUICK)
    with Store(store).lock():
        busy = forecast("fit", passengers, "--artifact", store, *QUICK)
        assert busy.code == 75
        assert str(os.getpid()) in busy.err
        assert forecast("predict", "--artifact", store).code == 0


@pytest.mark.parametrize(
    ("number", "code"),
    [pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow), (signal.SIGTERM, 143)],
)
def test_a_signal_ends_training_and_leaves_the_live_version(
    forecast: Run, passengers: Path, tmp_path: Path, number: int, code: int
) -> None:
    store = str(tmp_path / "s")
    command = [sys.executable, "-m", "forecast", "fit", str(passengers), "--artifact", store]
    assert forecast("fit", passengers, "--artifact", store, "--model", "last").code == 0
    live = (tmp_path / "s" / "CURRENT").read_bytes()
    with subprocess.Popen(
        [*command, "--steps", "1000000"], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:  # what was inferred is said just before training
            if line.startswith("horizon"):
                break
        time.sleep(0.3)
        running.send_signal(number)
        told = running.stderr.read()
        assert running.wait(20) == code
    assert "Traceback" not in told
    assert (tmp_path / "s" / "CURRENT").read_bytes() == live
    assert len(list((tmp_path / "s").glob("v-*"))) == 1


def test_a_signal_within_an_import_ends_a_command_after_it(store: Path, tmp_path: Path) -> None:
    aborts = """import ctypes, os, signal
libc = ctypes.CDLL(None)
libc.__cxa_atexit(libc.abort, None, None)  # as destructors of C++ may
try:
    os.kill(os.getpid(), signal.SIGTERM)
except BaseException:
    os.abort()  # as C++ does that meets an exception
raise ImportError("its core")
"""
    for package in ("onnxruntime", "torch"):
        (tmp_path / f"{package}.py").write_text(aborts)
    output = tmp_path / "out.csv"
    command = [
        sys.executable,
        *split("-m forecast predict"),
        "--artifact",
        str(store),
        "--output",
        str(output),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 143, ended.stderr
    assert not output.exists()


def test_help_and_import_load_nothing_heavy() -> None:
    heavy = ("torch", "pandas", "sklearn", "pydantic", "rich", "pyarrow", "numpy")
    told = f"import sys; print([m for m in {heavy!r} if m in sys.modules])"
    imported = subprocess.run(
        [sys.executable, "-c", f"import forecast; {told}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.strip() == "[]"
    light = f"import atexit, sys; atexit.register(lambda: print([m for m in {heavy!r} if m in sys.modules])); " \
        "from forecast.cli import main; main()"  # fmt: skip
    shown = subprocess.run(
        [sys.executable, "-c", light, "--help"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.splitlines()[-1] == "[]"
    for name in ("fit", "predict", "inspect", "models", "synth"):
        assert re.search(rf"^  {name} +\w", shown.stdout, re.M)
        helped = subprocess.run(
            [sys.executable, "-c", light, name, "--help"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert helped.stdout.splitlines()[-1] == "['pydantic']"


def test_nothing_of_ours_is_imported_when_a_function_of_the_command_line_runs() -> None:
    """One place loads a command when it is called, and another its body."""
    found = []
    for path in (Path(__file__).parents[1] / "forecast" / "cli").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                nodes = [
                    node
                    for node in ast.walk(function)
                    if isinstance(node, ast.ImportFrom | ast.Call)
                ]
                found += [
                    f"{path.name}: {ast.unparse(node)}"
                    for node in nodes
                    if "forecast." in ast.unparse(node)[:14]
                ]
                calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
                found += [
                    f"{path.name}: {function.name}"
                    for call in calls
                    if call.endswith("import_module")
                ]
    assert sorted(found) == ["__init__.py: get_command", "_command.py: invoke"]


@pytest.mark.slow
def test_neither_a_fit_nor_a_forecast_needs_scikit_learn(
    store: Path, passengers: Path, tmp_path: Path
) -> None:
    loaded = "print([name for name in ('sklearn', 'forecast.forecaster') if name in sys.modules])"
    fit = ["fit", str(passengers), "--model", "rnn", "-p", "hidden_size=2", "--steps", "2"]
    for words in (["predict", "--artifact", str(store)], fit):
        command = (
            f"import atexit, sys; atexit.register(lambda: {loaded}); "
            f"sys.argv = {['forecast', *words]}; from forecast.cli import main; main()"
        )
        ended = [sys.executable, "-c", command]
        found = subprocess.run(ended, cwd=tmp_path, capture_output=True, text=True, check=True)
        assert found.stdout.splitlines()[-1] == "[]"


def test_a_fit_and_a_forecast_without_trained_networks_need_no_torch(
    passengers: Path, tmp_path: Path
) -> None:
    table = str(passengers)
    words = [["fit", table, "--model", "pretrained"], ["predict"], ["predict", table], ["inspect"]]
    loaded = ["-c", "import sys; print('torch' in sys.modules)"]
    commands = json.dumps([each for command in words for each in (command, loaded)])
    ended = subprocess.run(
        [sys.executable, "-c", COMMANDS, commands],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(ended.stdout)
    assert [code for code, *_ in found] == [0] * len(found), found
    assert [out for _, out, _ in found[1::2]] == ["False\n"] * len(words)


def test_every_setting_is_an_option_with_help(forecast: Run) -> None:
    shown = forecast("fit", "--help-all").out + forecast("predict", "--help-all").out
    for group in (TrainSettings, TableSettings, TextSettings, OutputSettings):
        for name, field in group.model_fields.items():
            flag = "-p NAME=VALUE" if name == "params" else f"--{name.replace('_', '-')}"
            assert flag in shown
            assert field.description


def test_every_command_has_help_and_a_line_in_the_readme(forecast: Run) -> None:
    from forecast.cli import cli

    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for name in cli.list_commands(None):
        assert forecast(name, "--help").code == 0
        assert f"`forecast {name}" in readme


def test_rows_that_come_twice_tonight_are_settled_without_a_new_fit(
    forecast: Run, panel_frame: pd.DataFrame, tmp_path: Path
) -> None:
    plain, store = panel_frame[["shop", "day", "units", "promo"]], tmp_path / "s"
    fitted = forecast(
        "fit",
        write(tmp_path / "a.csv", plain),
        "--artifact",
        store,
        *split("--horizon 2 --known promo"),
        *QUICK,
    )
    assert fitted.code == 0
    days = ["2024-03-21", "2024-03-22"] * 4
    shops = np.repeat(["s001", "s002", "s003", "s004"], 2)
    ahead = pd.DataFrame({"shop": shops, "day": days, "promo": 0})
    future = write(tmp_path / "f.csv", ahead)
    twice = write(tmp_path / "twice.csv", pd.concat([plain, plain.tail(3)]))
    refused = forecast("predict", twice, "--artifact", store, "--future", future)
    assert refused.code == 65
    assert "--on-duplicate" in refused.err
    assert (
        forecast(
            "predict", twice, "--artifact", store, "--future", future, "--on-duplicate", "last"
        ).code
        == 0
    )
    torn = write(tmp_path / "torn.csv", pd.concat([ahead, ahead.head(1).assign(promo=1)]))
    contradicted = forecast("predict", "--artifact", store, "--future", torn)
    assert contradicted.code == 65
    assert "torn.csv line 10" in contradicted.err


def test_a_horizon_beyond_the_year_9999_is_refused_before_a_version_is_saved(
    forecast: Run, tmp_path: Path
) -> None:
    days = pd.period_range("9999-10-01", "9999-12-29", freq="D")
    pd.DataFrame({"day": days.astype(str), "y": np.arange(len(days)) % 7}).to_csv(
        tmp_path / "end.csv", index=False
    )
    words = [
        "fit",
        tmp_path / "end.csv",
        "--model",
        "last",
        "--artifact",
        tmp_path / "store",
        "--horizon",
    ]
    refused = forecast(*words, 3)
    assert refused.code == 65
    assert (
        "after the year 9999; correct the last times of the table, or forecast fewer steps"
        in refused.err
    )
    assert forecast(*words, 2).code == 0
    found = forecast("predict", "--artifact", tmp_path / "store")
    assert found.frame["day"].tolist() == ["9999-12-30", "9999-12-31"]


def test_a_reason_keeps_its_capitals(forecast: Run, tmp_path: Path) -> None:
    job = tmp_path / "job.toml"
    job.write_text('refit = "often"\n[source]\npath = "t.csv"\n[sink]\npath = "f.csv"\n')
    assert "'every N days' with N from 1" in forecast("run", job).err


@pytest.mark.skipif(os.name == "nt", reason="a shell closes the streams")
def test_closed_streams_lose_data_with_74_and_messages_without_a_word(
    store: Path, tmp_path: Path
) -> None:
    def shell(words: str) -> tuple[int, str]:
        ran = subprocess.run(
            ["sh", "-c", f"{sys.executable} -m forecast {words}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        return ran.returncode, ran.stderr

    code, said = shell(f"predict --artifact {store} >&-")
    assert code == 74
    assert said == "error: input or output: Bad file descriptor\n"
    assert shell(f"predict --artifact {store} --output out.csv <&- >&- 2>&-") == (0, "")
    assert (tmp_path / "out.csv").read_text().startswith("series,month,forecast")
    if os.path.exists("/dev/full"):
        assert shell("predict --artifact none 2>/dev/full")[0] == 66


def without_reader(*words: object) -> tuple[int, str]:
    """How a command ends whose stdout nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "forecast", *map(str, words)]
    ran = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    return ran.returncode, ran.stderr


def test_a_reader_that_stops_early_is_no_error() -> None:
    assert without_reader("models") == (0, "")
    assert without_reader("fit", "--help") == (0, "")


def test_a_reader_that_stops_early_changes_no_exit_code(passengers: Path, tmp_path: Path) -> None:
    forecasts = pd.read_csv(passengers).tail(3).rename(columns={"passengers": "forecast"})
    forecasts.insert(0, "series", ["passengers", "passengers", "of nobody"])
    code, _ = without_reader("score", write(tmp_path / "f.csv", forecasts), passengers)
    assert code == 3, "a series of the forecasts has no values"

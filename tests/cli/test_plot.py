"""Pictures: what is drawn, for which series, in which formats, and what is refused."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Run

MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<svg ", "pdf": b"%PDF-", "html": b"<!DOCTYPE html>"}
NAIVE = ("--model", "seasonal-naive", "--horizon", 7, "--season", 7)
NAMES = ("north", "</script><b>", "a,b", "red\x1b[35m", "south", "east", "west", "hill")


@pytest.fixture(scope="module")
def shops() -> pd.DataFrame:
    """Eight shops, 70 days with a week; one gap; `west` jumps in the last week."""
    day = np.tile(np.arange(70), len(NAMES))
    frame = pd.DataFrame(
        {
            "shop": np.repeat(NAMES, 70),
            "day": (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime(
                "%Y-%m-%d"
            ),
            "units": 50.0 + 10 * (day % 7 == 5) + day % 3 + 0.25,
        }
    )
    frame.loc[(frame["shop"] == "west") & (day >= 63), "units"] *= 3
    return frame.drop(frame.index[(frame["shop"] == "north") & (day == 50)])


@pytest.fixture(scope="module")
def past(shops: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shops without their last week."""
    path = tmp_path_factory.mktemp("tables") / "past.csv"
    shops[shops["day"] < "2024-03-04"].to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def whole(shops: pd.DataFrame, past: Path) -> Path:
    """The shops."""
    shops.to_csv(past.with_name("whole.csv"), index=False)
    return past.with_name("whole.csv")


@pytest.fixture
def fitted(forecast: Run, past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a store of the shops, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    assert forecast("fit", past, "--quiet", *NAIVE).code == 0
    return tmp_path


def panels(page: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The rows of a page of HTML by the name of the series, and what they are: history, forecast, actual."""
    spec = json.loads(
        re.findall(
            r'<script id="picture" type="application/json">(.*?)</script>', page.read_text()
        )[0]
    )
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for panel in spec.get("concat", [spec]):
        rows: dict[str, list[dict[str, Any]]] = {}
        for layer in panel["layer"]:
            key = layer["encoding"].get("color", {}).get("datum")
            if key and layer["mark"]["type"] != "circle":
                rows[key] = layer["data"]["values"]
        found[panel["title"]["text"]] = rows
    return found


@pytest.mark.parametrize("suffix", MAGIC)
def test_the_suffix_decides_the_format(
    forecast: Run, store: Path, tmp_path: Path, suffix: str
) -> None:
    ran = forecast("plot", "--artifact", store, "--output", tmp_path / f"p.{suffix}")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.endswith(f"written  {tmp_path / f'p.{suffix}'}\n")
    assert (tmp_path / f"p.{suffix}").read_bytes().startswith(MAGIC[suffix])
    assert [path.name for path in tmp_path.iterdir()] == [f"p.{suffix}"]


@pytest.mark.parametrize("name", ["p.gif", "p", "p.csv", "p.png.gz"])
def test_another_suffix_is_refused_and_the_right_ones_are_listed(
    forecast: Run, store: Path, tmp_path: Path, name: str
) -> None:
    ran = forecast("plot", "--artifact", store, "--output", tmp_path / name)
    assert ran.code == 2
    assert "pictures are written as .png, .svg, .pdf or .html; name such a file" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra(
    forecast: Run, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    ran = forecast("plot", "--artifact", store, "--output", tmp_path / "p.png")
    assert ran.code == 69
    assert "needs the packages altair and vl-convert-python; `pip install '.[plot]'`" in ran.err
    assert forecast("plot", "--artifact", store).code == 0  # the terminal needs neither


def test_a_page_is_one_file_that_fetches_nothing_and_shows_the_picture_without_scripts(
    forecast: Run, store: Path, tmp_path: Path
) -> None:
    assert forecast("plot", "--artifact", store, "--output", tmp_path / "p.html").code == 0
    page = (tmp_path / "p.html").read_text()
    tags: list[tuple[str, dict[str, str | None]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.append((tag, dict(attrs)))

    Tags().feed(page)
    assert not {"link", "img", "iframe", "object", "embed", "base", "image", "use"} & {
        tag for tag, _ in tags
    }
    assert not [attrs for _, attrs in tags if {"src", "href", "xlink:href"} & attrs.keys()]
    policy = next(
        attrs["content"] for tag, attrs in tags if tag == "meta" and "http-equiv" in attrs
    )
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy
    assert [tag for tag, _ in tags].index("svg") < [tag for tag, _ in tags].index("script")


def test_ids_that_look_like_tags_are_drawn_as_text(forecast: Run, fitted: Path) -> None:
    every = [word for name in NAMES[:4] for word in ("--series", name)]
    assert forecast("plot", "--output", "p.svg", *every).code == 0
    texts = [text for text in ElementTree.parse("p.svg").getroot().itertext() if text.strip()]
    assert {"north", "</script><b>", "a,b", "red\\x1b[35m"} <= set(texts)
    assert forecast("plot", "--output", "p.html", *every).code == 0
    page = Path("p.html").read_text()
    assert page.count("</script>") == 3
    assert "<b>" not in page
    assert list(panels(Path("p.html"))) == ["north", "</script><b>", "a,b", "red\\x1b[35m"]


def test_the_numbers_are_those_of_predict_after_the_values_of_the_fit(
    forecast: Run, fitted: Path, shops: pd.DataFrame
) -> None:
    table = forecast("predict", "--levels", "10,80").frame
    assert (
        forecast(
            "plot", "--output", "p.html", "--series", "north", "--levels", "80,10", "--history", 20
        ).code
        == 0
    )
    rows = panels(Path("p.html"))["north"]
    own = table[table["shop"] == "north"]
    assert [row["y"] for row in rows["forecast"][1:]] == own["forecast"].tolist()
    for level in (10, 80):
        band = rows[f"{level} % interval"]
        assert [row["y"] for row in band[1:]] == own[f"lo_{level}"].tolist()
        assert [row["high"] for row in band[1:]] == own[f"hi_{level}"].tolist()
    values = shops[shops["shop"] == "north"].set_index("day")["units"]
    days = [str(day)[:10] for day in pd.date_range("2024-02-13", "2024-03-03")]
    assert [row["y"] for row in rows["history"]] == [values.get(day) for day in days]
    assert rows["history"][7]["y"] is None  # the gap
    assert "actual" not in rows


def test_with_a_table_its_own_end_is_forecast(forecast: Run, fitted: Path, whole: Path) -> None:
    assert forecast("plot", whole, "--output", "p.html", "--series", "south").code == 0
    rows = panels(Path("p.html"))["south"]
    assert (
        rows["forecast"][0]["t"]
        == rows["history"][-1]["t"]
        == pd.Timestamp("2024-03-10").timestamp() * 1000
    )


def test_from_an_origin_later_values_are_drawn_and_not_used(
    forecast: Run, fitted: Path, whole: Path, past: Path, shops: pd.DataFrame
) -> None:
    assert (
        forecast(
            "plot", whole, "--origin", "2024-03-03", "--output", "p.html", "--series", "west"
        ).code
        == 0
    )
    rows = panels(Path("p.html"))["west"]
    assert [row["y"] for row in rows["actual"][1:]] == shops[shops["shop"] == "west"]["units"].tail(
        7
    ).tolist()
    assert forecast("plot", past, "--output", "q.html", "--series", "west").code == 0
    assert panels(Path("q.html"))["west"]["forecast"] == rows["forecast"]


def test_a_saved_table_of_forecasts_is_drawn_without_a_store(
    forecast: Run,
    fitted: Path,
    whole: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = forecast("predict").frame.sample(frac=1, random_state=0)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    table.to_csv("forecasts.csv", index=False)
    ran = forecast(
        "plot", whole, "--forecast", "forecasts.csv", "--output", "p.html", "--series", "east"
    )
    assert ran.code == 0
    rows = panels(Path("p.html"))["east"]
    own = table[table["shop"] == "east"].sort_values("day")
    assert [row["y"] for row in rows["forecast"][1:]] == own["forecast"].tolist()
    assert len([row for row in rows["actual"][1:] if row["y"] is not None]) == 7
    assert forecast("plot", "--forecast", "forecasts.csv").code == 2
    refused = forecast("plot", whole, "--forecast", "forecasts.csv", "--levels", 50)
    assert refused.code == 2
    assert "--levels: --forecast draws a table as it is" in refused.err


def test_without_a_store_the_forecasts_are_those_of_now(
    forecast: Run, past: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = forecast("plot", past, "--output", "p.html", "--series", "hill", "--horizon", 5)
    assert ran.code == 0
    assert "the forecasts of `forecast now`, as there is no store here" in ran.err
    own = forecast("now", past, "--horizon", 5).frame
    rows = panels(Path("p.html"))["hill"]
    assert [row["y"] for row in rows["forecast"][1:]] == own[own["shop"] == "hill"][
        "forecast"
    ].tolist()
    assert forecast("plot", past, "--artifact", "nowhere").code == 66
    assert forecast("plot").code == 66


def test_now_ignores_the_store_and_reading_options_need_it(
    forecast: Run, fitted: Path, past: Path
) -> None:
    refused = forecast("plot", past, "--target", "units")
    assert refused.code == 2
    assert "forecast-model reads tables as its fit did; leave it out, or pass --now" in refused.err
    Path("other.csv").write_text(
        "month,y\n" + "".join(f"2024-{month:02}-01,{month}\n" for month in range(1, 13))
    )
    other = forecast("plot", "other.csv")
    assert other.code == 65
    assert (
        "if forecast-model was fitted to another table, pass --now, or another --artifact"
        in other.err
    )
    ran = forecast("plot", past, "--now", "--target", "units")
    assert ran.code == 0
    assert "\ndrawn    the forecasts of `forecast now`\n" in ran.err


def test_the_first_series_are_drawn_or_the_worst_where_values_came(
    forecast: Run, fitted: Path, whole: Path
) -> None:
    first = forecast("plot", "--output", "p.html")
    assert (
        "series   6 of 8, the first of the table; --series names others, --count draws more\n"
        in first.err
    )
    assert list(panels(Path("p.html"))) == [name.replace("\x1b", "\\x1b") for name in NAMES[:6]]
    worst = forecast("plot", "--actual", whole, "--output", "p.html", "--count", 2)
    assert "series   2 of 8, those with the largest errors; " in worst.err
    assert next(iter(panels(Path("p.html")))) == "west"
    assert "MASE" in Path("p.html").read_text()


def test_only_what_is_drawn_is_forecast_unless_the_errors_of_all_decide(
    forecast: Run, fitted: Path, past: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.inference.predictor import Predictor

    asked: list[int] = []
    forecasts = Predictor.quantiles

    def counted(self: Predictor, panel: Any, series: Any, *more: Any, **named: Any) -> Any:
        asked.append(len(series))
        return forecasts(self, panel, series, *more, **named)

    monkeypatch.setattr(Predictor, "quantiles", counted)
    for words, count in (
        (("--count", 3), 3),
        ((past, "--series", "hill", "--series", "north"), 2),
        ((whole, "--origin", "2024-03-03", "--series", "west"), 1),
        ((whole, "--origin", "2024-03-03", "--count", 1), len(NAMES)),
        (("--actual", whole, "--count", 1), len(NAMES)),
        ((past, "--now", "--count", 2), 2),
    ):
        asked.clear()
        assert forecast("plot", *words, "--output", "p.svg").code == 0
        assert asked == [count]


def test_a_series_that_gets_no_forecast_is_drawn_with_the_reason(
    forecast: Run, fitted: Path, past: Path
) -> None:
    ended = pd.read_csv(past)
    ended = ended[(ended["shop"] != "east") | (ended["day"] < "2024-01-10")]
    ended.to_csv("ended.csv", index=False)
    ran = forecast("plot", "ended.csv", "--series", "east", "--terminal")
    assert ran.code == 0, ran.err
    assert "east  no forecast: ended" in ran.out


def test_a_series_that_is_not_there_is_refused_with_the_nearest(
    forecast: Run, fitted: Path
) -> None:
    ran = forecast("plot", "--series", "North", "--series", "Norht")
    assert ran.code == 2
    assert "--series North: no such series; did you mean 'north'?" in ran.err


@pytest.mark.parametrize("which", ["the table that is read", "the table of actual values"])
def test_a_picture_never_replaces_a_table(
    forecast: Run, fitted: Path, whole: Path, which: str
) -> None:
    Path("table.svg").write_bytes(whole.read_bytes())
    words = (
        ("plot", "table.svg")
        if which == "the table that is read"
        else ("plot", "--actual", "table.svg")
    )
    ran = forecast(*words, "--output", "table.svg")
    assert ran.code == 2
    assert f"table.svg is {which}" in ran.err
    assert Path("table.svg").read_bytes() == whole.read_bytes()
    assert forecast("plot", "--output", "forecast-model/CURRENT").code == 2
    assert forecast("plot", "--output", "missing/p.svg").code == 73


def test_with_neither_store_nor_table_a_table_is_asked_for(
    forecast: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = forecast("plot")
    assert ran.code == 66
    assert (
        "there is no store here; name a table, forecast plot DATA, or run `forecast fit` first"
        in ran.err
    )


def test_events_are_drawn_with_their_names(forecast: Run, past: Path, tmp_path: Path) -> None:
    days = ["2024-01-20", "2024-02-10", "2024-02-11", "2024-03-06"]
    columns = {"shop": ["", "", "", "east"], "kind": ["", "ignore", "ignore", "closed"]}
    pd.DataFrame({"date": days, "name": "<fair>", **columns}).to_csv(
        tmp_path / "ev.csv", index=False
    )
    words = ("plot", past, "--now", "--events", tmp_path / "ev.csv", "--horizon", 7, "--quiet")
    assert forecast(*words, "--series", "east", "--output", tmp_path / "p.svg").code == 0
    texts = list(ElementTree.parse(tmp_path / "p.svg").getroot().itertext())
    assert (
        texts.count("<fair>") == 2
    )  # neighbouring days are one event; the first lies before the picture
    assert forecast(*words, "--series", "west", "--output", tmp_path / "p.svg").code == 0
    assert list(ElementTree.parse(tmp_path / "p.svg").getroot().itertext()).count("<fair>") == 1


def test_the_unit_of_errors_is_that_of_the_fit_also_with_a_future(
    forecast: Run, tmp_path: Path
) -> None:
    day = np.arange(1007)
    frame = pd.DataFrame(
        {
            "day": pd.date_range("2024-01-01", periods=1007),
            "y": 50.0 + day % 7,
            "promo": day % 5 == 0,
        }
    )
    frame.loc[day < 600, "y"] += 10 * (day[day < 600] % 3)  # noisy before what the store keeps
    frame.loc[day >= 1000, "y"] += 2
    frame[["promo"]] = frame[["promo"]].astype(int)
    past, later, store = (
        tmp_path / "past.csv",
        tmp_path / "later.csv",
        ("--artifact", tmp_path / "store"),
    )
    frame[:1000].to_csv(past, index=False)
    frame[1000:].to_csv(later, index=False)
    assert (
        forecast("fit", past, "--target", "y", "--known", "promo", "--quiet", *NAIVE, *store).code
        == 0
    )
    words = ("--future", later, "--actual", later, *store)
    stored, read = (forecast("plot", *data, *words).out.splitlines()[1] for data in ((), (past,)))
    assert stored == read
    last = frame["y"][:1000].to_numpy()
    mase = float(read.split("MASE ")[1].split(",")[0])
    assert mase == pytest.approx(2 / np.abs(last[7:] - last[:-7]).mean(), abs=0.02)


def test_without_a_file_the_picture_goes_to_stdout_as_characters(
    forecast: Run, fitted: Path, whole: Path
) -> None:
    ran = forecast("plot", whole, "--origin", "2024-03-03", "--count", 1)
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[1].startswith("west  MASE ")
    assert max(map(len, lines)) <= 100
    assert re.search("[\u2801-\u28ff]", ran.out)
    assert all(mark in ran.out for mark in "░▒●")
    assert "\x1b" not in ran.out
    both = forecast("plot", "--output", "p.svg", "--terminal", "--series", "red\x1b[35m")
    assert "red\\x1b[35m" in both.out
    assert Path("p.svg").exists()


def test_python_returns_a_chart(panel_frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast import Forecaster
    from forecast.errors import Unavailable, UsageError

    model = Forecaster(model="seasonal-naive", horizon=5).fit(panel_frame[["shop", "day", "units"]])
    chart = model.plot(series="s002", history=9)
    spec = chart.to_dict()
    assert spec["title"]["text"] == "s002"
    counts = {len(layer["data"]["values"]) for layer in spec["layer"]}
    assert {9, 6} <= counts  # the past; the forecast, from its last value on
    assert len(model.plot(panel_frame, origin="2024-03-10").to_dict()["concat"]) == 4
    assert len(model.plot(series=2).to_dict()["concat"]) == 2
    with pytest.raises(UsageError, match="series: count=0"):
        model.plot(series=0)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(Unavailable, match=r"pip install '.\[plot\]'"):
        model.plot()


def test_python_draws_events_that_are_set_after_the_fit(panel_frame: pd.DataFrame) -> None:
    from forecast import Forecaster

    events = pd.DataFrame({"date": ["2024-01-20", "2024-02-10"], "name": "fair"})
    model = Forecaster(model="seasonal-naive", horizon=5, events=events).fit(
        panel_frame[["shop", "day", "units"]]
    )
    assert "fair" not in model.plot(series="s002", history=9).to_json()
    model.set_params(events=pd.DataFrame({"date": ["2024-03-22"], "name": "fair"}))
    assert "fair" in model.plot(series="s002", history=9).to_json()

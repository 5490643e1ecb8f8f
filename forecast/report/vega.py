"""A chart as a Vega-Lite specification, a panel for each series, and as a file: PNG, SVG, PDF or a page of HTML."""

from html import escape
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.durable import replace_file
from forecast.errors import INSTALL, Setting, Unavailable, UsageError
from forecast.report.chart import Chart, SeriesChart
from forecast.report.page import as_json

Spec = dict[str, Any]  # of Vega-Lite, or a part of it

# colours that stay apart for colour-blind people: Okabe and Ito, Color Universal Design (2008)
HISTORY, FORECAST, ACTUAL = "#333333", "#0072b2", "#d55e00"
LIGHTEST, DARKEST = (
    np.array([0xD6, 0xE7, 0xF4]),
    np.array([0x9F, 0xC9, 0xE5]),
)  # the widest interval, the narrowest
EVENT, EVENT_ON_WHITE, EVENT_NAME = "#d8b365", "#efe1c1", "#6b5420"
SIZES = {
    1: (720, 340),
    2: (400, 220),
    3: (300, 170),
}  # width and height of a panel, by panels in a row
GREYS = {"gridColor": "#e8e8e8", "domainColor": "#bbbbbb", "tickColor": "#bbbbbb"}
WORDS = {"labelColor": "#555555", "titleColor": "#555555", "titleFontWeight": "normal"}
TITLE = {"fontSize": 13, "color": "#222222", "subtitleColor": "#767676", "subtitleFontSize": 11}
CONFIG: Spec = {
    "font": "Helvetica, Arial, Liberation Sans, sans-serif",
    "view": {"stroke": None},
    "axis": {**GREYS, **WORDS, "labelFontSize": 11, "titleFontSize": 11},
    "title": {"anchor": "start", "frame": "group", "offset": 8, **TITLE},
    "legend": {
        "orient": "top",
        "title": None,
        "labelFontSize": 12,
        "labelColor": "#333333",
        "columnPadding": 18,
    },
}
SUFFIXES = (".png", ".svg", ".pdf", ".html")
NEEDED = f"the packages altair and vl-convert-python; {INSTALL.format('plot')}"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; \
script-src 'unsafe-inline' 'unsafe-eval'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ margin: 1.5rem; background: white; font-family: Helvetica, Arial, sans-serif; }}
svg {{ max-width: 100%; height: auto; }}
</style>
</head>
<body>
<div id="still">{svg}</div>
<div id="live"></div>
<script>{library}</script>
<script id="picture" type="application/json">{spec}</script>
<script>
const spec = JSON.parse(document.getElementById("picture").textContent);
vegaEmbed("#live", spec, {{actions: false, renderer: "svg", mode: "vega-lite"}}).then(
  () => document.getElementById("still").remove(),
  () => document.getElementById("live").remove(),
);
</script>
</body>
</html>
"""


def vega_lite(chart: Chart, hover: bool = True) -> Spec:
    """A chart as a specification, with all data in it; `hover`: the pointer shows times and numbers."""
    names, levels = (
        (series.name for series in chart.series),
        (f"{level:g} %" for level in chart.levels),
    )
    description = f"History and forecast with intervals of {', '.join(levels)}: {', '.join(names)}"  # for the blind
    whole: Spec = {
        "description": description,
        "padding": 14,
        "background": "white",
        "config": CONFIG,
    }
    panels = [_panel(chart, series, hover) for series in chart.series]
    if len(panels) == 1:
        return {**whole, **panels[0]}
    row = (
        60
        + 14 * any(series.note for series in chart.series)
        + 18 * bool(chart.numbered or _years(chart))
    )
    whole |= {
        "concat": panels,
        "columns": _columns(chart),
        "resolve": {"scale": {"color": "shared"}},
    }
    return {**whole, "bounds": "flush", "spacing": {"column": 62, "row": row}}


def _columns(chart: Chart) -> int:
    return 1 if len(chart.series) == 1 else 2 if len(chart.series) <= 4 else 3


def _panel(chart: Chart, series: SeriesChart, hover: bool) -> Spec:
    """One series: intervals behind events, events behind lines."""
    width, height = SIZES[_columns(chart)]
    bars, names = _event_layers(chart, series, width)
    layers = [*_interval_layers(chart, series), *bars, *_line_layers(chart, series), *names]
    layers += [_hover_layer(chart, series)] if hover else []
    title = {
        "text": series.name,
        "limit": width,
        **({"subtitle": series.note} if series.note else {}),
    }
    encoding = {"x": _x(chart), "y": _y(chart, series), "color": _colours(chart)}
    return {"layer": layers, "encoding": encoding, "width": width, "height": height, "title": title}


def _layer(rows: list[Spec], mark: Spec, **encoding: Any) -> Spec:
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}


def _event_layers(chart: Chart, series: SeriesChart, width: int) -> tuple[list[Spec], list[Spec]]:
    if not series.events:
        return [], []
    low, high, rows = _at(chart, series.past_times[0]), _at(chart, series.times[-1]), list[Spec]()
    for first, last, name in series.events:
        rows.append(
            {"t": max(_at(chart, first), low), "end": min(_at(chart, last), high), "name": name}
        )
    field, mark = (
        {"field": "name", "type": "nominal"},
        {"type": "rect", "color": EVENT, "opacity": 0.4},
    )
    bars = [
        _layer(
            rows, mark, x2={"field": "end"}, y={"value": 0}, y2={"value": "height"}, tooltip=field
        )
    ]
    names: dict[float, list[str]] = {}
    for row in rows:
        names.setdefault((row["t"] + row["end"]) / 2, []).append(row["name"])
    if len(names) > 16 or width < SIZES[2][0]:  # they would run into each other
        return bars, []
    texts = [{"t": middle, "name": ", ".join(some)} for middle, some in names.items()]
    mark = {"type": "text", "angle": 270, "align": "right", "baseline": "middle", "fontSize": 9}
    return bars, [
        _layer(
            texts, mark | {"color": EVENT_NAME, "dx": -3, "limit": 110}, y={"value": 0}, text=field
        )
    ]


def _interval_layers(chart: Chart, series: SeriesChart) -> list[Spec]:
    """The intervals, the widest behind the others; they begin at the last value before them."""
    start = [{**row, "high": row["y"]} for row in _start(chart, series)]
    mark, layers = {"type": "area", "line": False, "invalid": "break-paths-show-domains"}, []
    for level, low, high in reversed(
        list(zip(chart.levels, series.low.T, series.high.T, strict=True))
    ):
        rows = start + _rows(chart, series.times, y=low, high=high)
        layers.append(
            _layer(rows, mark, y2={"field": "high"}, color={"datum": f"{level:g} % interval"})
        )
    return layers


def _line_layers(chart: Chart, series: SeriesChart) -> list[Spec]:
    """The past, the forecast, and the actual values; a value between gaps is a dot."""

    def line(
        kind: str,
        start: list[Spec],
        rows: list[Spec],
        dotted: NDArray[Any],
        width: float,
        size: int,
    ) -> None:
        mark = {
            "type": "line",
            "strokeWidth": width,
            "strokeJoin": "round",
            "invalid": "break-paths-show-domains",
        }
        layers.append(_layer([*start, *rows], mark, color={"datum": kind}))
        if dotted.any():
            dots = [rows[i] for i in np.flatnonzero(dotted)]
            layers.append(
                _layer(dots, {"type": "circle", "size": size, "opacity": 1}, color={"datum": kind})
            )

    layers, start = list[Spec](), _start(chart, series)
    line(
        "history",
        [],
        _rows(chart, series.past_times, y=series.past),
        _isolated(series.past),
        1.4,
        14,
    )
    if np.isfinite(series.forecast).any():
        ahead = _rows(chart, series.times, y=series.forecast)
        line("forecast", start, ahead, _isolated(series.forecast), 2.0, 30)
    if (seen := np.isfinite(series.actual)).any():
        actual = _rows(chart, series.times, y=series.actual)
        line("actual", start, actual, seen, 1.4, 22 if len(actual) <= 60 else 8)
    return layers


def _hover_layer(chart: Chart, series: SeriesChart) -> Spec:
    """Invisible dots that show their numbers under the pointer."""
    later = {"forecast": series.forecast, "actual": series.actual}
    for level, low, high in zip(chart.levels, series.low.T, series.high.T, strict=True):
        later |= {f"lo {level:g}": low, f"hi {level:g}": high}
    at = np.where(np.isfinite(series.forecast), series.forecast, series.actual)
    rows = _rows(chart, series.past_times, y=series.past, history=series.past)
    rows = [
        row for row in (*rows, *_rows(chart, series.times, y=at, **later)) if row["y"] is not None
    ]
    time: Spec = {"field": "t", "type": "quantitative", "title": chart.time}
    if not chart.numbered:
        time |= {"field": "time", "type": "nominal"}
        for row in rows:
            row["time"] = (
                str(np.datetime64(row["t"] // 1000, "s"))
                .replace("T", " ")
                .removesuffix(" 00:00:00")
            )
    numbers = [
        {"field": name, "type": "quantitative", "format": ",.6~g"} for name in ("history", *later)
    ]
    return _layer(rows, {"type": "circle", "size": 160, "opacity": 0}, tooltip=[time, *numbers])


def _x(chart: Chart) -> Spec:
    """The axis of times, read as they stand: the clock of the reader's machine plays no part."""
    axis: Spec = {
        "tickCount": SIZES[_columns(chart)][0] // 62,
        "grid": False,
    }  # a label needs as many pixels
    if chart.numbered:
        axis, scale = axis | {"tickMinStep": 1, "format": "d"}, {"zero": False, "nice": False}
        return {
            "field": "t",
            "type": "quantitative",
            "title": chart.time,
            "scale": scale,
            "axis": axis,
        }
    axis |= {
        "labelOverlap": True,
        "labelSeparation": 6,
        "format": {"month": "%b", "week": "%b %d", "day": "%b %d"},
    }
    return {
        "field": "t",
        "type": "temporal",
        "title": _years(chart),
        "scale": {"type": "utc"},
        "axis": axis,
    }


def _years(chart: Chart) -> str | None:
    """The years of a chart, as a title of the time axis; None where its labels name them."""
    first, last = min(s.past_times[0] for s in chart.series), max(s.times[-1] for s in chart.series)
    years = np.array([first, last]).astype("datetime64[s]").astype("datetime64[Y]").astype(str)
    return " to ".join(dict.fromkeys(years.tolist())) if last - first < 300 * 86_400 else None


def _y(chart: Chart, series: SeriesChart) -> Spec:
    values = np.abs(
        np.concatenate([series.past, series.forecast, series.actual, series.high.ravel()])
    )
    large = values[np.isfinite(values)].max(initial=0.0) >= 1e6  # 2M on the axis, not 2,000,000
    axis: Spec = {"tickCount": 5, "labelFlush": True, **({"format": "~s"} if large else {})}
    at_left = any(series is other for other in chart.series[:: _columns(chart)])
    title = chart.value if chart.value and at_left else None
    return {
        "field": "y",
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False},
        "axis": axis,
    }


def _colours(chart: Chart) -> Spec:
    """The colours of lines and areas by their kind; the legend has the kinds of this chart."""
    shares = np.linspace(1, 0, len(chart.levels)) if len(chart.levels) > 1 else [0.5]
    colours = {"history": HISTORY, "forecast": FORECAST}
    for level, share in zip(chart.levels, shares, strict=False):
        shade = np.round(LIGHTEST + share * (DARKEST - LIGHTEST)).astype(np.uint8)
        colours[f"{level:g} % interval"] = "#" + bytes(shade).hex()
    if any(np.isfinite(series.actual).any() for series in chart.series):
        colours["actual"] = ACTUAL
    if any(series.events for series in chart.series):
        colours["event"] = EVENT_ON_WHITE
    scale = {"domain": list(colours), "range": list(colours.values())}
    legend = {"symbolType": "square", "symbolSize": 140, "symbolOpacity": 1, "symbolStrokeWidth": 0}
    return {"type": "nominal", "scale": scale, "legend": legend}


def _start(chart: Chart, series: SeriesChart) -> list[Spec]:
    """Where forecast and intervals begin: at the last value, unless it is missing."""
    whole = np.isfinite(series.past[-1]) and np.isfinite(series.forecast[0])
    return [{"t": _at(chart, series.past_times[-1]), "y": float(series.past[-1])}] if whole else []


def _isolated(values: NDArray[Any]) -> NDArray[Any]:
    seen = np.concatenate([[False], np.isfinite(values), [False]])
    return np.asarray(seen[1:-1] & ~seen[:-2] & ~seen[2:])


def _rows(chart: Chart, times: NDArray[Any], **columns: NDArray[Any]) -> list[Spec]:
    """Rows of data; a missing number is None, where a line breaks."""
    return [
        {
            "t": _at(chart, time),
            **{k: float(v[i]) if np.isfinite(v[i]) else None for k, v in columns.items()},
        }
        for i, time in enumerate(times)
    ]


def _at(chart: Chart, time: float) -> int:
    """A time as Vega-Lite has it: milliseconds, or a step."""
    return int(time) if chart.numbered else int(time * 1000)


def check_chart_file(output: str) -> None:
    """Refuse an output file whose suffix is none of a chart, and say if the package that draws is missing."""
    if PurePath(output).suffix.lower() not in SUFFIXES:
        problem = f"pictures are written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(problem, setting=Setting("output", output), cure="name such a file")
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        raise Unavailable(f"needs {NEEDED}", setting=Setting("output", output)) from None


def altair_chart(chart: Chart) -> Any:
    """A chart for a notebook; `Unavailable` if Altair is not installed."""
    try:
        import altair
    except ImportError:
        raise Unavailable(f"pictures need {NEEDED}") from None
    kind = altair.LayerChart if len(chart.series) == 1 else altair.ConcatChart
    return kind.from_dict(vega_lite(chart))


def write_chart(chart: Chart, output: str) -> None:
    """Write a chart to a file that `check_chart_file` takes, and fetch nothing; the file is replaced at once."""
    import vl_convert

    convert: Any = vl_convert  # its stub asks for an argument that it does not need
    spec, suffix = vega_lite(chart, hover=False), PurePath(output).suffix.lower()
    options: dict[str, Any] = {
        "allowed_base_urls": [],
        **({"scale": 2.0} if suffix == ".png" else {}),
    }
    kind = "svg" if suffix == ".html" else suffix[1:]
    content = getattr(convert, f"vegalite_to_{kind}")(spec, **options)
    if suffix == ".html":
        title = escape("Forecast of " + ", ".join(series.name for series in chart.series))
        library = convert.javascript_bundle().replace("</script", "<\\/script")
        content = PAGE.format(
            title=title, svg=content, library=library, spec=as_json(vega_lite(chart))
        )
    replace_file(output, content.encode() if isinstance(content, str) else bytes(content))

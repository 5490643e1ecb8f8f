"""A chart as a Vega-Lite specification with a panel for each series, and as a file.

Files are PNG, SVG, PDF or a page of HTML.
"""

import math
from collections.abc import Iterator
from html import escape
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from forecast.durable import replace_file
from forecast.errors import INSTALL, Setting, Unavailable, UsageError
from forecast.panel.panel import Integers, Numbers
from forecast.report.chart import Chart, SeriesChart
from forecast.report.page import as_json

if TYPE_CHECKING:
    import altair

Spec = dict[str, Any]  # a Vega-Lite specification, or a part of one

# colours that colour-blind people can tell apart: Okabe and Ito, Color Universal Design (2008)
HISTORY_COLOUR = "#333333"
FORECAST = "#0072b2"
ACTUAL_COLOUR = "#d55e00"
SHADES = ("#9fc9e5", "#d6e7f4", "#e8f1f8")  # colours of intervals, the narrowest first
EVENT = "#d8b365"
EVENT_ON_WHITE = "#efe1c1"
PANEL_SIZES = {1: (720, 340), 2: (400, 220), 3: (300, 170)}  # of a panel, by panels in a row
BROKEN = {"invalid": "break-paths-show-domains"}  # a missing value is a gap
# round caps make a dot of a value between gaps
LINE = {"strokeWidth": 1.8, "strokeJoin": "round", "strokeCap": "round", **BROKEN}
EVENT_NAME = {"type": "text", "angle": 270, "align": "right", "baseline": "middle", "dx": -3}
EVENT_NAME |= {"fontSize": 9, "color": "#6b5420", "limit": 110}
AXIS = {"gridColor": "#e8e8e8", "domainColor": "#bbbbbb", "tickColor": "#bbbbbb"}
AXIS |= {"labelColor": "#555555", "titleColor": "#555555", "titleFontWeight": "normal"}
TITLE = {"anchor": "start", "frame": "group", "offset": 8, "subtitleColor": "#767676"}
LEGEND = {"orient": "top", "title": None, "labelFontSize": 12, "columnPadding": 18}
LEGEND |= {"symbolType": "square", "symbolSize": 140, "symbolOpacity": 1, "symbolStrokeWidth": 0}
CONFIG: Spec = {
    "font": "Helvetica, Arial, Liberation Sans, sans-serif",
    "view": {"stroke": None},
    "axis": AXIS,
    "title": TITLE,
    "legend": LEGEND,
}
SUFFIXES = (".png", ".svg", ".pdf", ".html")
NEEDED = f"the packages altair and vl-convert-python; {INSTALL.format('plot')}"
PICTURE_PAGE = """<!DOCTYPE html>
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
    """A chart as a specification that includes all data.

    With `hover` the pointer shows times and numbers.
    """
    levels = ", ".join(f"{level:g} %" for level in chart.levels)
    names = ", ".join(series.name for series in chart.series)
    whole: Spec = {
        "description": f"History and forecast with intervals of {levels}: {names}",  # for the blind
        "padding": 14,
        "background": "white",
        "config": CONFIG,
    }
    panels = [_panel(chart, series, hover) for series in chart.series]
    if len(panels) == 1:
        return whole | panels[0]
    notes = any(series.note for series in chart.series)
    return whole | {
        "concat": panels,
        "columns": _columns(chart),
        "resolve": {"scale": {"color": "shared"}},
        "bounds": "flush",
        "spacing": {"column": 62, "row": 78 + 14 * notes},
    }


def _columns(chart: Chart) -> int:
    count = len(chart.series)
    if count == 1:
        return 1
    if count <= 4:
        return 2
    return 3


def _panel(chart: Chart, series: SeriesChart, hover: bool) -> Spec:
    """One series: intervals behind events, events behind lines."""
    width, height = PANEL_SIZES[_columns(chart)]
    layers = _interval_layers(chart, series)
    if series.events:
        layers += _event_layers(chart, series)
    layers += _line_layers(chart, series)
    if hover:
        layers.append(_hover_layer(chart, series))
    title = {"text": series.name, "limit": width}
    if series.note:
        title["subtitle"] = series.note
    encoding = {"x": _x(chart), "y": _y(chart, series), "color": _colours(chart)}
    return {"layer": layers, "encoding": encoding, "width": width, "height": height, "title": title}


def _layer(rows: list[Spec], mark: Spec, **encoding: Any) -> Spec:
    return {"data": {"values": rows}, "mark": mark, "encoding": encoding}


def _event_layers(chart: Chart, series: SeriesChart) -> list[Spec]:
    """Bars within the panel, and their names."""
    first = _at(chart, series.past_times[0])
    last = _at(chart, series.times[-1])
    bars = []
    names: dict[float, list[str]] = {}
    for begin, finish, name in series.events:
        start = max(_at(chart, begin), first)
        end = min(_at(chart, finish), last)
        bars.append({"t": start, "end": end, "name": name})
        names.setdefault((start + end) / 2, []).append(name)
    texts = []
    for middle, together in names.items():
        texts.append({"t": middle, "name": ", ".join(together)})
    field = {"field": "name", "type": "nominal"}
    top = {"value": 0}
    mark = {"type": "rect", "color": EVENT, "opacity": 0.4}
    height = {"value": "height"}
    areas = _layer(bars, mark, x2={"field": "end"}, y=top, y2=height, tooltip=field)
    return [areas, _layer(texts, EVENT_NAME, y=top, text=field)]


def _interval_layers(chart: Chart, series: SeriesChart) -> list[Spec]:
    """The intervals, the widest behind the others; they begin at the last past value."""
    layers = []
    for level, low, high in _intervals(chart, series):
        ends = {"y": series.from_past(low), "high": series.from_past(high)}
        rows = _rows(chart, series.times_ahead, **ends)
        mark = {"type": "area", "line": False, **BROKEN}
        colour = {"datum": f"{level:g} % interval"}
        layers.append(_layer(rows, mark, y2={"field": "high"}, color=colour))
    return layers[::-1]


def _intervals(chart: Chart, series: SeriesChart) -> Iterator[tuple[float, Numbers, Numbers]]:
    return zip(chart.levels, series.low.T, series.high.T, strict=True)


def _line_layers(chart: Chart, series: SeriesChart) -> list[Spec]:
    """The lines of past, forecast and actual values; actual values also have dots."""
    layers = []

    def add(kind: str, times: Integers, values: Numbers, dots: object = False) -> None:
        if np.isfinite(values).any():
            rows = _rows(chart, times, y=values)
            mark = {"type": "line", "point": dots, **LINE}
            layers.append(_layer(rows, mark, color={"datum": kind}))

    add("history", series.past_times, series.past)
    add("forecast", series.times_ahead, series.from_past(series.forecast))
    add("actual", series.times_ahead, series.from_past(series.actual), {"size": 22})
    return layers


def _hover_layer(chart: Chart, series: SeriesChart) -> Spec:
    """Invisible dots that show their numbers under the pointer."""
    ahead = {"forecast": series.forecast, "actual": series.actual}
    for level, low, high in _intervals(chart, series):
        ahead[f"lo {level:g}"] = low
        ahead[f"hi {level:g}"] = high
    heights = np.where(np.isfinite(series.forecast), series.forecast, series.actual)
    rows = _rows(chart, series.past_times, y=series.past, history=series.past)
    rows += _rows(chart, series.times, y=heights, **ahead)
    rows = [row for row in rows if row["y"] is not None]
    time = {"field": "t", "type": "quantitative", "title": chart.time}
    if not chart.numbered:
        time |= {"field": "time", "type": "nominal"}
        for row in rows:
            text = str(np.datetime64(row["t"], "ms").astype("datetime64[s]"))
            row["time"] = text.replace("T", " ").removesuffix(" 00:00:00")
    tooltip = [time]
    for name in ("history", *ahead):
        tooltip.append({"field": name, "type": "quantitative", "format": ",.6~g"})
    mark = {"type": "circle", "size": 160, "opacity": 0}
    return _layer(rows, mark, tooltip=tooltip)


def _x(chart: Chart) -> Spec:
    """The time axis, which does not depend on the time zone of the reader's machine."""
    ticks = PANEL_SIZES[_columns(chart)][0] // 62  # a label needs 62 pixels
    axis: Spec = {"tickCount": ticks, "grid": False}
    encoding: Spec = {"field": "t", "title": chart.time, "axis": axis}
    if chart.numbered:
        axis |= {"tickMinStep": 1, "format": "d"}
        scale = {"zero": False, "nice": False}
        return encoding | {"type": "quantitative", "scale": scale}
    axis |= {"labelOverlap": True, "labelSeparation": 6}
    axis["format"] = {"month": "%b %Y", "week": "%b %d", "day": "%b %d"}
    return encoding | {"type": "temporal", "scale": {"type": "utc"}}


def _y(chart: Chart, series: SeriesChart) -> Spec:
    axis: Spec = {"tickCount": 5, "labelFlush": True}
    if np.abs(series.values()).max(initial=0.0) >= 1e6:
        axis["format"] = "~s"  # 2M on the axis, not 2,000,000
    at_left = any(series is first for first in chart.series[:: _columns(chart)])
    title = chart.value if chart.value and at_left else None
    scale = {"zero": False}
    return {"field": "y", "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def _colours(chart: Chart) -> Spec:
    """The colours of lines and areas by kind; the legend has only the kinds in this chart."""
    colours = {"history": HISTORY_COLOUR, "forecast": FORECAST}
    for rank, level in enumerate(chart.levels):
        colours[f"{level:g} % interval"] = SHADES[min(rank, len(SHADES) - 1)]
    if chart.has_actuals:
        colours["actual"] = ACTUAL_COLOUR
    if any(series.events for series in chart.series):
        colours["event"] = EVENT_ON_WHITE
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"type": "nominal", "scale": scale}


def _rows(chart: Chart, times: Integers, **columns: Numbers) -> list[Spec]:
    """Rows of data; a missing number is None, which breaks the line."""
    rows: list[Spec] = [{"t": _at(chart, time)} for time in times]
    for name, values in columns.items():
        for row, value in zip(rows, values.tolist(), strict=True):
            row[name] = value if math.isfinite(value) else None
    return rows


def _at(chart: Chart, time: float) -> int:
    """A time in the unit of Vega-Lite: milliseconds, or the number of a step."""
    return int(time) if chart.numbered else int(time * 1000)


def check_chart_file(output: str) -> None:
    """Refuse an output file whose suffix is not that of a chart, or without the drawing package."""
    if PurePath(output).suffix.lower() not in SUFFIXES:
        problem = f"pictures are written as {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise UsageError(problem, setting=Setting("output", output), cure="name such a file")
    try:
        import vl_convert  # noqa: F401
    except ImportError:
        raise Unavailable(f"needs {NEEDED}", setting=Setting("output", output)) from None


def altair_chart(chart: Chart) -> "altair.LayerChart | altair.ConcatChart":
    """A chart for a notebook; `Unavailable` if Altair is not installed."""
    try:
        import altair
    except ImportError:
        raise Unavailable(f"pictures need {NEEDED}") from None
    kind = altair.LayerChart if len(chart.series) == 1 else altair.ConcatChart
    return kind.from_dict(vega_lite(chart))


def write_chart(chart: Chart, output: str) -> None:
    """Write a chart to a file that `check_chart_file` accepts, in one step.

    Nothing is fetched from the network.
    """
    import vl_convert

    convert: Any = vl_convert  # its stub asks for an argument that it does not need
    kind = PurePath(output).suffix.lower()[1:]
    spec = vega_lite(chart, hover=False)
    options: dict[str, Any] = {"allowed_base_urls": []}
    if kind == "png":
        options["scale"] = 2.0
    if kind == "html":
        names = ", ".join(series.name for series in chart.series)
        page = PICTURE_PAGE.format(
            title=escape(f"Forecast of {names}"),
            svg=convert.vegalite_to_svg(spec, **options),
            library=convert.javascript_bundle().replace("</script", "<\\/script"),
            spec=as_json(vega_lite(chart)),
        )
        replace_file(output, page.encode())
        return
    content = getattr(convert, f"vegalite_to_{kind}")(spec, **options)
    replace_file(output, content.encode() if isinstance(content, str) else bytes(content))

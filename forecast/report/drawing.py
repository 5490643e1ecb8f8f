"""Draw a picture as an Altair chart: one panel for each series, with a legend above all of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.errors import Unavailable
from forecast.report.picture import Drawn, Picture

Row = dict[str, Any]
Chart = Any  # of Altair, which is imported where it is used, or a part of one

# colours that stay apart for colour-blind people: Okabe and Ito, Color Universal Design (2008)
PAST, FORECAST, ACTUAL, MUTED = "#333333", "#0072b2", "#d55e00", "#767676"
LIGHTEST, DARKEST = np.array([0xD6, 0xE7, 0xF4]), np.array([0x9F, 0xC9, 0xE5])  # the widest interval, the narrowest
EVENT, EVENT_ON_WHITE, EVENT_NAME = "#d8b365", "#efe1c1", "#6b5420"
FONT = "Helvetica, Arial, Liberation Sans, sans-serif"
SIZES = {1: (720, 340), 2: (400, 220), 3: (300, 170)}  # width and height of a panel, by panels in a row
NAMED_EVENTS = 16  # more names than these in a panel run into each other
DATES = {"month": "%b", "week": "%b %d", "day": "%b %d"}
TICK = 62  # pixels that a label of the time axis needs
YEAR_SHOWN = 300 * 86_400  # seconds; on a longer axis labels name the years
LARGE = 1e6  # from here on the axis has 2M, not 2,000,000


def chart(picture: Picture, hover: bool = True) -> Chart:
    """A picture as an Altair chart.

    Parameters
    ----------
    hover : whether the pointer shows times and numbers

    Raises
    ------
    Unavailable
        If Altair is not installed.
    """
    try:
        import altair as alt
    except ImportError:
        raise Unavailable(
            "pictures need the packages altair and vl-convert-python: pip install forecast[plot]"
        ) from None
    columns = _columns(picture)
    panels = [_panel(picture, drawn, SIZES[columns], hover) for drawn in picture.series]
    whole = panels[0]
    if len(panels) > 1:
        noted, titled = any(drawn.note for drawn in picture.series), picture.steps or _years(picture)
        space = {"column": 62, "row": 60 + 14 * noted + 18 * bool(titled)}
        whole = alt.concat(*panels, columns=columns, spacing=space, bounds="flush").resolve_scale(color="shared")
    return (
        whole.properties(padding=14, background="white", description=_described(picture))
        .configure(font=FONT)
        .configure_view(stroke=None)
        .configure_axis(
            gridColor="#e8e8e8",
            domainColor="#bbbbbb",
            tickColor="#bbbbbb",
            labelColor="#555555",
            titleColor="#555555",
            titleFontWeight="normal",
            labelFontSize=11,
            titleFontSize=11,
        )
        .configure_title(
            anchor="start",
            frame="group",
            offset=8,
            fontSize=13,
            color="#222222",
            subtitleColor=MUTED,
            subtitleFontSize=11,
        )
        .configure_legend(
            orient="top", title=None, labelFontSize=12, symbolSize=140, columnPadding=18, labelColor="#333333"
        )
    )


def _columns(picture: Picture) -> int:
    """Panels in a row."""
    return 1 if len(picture.series) == 1 else 2 if len(picture.series) <= 4 else 3


def _panel(picture: Picture, drawn: Drawn, size: tuple[int, int], hover: bool) -> Chart:
    """One series: intervals behind events, events behind lines."""
    import altair as alt

    width, height = size
    bars, names = _event_layers(picture, drawn, width)
    layers = [*_interval_layers(picture, drawn), *bars, *_line_layers(picture, drawn), *names]
    if hover:
        layers.append(_hover_layer(picture, drawn))
    title = alt.TitleParams(text=drawn.name, subtitle=drawn.note or alt.Undefined, limit=width)
    return alt.layer(*layers).properties(width=width, height=height, title=title)


def _event_layers(picture: Picture, drawn: Drawn, width: int) -> tuple[list[Chart], list[Chart]]:
    """A bar for each event, and its name where there is room."""
    import altair as alt

    if not drawn.events:
        return [], []
    low, high = _at(picture, drawn.past_times[0]), _at(picture, drawn.times[-1])
    rows: list[Row] = [
        {"t": max(_at(picture, span.first), low), "end": min(_at(picture, span.last), high), "name": span.name}
        for span in drawn.events
    ]
    bars = (
        alt.Chart(_data(rows)).mark_rect(color=EVENT, opacity=0.4).encode(x=_x(picture), x2="end:Q", tooltip="name:N")
    )
    names: dict[float, list[str]] = {}
    for row in rows:
        names.setdefault((row["t"] + row["end"]) / 2, []).append(row["name"])
    if len(names) > NAMED_EVENTS or width < SIZES[2][0]:
        return [bars], []
    texts = [{"t": middle, "name": ", ".join(each)} for middle, each in names.items()]
    mark = alt.Chart(_data(texts)).mark_text(
        angle=270, align="right", baseline="middle", fontSize=9, color=EVENT_NAME, dx=-3, limit=110
    )
    return [bars], [mark.encode(x=_x(picture), y=alt.value(0), text="name:N")]


def _interval_layers(picture: Picture, drawn: Drawn) -> list[Chart]:
    """The intervals, the widest behind the others; they begin at the last value before them."""
    start = _start(picture, drawn)
    layers = []
    for place in reversed(range(len(picture.levels))):
        rows = [*([{"t": start["t"], "y": start["y"], "high": start["y"]}] if start else [])]
        rows += _rows(picture, drawn.times, y=drawn.low[:, place], high=drawn.high[:, place])
        area = _kind(rows, _level(picture.levels[place])).mark_area(line=False, invalid="break-paths-show-domains")
        layers.append(area.encode(x=_x(picture), y=_y(picture, drawn), y2="high:Q", color=_colour(picture)))
    return layers


def _line_layers(picture: Picture, drawn: Drawn) -> list[Chart]:
    """The past, the forecast, and the values that came; a value between gaps is a dot."""

    def line(rows: list[Row], key: str, width: float) -> Chart:
        mark = _kind(rows, key).mark_line(strokeWidth=width, invalid="break-paths-show-domains", strokeJoin="round")
        return mark.encode(x=_x(picture), y=_y(picture, drawn), color=_colour(picture))

    def dots(rows: list[Row], key: str, size: int) -> Chart:
        mark = _kind(rows, key).mark_circle(size=size, opacity=1)
        return mark.encode(x=_x(picture), y=_y(picture, drawn), color=_colour(picture))

    start = _start(picture, drawn)
    past, ahead = _rows(picture, drawn.past_times, y=drawn.past), _rows(picture, drawn.times, y=drawn.forecast)
    layers = [line(past, "history", 1.4)]
    if alone := [past[i] for i in _alone(drawn.past)]:
        layers.append(dots(alone, "history", 14))
    if np.isfinite(drawn.forecast).any():
        layers.append(line([*([start] if start else []), *ahead], "forecast", 2.0))
        if alone := [ahead[i] for i in _alone(drawn.forecast)]:
            layers.append(dots(alone, "forecast", 30))
    if (seen := np.isfinite(drawn.actual)).any():
        came = _rows(picture, drawn.times, y=drawn.actual)
        layers.append(line([*([start] if start else []), *came], "actual", 1.4))
        layers.append(dots([came[i] for i in np.flatnonzero(seen)], "actual", 22 if len(came) <= 60 else 8))
    return layers


def _hover_layer(picture: Picture, drawn: Drawn) -> Chart:
    """Invisible dots that show their numbers under the pointer."""
    import altair as alt

    rows = _rows(picture, drawn.past_times, y=drawn.past, history=drawn.past)
    more = {"forecast": drawn.forecast, "actual": drawn.actual}
    for place, level in enumerate(picture.levels):
        more |= {f"lo {level:g}": drawn.low[:, place], f"hi {level:g}": drawn.high[:, place]}
    at = np.where(np.isfinite(drawn.forecast), drawn.forecast, drawn.actual)
    rows += _rows(picture, drawn.times, y=at, **more)
    rows = [row for row in rows if row["y"] is not None]
    time = alt.Tooltip("t:Q", title=picture.time) if picture.steps else alt.Tooltip("time:N", title=picture.time)
    for row in rows:
        if not picture.steps:
            row["time"] = (
                str(np.datetime64(int(row["t"]), "ms").astype("datetime64[s]"))
                .replace("T", " ")
                .removesuffix(" 00:00:00")
            )
    shown = [time, *(alt.Tooltip(f"{key}:Q", format=",.6~g") for key in ("history", *more))]
    mark = alt.Chart(_data(rows)).mark_circle(size=160, opacity=0)
    return mark.encode(x=_x(picture), y=_y(picture, drawn), tooltip=shown)


def _x(picture: Picture) -> Chart:
    """The axis of times, read as they stand: the clock of the reader's machine plays no part."""
    import altair as alt

    ticks = SIZES[_columns(picture)][0] // TICK
    if picture.steps:
        axis = alt.Axis(tickMinStep=1, tickCount=ticks, format="d", grid=False)
        return alt.X("t:Q", title=picture.time, scale=alt.Scale(zero=False, nice=False), axis=axis)
    axis = alt.Axis(tickCount=ticks, labelOverlap=True, labelSeparation=6, grid=False, format=DATES)
    return alt.X("t:T", title=_years(picture), scale=alt.Scale(type="utc"), axis=axis)


def _years(picture: Picture) -> str | None:
    """The years of a picture, as a title of the time axis; None where its labels name them."""
    first = min(drawn.past_times[0] for drawn in picture.series)
    last = max(drawn.times[-1] for drawn in picture.series)
    years = np.array([first, last]).astype("datetime64[s]").astype("datetime64[Y]").astype(str)
    return " to ".join(dict.fromkeys(years.tolist())) if last - first < YEAR_SHOWN else None


def _y(picture: Picture, drawn: Drawn) -> Chart:
    import altair as alt

    arrays = [drawn.past, drawn.forecast, drawn.actual, drawn.high.ravel()]
    largest = max((np.abs(array[np.isfinite(array)]).max(initial=0.0) for array in arrays), default=0.0)
    axis = alt.Axis(tickCount=5, labelFlush=True, format="~s" if largest >= LARGE else alt.Undefined)
    titled = any(drawn is each for each in picture.series[:: _columns(picture)])  # those at the left edge
    return alt.Y(
        "y:Q", title=picture.value if picture.value and titled else None, scale=alt.Scale(zero=False), axis=axis
    )


def _colour(picture: Picture) -> Chart:
    """The colours of lines and areas by their kind; the legend has the kinds of this picture."""
    import altair as alt

    shares = np.linspace(1, 0, len(picture.levels)) if len(picture.levels) > 1 else [0.5]
    colours = {"history": PAST, "forecast": FORECAST}
    for level, share in zip(picture.levels, shares, strict=False):
        colours[_level(level)] = "#" + bytes(np.round(LIGHTEST + share * (DARKEST - LIGHTEST)).astype(np.uint8)).hex()
    if any(np.isfinite(drawn.actual).any() for drawn in picture.series):
        colours["actual"] = ACTUAL
    if any(drawn.events for drawn in picture.series):
        colours["event"] = EVENT_ON_WHITE
    scale = alt.Scale(domain=list(colours), range=list(colours.values()))
    return alt.Color(
        "kind:N", scale=scale, legend=alt.Legend(symbolType="square", symbolOpacity=1, symbolStrokeWidth=0)
    )


def _level(level: float) -> str:
    return f"{level:g} % interval"


def _start(picture: Picture, drawn: Drawn) -> Row | None:
    """Where forecast and intervals begin: at the last value, unless it is missing."""
    if not np.isfinite(drawn.past[-1]) or not np.isfinite(drawn.forecast[0]):
        return None
    return {"t": _at(picture, drawn.past_times[-1]), "y": float(drawn.past[-1])}


def _alone(values: NDArray[Any]) -> list[int]:
    """Where a value has a gap on both sides."""
    seen = np.concatenate([[False], np.isfinite(values), [False]])
    return np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:]).tolist()


def _rows(picture: Picture, times: NDArray[Any], **columns: NDArray[Any]) -> list[Row]:
    """Rows of a chart; a missing number is None, where a line breaks."""
    whole = [_at(picture, time) for time in times]
    return [
        {"t": at, **{name: float(column[i]) if np.isfinite(column[i]) else None for name, column in columns.items()}}
        for i, at in enumerate(whole)
    ]


def _at(picture: Picture, time: float) -> int:
    """A time as the chart has it: milliseconds, or a step."""
    return int(time) if picture.steps else int(time * 1000)


def _kind(rows: list[Row], kind: str) -> Chart:
    """A chart of rows that all are of one kind."""
    import altair as alt

    return alt.Chart(_data(rows)).transform_calculate(kind=f"'{kind}'")


def _data(rows: list[Row]) -> Chart:
    import altair as alt

    return alt.InlineData(values=rows)


def _described(picture: Picture) -> str:
    """The picture in a sentence, for people who cannot see it."""
    names = ", ".join(drawn.name for drawn in picture.series)
    return f"History and forecast with intervals of {', '.join(f'{level:g} %' for level in picture.levels)}: {names}"

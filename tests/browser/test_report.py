"""A report in a real browser: how fast it is drawn, its use by pointer and by keyboard, whether all can read it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.browser.pages import HORIZON, NAMES, NARROW, ROOT, WIDE, Browser, Opened, faults

SITE = Path(os.environ.get("SITE", ROOT / "build" / "site"))
TABS = 200  # presses of a key that lead anywhere on a page

SCREENS = [(colours, size) for colours in ("light", "dark") for size in (WIDE, NARROW)]


@pytest.mark.parametrize(
    ("report", "count", "seconds", "megabytes"),
    [("hourly", 414, 3, 8), ("thousands", 10_000, 5, 25)],
)
def test_it_is_drawn_at_once_without_an_error_and_without_a_request(
    browser: Browser,
    request: pytest.FixtureRequest,
    report: str,
    count: int,
    seconds: float,
    megabytes: float,
) -> None:
    path = request.getfixturevalue(report)
    assert path.stat().st_size < megabytes * 1e6
    opened = browser.open(path)
    assert opened.page.locator("#shown").text_content() == f"1 to 12 of {count:,} series"
    assert opened.page.locator("#series figure.one svg").count() == 12
    assert opened.seconds < seconds
    use(opened)
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]


def use(opened: Opened) -> None:
    """Search, sort and turn pages."""
    page = opened.page
    page.fill("#search", "9")
    page.locator("#shown", has_text="that match").wait_for()
    page.select_option("#sort", "worst")
    page.click("#next")
    page.click("#theme")


def test_series_are_searched_sorted_and_paged(browser: Browser, hourly: Path) -> None:
    opened = browser.open(hourly)
    page = opened.page
    assert opened.titles()[:2] == list(NAMES)
    errors = {row[0]: row[2] for row in json.loads(page.locator("#data").text_content())["series"]}
    page.select_option("#sort", "worst")
    worst = sorted(errors, key=lambda name: -errors[name])
    assert opened.titles() == worst[:12]
    page.click("#next")
    assert opened.titles() == worst[12:24]
    assert page.locator("#shown").text_content() == "13 to 24 of 414 series"
    page.fill("#search", "h41")
    page.locator("#shown", has_text="that match").wait_for()
    assert set(opened.titles()) == {"H41", *(f"H41{digit}" for digit in range(5))}
    page.fill("#search", "</script>")
    page.locator("#shown", has_text="1 to 1 of 1 series").wait_for()
    assert opened.titles() == [NAMES[0]]
    assert page.locator("#series b").count() == 0


def test_the_pointer_shows_the_numbers_below_it(browser: Browser, hourly: Path) -> None:
    page = browser.open(hourly).page
    figure = page.locator("#series figure.one").nth(3)
    figure.scroll_into_view_if_needed()
    times, row = (
        page.evaluate("JSON.parse(document.getElementById('data').textContent).times[0]"),
        page.evaluate("JSON.parse(document.getElementById('data').textContent).series[3]"),
    )
    box = figure.locator("svg").bounding_box()
    assert figure.locator(".under").text_content().strip() == ""

    def at(x: float) -> str:
        page.mouse.move(box["x"] + box["width"] * x / 360, box["y"] + 60)
        return str(figure.locator(".under").text_content())

    shown = at(352)
    assert shown.startswith(f"{times[-1]}: ")
    assert "80 %: " in shown
    assert "95 %: " in shown
    assert float(
        shown.split(": ")[1].split(",  ")[0].split(", ")[0].replace(",", "")
    ) == pytest.approx(row[5][-1], rel=1e-3)
    assert at(58).startswith(f"{len(row[4]) - 1} steps before {times[0]}: ")
    assert figure.locator(".pointer").count() == 1
    page.mouse.move(0, 0)
    assert figure.locator(".pointer").count() == 0
    assert len(times) == HORIZON + 1


def colour(page: Any) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_the_theme_follows_the_system_until_it_is_switched(browser: Browser, hourly: Path) -> None:
    light, dark = (browser.open(hourly, colours=colours).page for colours in ("light", "dark"))
    assert colour(light) == "rgb(255, 255, 255)" != colour(dark)
    assert light.locator("#theme").text_content() == "Dark colours"
    light.click("#theme")
    assert colour(light) == colour(dark)
    assert light.locator("#theme").text_content() == "Light colours"
    dark.click("#theme")
    assert colour(dark) == "rgb(255, 255, 255)"


def tab_to(page: Any, wanted: str) -> None:
    """Press the tab key until a thing has the focus, which must be seen."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "(() => { const one = document.activeElement; return [one.id || one.textContent.trim(), "
            "getComputedStyle(one).outlineStyle + getComputedStyle(one).outlineWidth]; })()"
        )
        assert outline == "solid3px", name
        if name == wanted:
            return
    raise AssertionError(f"no key leads to {wanted}")


def test_it_is_used_by_keyboard_alone(browser: Browser, hourly: Path) -> None:
    opened = browser.open(hourly)
    page = opened.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the verdict"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "verdict"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    assert page.locator("#theme").text_content() == "Light colours"
    tab_to(page, "Forecasts")
    page.keyboard.press("Enter")
    tab_to(page, "search")
    page.keyboard.type("H1")
    page.locator("#shown", has_text="that match").wait_for()
    tab_to(page, "sort")
    page.keyboard.type("largest")
    assert page.evaluate("document.getElementById('sort').value") == "worst"
    first = opened.titles()
    tab_to(page, "next")
    page.keyboard.press("Space")
    assert page.locator("#shown").text_content().startswith("13 to 24 of ")
    assert opened.titles() != first
    assert page.evaluate("document.activeElement.id") == "next"
    tab_to(page, "Numbers")
    page.keyboard.press("Enter")
    page.locator("#series figure.one").first.locator("tbody tr").nth(HORIZON - 1).wait_for()
    assert opened.errors == []


def test_without_scripts_and_in_print_it_can_be_read(browser: Browser, hourly: Path) -> None:
    page = browser.open(hourly, script=False).page
    assert page.locator("#unscripted").is_visible()
    assert page.locator("figure.lines svg").count() == 0
    assert page.locator("#controls").is_hidden()
    assert page.locator("#theme").is_hidden()
    page = browser.open(hourly, colours="dark").page
    page.emulate_media(media="print")
    assert colour(page) == "rgb(255, 255, 255)"
    for name in ("#controls", "#theme", "nav"):
        assert page.locator(name).is_hidden()
    assert page.locator("#verdict").is_visible()
    assert page.locator("figure.lines svg.chart").count() == 2


@pytest.mark.parametrize(("colours", "size"), SCREENS)
def test_an_accessibility_checker_finds_nothing_serious(
    browser: Browser, hourly: Path, colours: str, size: tuple[int, int]
) -> None:
    page = browser.open(hourly, size, colours).page
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert faults(page) == []
    overflow = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    assert overflow == 0  # nothing is cut off, and the page does not scroll sideways


@pytest.mark.parametrize(("colours", "size"), SCREENS)
def test_the_checker_finds_nothing_serious_in_the_documentation(
    browser: Browser, colours: str, size: tuple[int, int]
) -> None:
    pages = sorted(path for path in SITE.rglob("*.html") if "_static" not in path.parts)
    if not pages:
        pytest.skip(f"the documentation is not built: {SITE}")
    found = {}
    for path in pages:
        if some := faults(browser.open(path, size, colours).page):
            found[str(path.relative_to(SITE))] = some
        browser.close()
    assert found == {}

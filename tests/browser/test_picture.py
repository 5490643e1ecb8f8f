"""A picture as a page of HTML in a real browser."""

from pathlib import Path

import pytest

from tests.browser.conftest import command
from tests.browser.pages import NARROW, WIDE, Browser, faults


@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_it_fits_the_screen_and_shows_numbers_under_the_pointer(
    browser: Browser, store: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = tmp_path / "p.html"
    command("plot", "--artifact", store, "--output", path, "--quiet")
    opened = browser.open(path, size)
    page = opened.page
    page.locator("#live svg").wait_for()
    assert page.locator("#still").count() == 0
    assert (
        page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        == 0
    )
    shown = page.locator("#vg-tooltip-element.visible")
    point = page.locator("#live svg .mark-symbol.role-mark path").last.bounding_box()
    page.mouse.move(point["x"] + point["width"] / 2, point["y"] + point["height"] / 2, steps=5)
    assert "forecast" in shown.text_content() or "history" in shown.text_content()
    assert faults(page) == []
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]

"""The pieces of a page: text of users is only ever text, and numbers are short."""

import json
import re

import pytest

from forecast.report.page import (
    Bar,
    CommandBlock,
    LineChart,
    PageTable,
    Section,
    number,
    render_page,
)

WILD = "</script><b>&\x1b"


def html(*parts: object) -> str:
    return "".join(render_page("title", "verdict", (Section("section", parts),), "made"))


def test_text_of_users_is_text_everywhere() -> None:
    chart = LineChart(WILD, WILD, (WILD, WILD), {WILD: [1.0, None, 2.0]}, (0.5,))
    page = html(WILD, PageTable(WILD, (WILD,), ((WILD,),)), CommandBlock((WILD,)), chart)
    assert "<b>" not in page
    assert "\x1b" not in page
    assert (
        page.count("</script>") == page.count("<script") == 2
    )  # the data of the chart, and the script of the page
    data = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', page)[0])
    assert data == [*["</script><b>&\\x1b"] * 4, ["</script><b>&\\x1b"], [[1.0, None, 2.0]], [0.5]]


def test_a_chart_without_two_places_or_without_a_number_is_left_out() -> None:
    assert "<figure" not in html(LineChart("t", "x", ("1", "1"), {"a": [1.0]}))
    assert "<figure" not in html(LineChart("t", "x", ("1", "2"), {"a": [None, None]}))


def test_cells_are_numbers_bars_texts_or_empty() -> None:
    page = html(
        PageTable("t", ("a", "b", "c"), (("x", 0.01234, None), ("y", Bar(1234.5, 0.256), "`code`")))
    )
    assert '<th scope="row">x</th><td class="num">0.0123</td><td></td>' in page
    assert '<td class="num">1,234 <svg class="bar"' in page
    assert 'width="26" height="10"' in page
    assert "<td>`code`</td>" in page
    assert '<td class="num">yes</td>' in html(PageTable("t", ("a", "b"), (("x", True),)))
    assert "<p><code>now</code></p>" in html("`now`")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0123456, "0.0123"), (12.345, "12.3"), (1234.5, "1,234"), (7, "7"), (1e-6, "1.0e-06")],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert number(value) == text

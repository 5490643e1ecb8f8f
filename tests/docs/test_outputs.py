"""What README and the tutorial show is what their commands print and draw."""

from pathlib import Path

import pytest

from tests.docs._blocks import blocks, commands
from tests.docs._outputs import (
    DARK,
    PICTURES,
    SHOWING,
    darkened,
    differences,
    pictures,
    run_page,
)
from tests.docs._pages import SITE, name_of

CANVAS = 8.0  # pixels by which a point of a picture may move


@pytest.mark.slow
@pytest.mark.parametrize("page", SHOWING, ids=name_of)
def test_outputs_and_pictures_are_those_of_the_commands(page: Path, tmp_path: Path) -> None:
    again = run_page(page, tmp_path)
    assert differences(page.read_text(encoding="utf-8"), again) == [], (
        "run python -m tests.docs outputs"
    )
    for name in pictures(page):
        drawn = (
            (PICTURES / name).read_text(encoding="utf-8"),
            (tmp_path / name).read_text(encoding="utf-8"),
        )
        assert differences(*drawn, tolerance=0.0, least=CANVAS) == [], name


def test_every_picture_is_drawn_by_a_command_that_a_page_shows() -> None:
    found = [
        each.text
        for page in SHOWING
        for block in blocks(page.read_text(encoding="utf-8"))
        for each in commands(block)
    ]
    shown = {name for page in [*SITE, *SHOWING] for name in pictures(page)}
    assert shown == {path.name for path in PICTURES.iterdir() if not path.name.endswith(DARK)}
    for name in shown:
        assert any(line.endswith(f"--output {name}") for line in found), name
        assert (PICTURES / name).stat().st_size < 100_000


def test_a_picture_for_dark_pages_is_the_light_one_in_other_colours() -> None:
    dark = list(PICTURES.glob(f"*{DARK}"))
    assert dark
    for path in dark:
        light = path.with_name(path.name.replace(DARK, ".svg"))
        assert path.read_text(encoding="utf-8") == darkened(light.read_text(encoding="utf-8"))


def test_differences_are_found_and_noise_is_not() -> None:
    shown = "skill 0.242  fit s\n auto  0.778  15.6\n\nsaved d/v-20261126T194856.708797Z-fe56af00\n"
    noise = "skill 0.243  fit s\n auto  0.780  31.2\n\nsaved d/v-20261127T194856.708797Z-ab56af00\n"
    assert differences(shown, noise) == []
    assert differences(shown, shown.replace("0.778", "0.978")) == [
        "' auto  0.778', now ' auto  0.978'"
    ]
    assert differences(shown, shown.replace("auto", "theta"))
    assert differences(shown, shown + "more\n")

"""Outputs and pictures that pages show, as the commands of these pages print and draw them."""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import FileIO
from itertools import takewhile
from pathlib import Path

from tests.docs._blocks import Command, blocks, commands
from tests.docs._pages import ROOT
from tests.docs._shrinking import reason
from tests.docs._standins import write_all

SHOWING = [ROOT / "README.md", ROOT / "docs" / "tutorial.md"]
PICTURES = ROOT / "docs" / "pictures"
DARK = "-dark.svg"  # ends the name of a picture for dark pages
DARK_COLOURS = {
    'fill="white"': 'fill="#0d1117"',
    'fill="#000"': 'fill="#e6edf3"',
    "#333333": "#e6edf3",
    "#555555": "#9da7b3",
    "#e8e8e8": "#2b3138",
    "#bbbbbb": "#59636e",
    "#0072b2": "#58a6ff",
    "#9fc9e5": "#1f4f7a",
    "#d6e7f4": "#17324d",
}
VERSION = re.compile(r"v-\d{8}T[\d.]+Z-[0-9a-f]{8}")
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
SECONDS = re.compile(r" +[\d.]+$")  # the last column of a backtest


def run_page(page: Path, folder: Path) -> str:
    """Run the commands of a page in an empty folder, and return its text with what they print at a terminal.

    A page may leave out the first lines of an output. Pictures stay in the folder.
    """
    shutil.copytree(ROOT / "data", folder / "data")
    write_all(folder)
    lines = page.read_text(encoding="utf-8").splitlines()
    found = [
        command
        for block in blocks("\n".join(lines))
        if block.is_commands
        for command in commands(block)
    ]
    printed = {
        command.line: _printed(command, folder) for command in found if not reason(command.text)
    }
    for command in reversed(found):  # from the bottom, so that line numbers above stay right
        if command.shown and command.line in printed:
            first = command.line - 1
            after = (
                first + len(list(takewhile(lambda line: line.endswith("\\"), lines[first:]))) + 1
            )
            indent = lines[first][: len(lines[first]) - len(lines[first].lstrip())]
            new = [
                f"{indent}{line}".rstrip() for line in printed[command.line][-len(command.shown) :]
            ]
            lines[after : after + len(command.shown)] = new
    return "\n".join(lines) + "\n"


def pictures(page: Path) -> list[str]:
    """Names of the pictures that a page shows."""
    names = re.findall(r"pictures/([\w-]+\.svg)", page.read_text(encoding="utf-8"))
    return [name for name in dict.fromkeys(names) if not name.endswith(DARK)]


def darkened(picture: str) -> str:
    """A picture of `forecast plot` on a dark ground."""
    return re.sub("|".join(DARK_COLOURS), lambda found: DARK_COLOURS[found[0]], picture)


def refresh(folder: Path) -> None:
    """Write what the pages show anew."""
    for page in SHOWING:
        place = folder / page.stem
        place.mkdir()
        page.write_text(run_page(page, place), encoding="utf-8")
        for name in pictures(page):
            shutil.copy(place / name, PICTURES / name)
            for dark in PICTURES.glob(name.replace(".svg", DARK)):
                dark.write_text(darkened((place / name).read_text(encoding="utf-8")), "utf-8")


def differences(old: str, new: str, tolerance: float = 0.1, least: float = 0.05) -> list[str]:
    """Where two texts differ in more than versions, seconds and small changes of numbers.

    Parameters
    ----------
    tolerance : share by which a number may differ
    least : difference that is small whatever the number
    """
    pairs = list(zip(_comparable(old), _comparable(new), strict=False))
    found = [f"{len(old.splitlines())} lines, now {len(new.splitlines())}"] * (
        _count(old) != _count(new)
    )
    for before, after in pairs:
        numbers = zip(_numbers(before), _numbers(after), strict=False)
        far = any(abs(one - other) > least + tolerance * abs(one) for one, other in numbers)
        if far or NUMBER.sub("#", before) != NUMBER.sub("#", after):
            found.append(f"{before!r}, now {after!r}")
    return found


def _printed(command: Command, folder: Path) -> list[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PATH": path,
        "TERM": "dumb",
        "COLUMNS": "100",
    }
    reader, writer = pty.openpty()
    with open(reader, "rb", buffering=0) as out, tempfile.TemporaryFile("w+") as messages:
        words = ["bash", "-c", command.text]
        running = subprocess.Popen(
            words, cwd=folder, env=environment, stdout=writer, stderr=messages
        )
        os.close(writer)
        table = b"".join(_pieces(out)).decode().replace("\r\n", "\n")
        code = running.wait()
        messages.seek(0)
        printed = messages.read() + table  # messages come first, and no bar of progress among them
    assert code == 0, f"{command.text}: {printed}"
    return "\n".join(line.rstrip() for line in printed.split("\n")).rstrip("\n").split("\n")


def _pieces(terminal: FileIO) -> Iterator[bytes]:
    """What is written to a terminal, until all writers have closed it."""
    try:
        while piece := terminal.read(65_536):
            yield piece
    except OSError:  # Linux says so that the other end is closed
        return


def _comparable(text: str) -> list[str]:
    lines = VERSION.sub("VERSION", text).splitlines()
    table = False
    for number, line in enumerate(lines):
        table = line.endswith(" fit s") or (table and bool(line.strip()))
        lines[number] = SECONDS.sub("", line) if table else line
    return lines


def _count(text: str) -> int:
    return len(text.splitlines())


def _numbers(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in NUMBER.findall(text)]

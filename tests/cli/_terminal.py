"""Run command lines on a real terminal, one after the other in one process."""

import json
import os
import pty
import sys
from dataclasses import dataclass
from pathlib import Path

PROGRAM = """
import json, sys
from forecast.cli import main

codes = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["forecast", *words]
    print("\\n$", json.dumps(words), flush=True)
    try:
        main()
    except SystemExit as left:
        codes.append(left.code or 0)
open("codes.json", "w").write(json.dumps(codes))
"""


@dataclass
class Shown:
    """What a terminal got, and the exit codes of the commands."""

    text: str
    codes: list[int]

    def of(self, place: int) -> str:
        """What one of the commands wrote."""
        return self.text.split("\n$ ")[place + 1].partition("\n")[2]


def on_a_terminal(commands: list[list[str]], folder: Path, columns: int = 200) -> Shown:
    """Run commands in a folder, with stdin, stdout and stderr on one terminal."""
    pid, leader = pty.fork()
    if pid == 0:  # the child may not return into the tests
        try:
            os.chdir(folder)
            place = os.environ | {
                "TERM": "xterm-256color",
                "COLUMNS": str(columns),
                "PYTHONUTF8": "1",
            }
            place.setdefault("PYTHONPATH", str(Path(__file__).parents[2]))
            os.execve(sys.executable, [sys.executable, "-c", PROGRAM, json.dumps(commands)], place)
        finally:
            os._exit(70)
    found = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        found += piece
    os.close(leader)
    _, status = os.waitpid(pid, 0)
    text = found.decode(errors="replace").replace("\r\n", "\n")
    assert os.waitstatus_to_exitcode(status) == 0, text
    return Shown(text, json.loads((folder / "codes.json").read_text()))
